"""What `auth reconcile` makes of roles and bindings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pylet.cli.kubectl.reconciling import reconciled
from tests.cli.kubectl.conftest import Ended, Kubectl

GET = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}
LIST = {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}
ALL = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}


def role(*rules: Any, **more: Any) -> dict[str, Any]:
    return {"kind": "ClusterRole", "metadata": {"name": "r"}, "rules": list(rules), **more}


def binding(*names: str, to: str = "r") -> dict[str, Any]:
    subjects = [{"kind": "User", "name": name} for name in names]
    return {"kind": "ClusterRoleBinding", "metadata": {"name": "b"}, "roleRef": {"name": to}, "subjects": subjects}


def aggregated(*labels: str) -> dict[str, Any]:
    return role(aggregationRule={"clusterRoleSelectors": [{"matchLabels": {"is": label}} for label in labels]})


@pytest.mark.parametrize(
    ("wanted", "current", "exactly", "operation", "then"),
    [
        pytest.param(role(GET), None, False, "create", role(GET), id="what is not there is made"),
        pytest.param(role(GET), role(ALL), False, "", role(ALL), id="what is granted already stays"),
        pytest.param(role(GET), role(ALL), True, "update", role(GET), id="what is granted beyond goes when asked to"),
        pytest.param(role(GET, LIST), role(GET), False, "update", role(GET, LIST), id="what is missing is added"),
        pytest.param(binding("a"), binding("b"), False, "update", binding("b", "a"), id="a subject is added"),
        pytest.param(binding("a"), binding("b", "a"), True, "update", binding("a"), id="a subject goes"),
        pytest.param(
            binding("a", to="s"), binding("a"), False, "recreate", binding("a", to="s"), id="another role is another"
        ),
        pytest.param(
            aggregated("x"), aggregated("y"), False, "update", aggregated("y", "x"), id="another aggregation is added"
        ),
        pytest.param(aggregated("x"), aggregated("y"), True, "update", aggregated("x"), id="an aggregation goes"),
        pytest.param(role(), aggregated("y"), False, "update", role(), id="an aggregation nobody wants goes"),
    ],
)
def test_what_becomes_of_it(wanted: Any, current: Any, exactly: bool, operation: str, then: Any) -> None:
    found = reconciled(wanted, current, exactly=exactly)
    assert (found.operation, found.obj) == (operation, then)


async def test_roles_are_reconciled_with_files(kubectl: Kubectl, tmp_path: Path) -> None:
    file = tmp_path / "f.json"
    meta = {"name": "r", "namespace": "new"}
    wanted = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": meta, "rules": [GET]}
    file.write_text(json.dumps(wanted))
    granted = "{{Verbs:[{}] APIGroups:[] Resources:[pods] ResourceNames:[] NonResourceURLs:[]}}\n"
    done = "role.rbac.authorization.k8s.io/r reconciled{}\n"
    told = f"\treconciliation required create\n\tmissing rules added:\n\t\t{granted.format('get')}"
    line = ("auth", "reconcile", "-f", str(file))
    assert await kubectl(*line, "--dry-run=client") == Ended(0, done.format(" (dry run)"), told)
    assert await kubectl(*line) == Ended(0, done.format(""), told)
    assert await kubectl(*line) == Ended(0, done.format(""), "")
    file.write_text(json.dumps({**wanted, "rules": [LIST]}))
    told = told.replace("create", "update").replace("get", "list")
    told += f"\textra rules removed:\n\t\t{granted.format('get')}"
    assert await kubectl(*line, "--remove-extra-permissions") == Ended(0, done.format(""), told)
    await kubectl("annotate", "role", "r", "-n", "new", "rbac.authorization.kubernetes.io/autoupdate=false")
    file.write_text(json.dumps(wanted))
    assert "but object opted out" in (await kubectl(*line)).err
    assert (await kubectl("get", "role", "r", "-n", "new", "-o", "jsonpath={.rules[*].verbs}")).out == '["list"]'
    file.write_text(json.dumps({**wanted, "apiVersion": "rbac.authorization.k8s.io/v1beta1"}))
    assert "only rbac.authorization.k8s.io/v1 is supported" in (await kubectl(*line)).err
