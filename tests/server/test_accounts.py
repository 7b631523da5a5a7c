"""As whom the server's controllers write, and that admission sees it."""

from __future__ import annotations

import re
from typing import Any

from pylet.server import accounts
from pylet.server.auth import default_roles
from pylet.server.registry import LOOPBACK
from tests.waiting import answered

ACCOUNTS = "system:serviceaccount:kube-system:"
ADMISSION = "/apis/admissionregistration.k8s.io/v1"


async def test_each_controller_is_the_server_or_an_account_that_the_default_roles_name(cluster: Any) -> None:
    text = (await cluster.ask("GET", "/metrics")).body.decode()
    names = set(re.findall(r'workqueue_depth\{name="([^"]*)"', text))
    assert {"replicaset", "namespace", "certificate"} < names
    subjects = [subject for obj in default_roles.objects() for subject in obj.get("subjects", ())]
    known = {f"{ACCOUNTS}{each['name']}" for each in subjects if each["kind"] == "ServiceAccount"}
    assert {accounts.of_controller(name).name for name in names} <= {LOOPBACK.name, *known}


async def test_what_controllers_write_passes_admission_under_their_names(cluster: Any) -> None:
    match = {"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["*"]}]}
    rule = {"expression": "false", "messageExpression": "'seen ' + request.userInfo.username"}
    spec = {"matchConstraints": match, "validations": [rule], "failurePolicy": "Fail"}
    await cluster.ask("POST", f"{ADMISSION}/validatingadmissionpolicies", {"metadata": {"name": "p"}, "spec": spec})
    binding = {"policyName": "p", "validationActions": ["Deny"]}
    path = f"{ADMISSION}/validatingadmissionpolicybindings"
    await cluster.ask("POST", path, {"metadata": {"name": "b"}, "spec": binding})
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "web:0"}]}}
    workload = {"selector": {"matchLabels": labels}, "replicas": 1, "template": template}
    sets = "/apis/apps/v1/namespaces/default/replicasets"
    await cluster.ask("POST", sets, {"metadata": {"name": "web"}, "spec": workload})
    found = await answered(
        lambda: cluster.ask("GET", f"{sets}/web"), lambda answer: answer.json.get("status", {}).get("conditions")
    )
    (condition,) = found.json["status"]["conditions"]
    assert condition["message"].endswith(f"denied request: seen {ACCOUNTS}replicaset-controller")
