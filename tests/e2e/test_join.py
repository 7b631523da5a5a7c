"""Joining: who has no right to is refused, with a message that says what to do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.cluster import REPO, Cluster

EXPIRED = """
apiVersion: v1
kind: Secret
metadata: {name: bootstrap-token-abcdef, namespace: kube-system}
type: bootstrap.kubernetes.io/token
stringData:
  token-id: abcdef
  token-secret: 0123456789abcdef
  usage-bootstrap-authentication: "true"
  auth-extra-groups: system:bootstrappers:pylet:default-node-token
  expiration: "2020-01-01T00:00:00Z"
"""


def join(cluster: Cluster, directory: Path, token: str) -> subprocess.CompletedProcess[str]:
    node = cluster.nodes[1]
    command = [
        sys.executable, "-m", "pylet", "agent", "--server", cluster.url, "--token", token,
        "--data-dir", str(directory), "--node-name", "stranger", "--node-ip", node.member.ip,
    ]  # fmt: skip
    return subprocess.run(node.member.argv(*command), cwd=REPO, capture_output=True, text=True, timeout=180)


def test_a_wrong_token_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    refused = join(cluster, tmp_path, cluster.token.split("::")[0] + "::not-the-secret")
    assert refused.returncode == 2
    assert "does not know this token" in refused.stderr
    assert "pylet token create" in refused.stderr


def test_an_expired_token_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    cluster.kubectl("apply", "-f", "-", stdin=EXPIRED)
    refused = join(cluster, tmp_path, cluster.token.split("::")[0] + "::abcdef.0123456789abcdef")
    assert refused.returncode == 2
    assert "expired" in refused.stderr
    assert "pylet token create" in refused.stderr


def test_another_clusters_token_is_refused_before_its_secret_is_sent(cluster: Cluster, tmp_path: Path) -> None:
    refused = join(cluster, tmp_path, f"K10{'0' * 64}::{cluster.token.split('::')[1]}")
    assert refused.returncode == 2
    assert "is not the one this token was made for" in refused.stderr


@pytest.mark.parametrize(
    ("token", "words"), [("K10abc::x", "64 hexadecimal digits"), ("two words", "space")], ids=["cut off", "broken"]
)
def test_a_malformed_token_says_what_a_token_looks_like(
    cluster: Cluster, tmp_path: Path, token: str, words: str
) -> None:
    refused = join(cluster, tmp_path, token)
    assert refused.returncode == 2
    assert words in refused.stderr
