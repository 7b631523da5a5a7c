"""An AdmissionConfiguration in a file: what of it is read, from where, and what keeps the server from starting."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import orjson
import pytest

from pylet.api.configuration.decoding import BadConfiguration
from pylet.server import admission_settings
from pylet.server.admission import CHAIN

PODS = {
    "apiVersion": "pod-security.admission.config.k8s.io/v1",
    "kind": "PodSecurityConfiguration",
    "defaults": {"enforce": "baseline"},
}
WEBHOOKS = {"apiVersion": "apiserver.config.k8s.io/v1", "kind": "WebhookAdmissionConfiguration"}


def write(folder: Path, *plugins: Any) -> Path:
    file = folder / "admission.yaml"
    document = {"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AdmissionConfiguration", "plugins": plugins}
    file.write_bytes(orjson.dumps(document))
    return file


@pytest.mark.parametrize("where", ["inline", "beside the file", "by its whole path"])
def test_a_plugin_that_is_configured_takes_its_place(tmp_path: Path, where: str) -> None:
    (tmp_path / "pods.yaml").write_bytes(orjson.dumps(PODS))
    said: dict[str, Any] = {
        "inline": {"configuration": PODS, "path": "nowhere"},
        "beside the file": {"path": "pods.yaml"},
        "by its whole path": {"path": str(tmp_path / "pods.yaml")},
    }[where]
    chain = admission_settings.read(write(tmp_path, {"name": "PodSecurity", **said})).chain(CHAIN)
    assert [plugin.name for plugin in chain] == [plugin.name for plugin in CHAIN]
    assert [plugin.name for plugin, usual in zip(chain, CHAIN, strict=True) if plugin is not usual] == ["PodSecurity"]


def test_what_nothing_reads_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        found = admission_settings.read(write(tmp_path, {"name": "PodNodeSelector", "path": "x"}, {"name": "Priority"}))
    assert found.chain(CHAIN) == CHAIN
    assert "for PodNodeSelector, Priority" in caplog.text


def test_each_plugin_of_webhooks_has_credentials_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "k.yaml").write_text("users: [{name: '*', user: {token: t}}]")
    config = {**WEBHOOKS, "kubeConfigFile": str(tmp_path / "k.yaml")}
    found = admission_settings.read(
        write(
            tmp_path,
            {"name": "ValidatingAdmissionWebhook", "configuration": config},
            {"name": "MutatingAdmissionWebhook", "configuration": WEBHOOKS},
        )
    )
    assert set(found.credentials) == {"ValidatingAdmissionWebhook"}


@pytest.mark.parametrize(
    ("plugin", "says"),
    [
        pytest.param(
            {"name": "PodSecurity", "configuration": WEBHOOKS},
            'couldn\'t init admission plugin "PodSecurity": no kind "WebhookAdmissionConfiguration" is registered',
            id="a configuration of another plugin",
        ),
        pytest.param(
            {"name": "PodSecurity", "configuration": {**PODS, "defaults": {"warn": "x"}}},
            'failed to initialize admission plugin "PodSecurity": PodSecurity configuration error: warn: must be one',
            id="a level that there is not",
        ),
        pytest.param(
            {"name": "ResourceQuota", "path": "nix"},
            "Couldn't open admission plugin configuration {}/nix: no such file or directory",
            id="a file that is not there",
        ),
        pytest.param(
            {"name": "MutatingAdmissionWebhook", "configuration": {**WEBHOOKS, "kubeConfigFile": "/nix"}},
            'couldn\'t init admission plugin "MutatingAdmissionWebhook": stat /nix: no such file or directory',
            id="a kubeconfig that is not there",
        ),
        pytest.param({"nome": "x"}, 'failed to read plugin config: strict decoding error: unknown field "plugins[0].n'),
    ],
)
def test_what_is_wrong_is_told_with_whose_it_is(tmp_path: Path, plugin: Any, says: str) -> None:
    with pytest.raises(BadConfiguration) as refused:
        admission_settings.read(write(tmp_path, plugin))
    assert str(refused.value).startswith(says.format(tmp_path))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match=r"unable to read admission control configuration from .*/nix"):
        admission_settings.read(tmp_path / "nix")
