"""`set`, and what verbs change in files alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.kubectl.conftest import Ended, Kubectl


async def test_subjects_are_added_to_a_binding(kubectl: Kubectl) -> None:
    await kubectl("create", "clusterrolebinding", "b", "--clusterrole=view", "--user=a")
    path = "jsonpath={range .subjects[*]}{.kind}/{.namespace}/{.name} {end}"
    updated = Ended(0, "clusterrolebinding.rbac.authorization.k8s.io/b subjects updated\n", "")
    wanted = ["clusterrolebinding", "b", "--user=c", "--user=a", "--serviceaccount=n:s"]
    assert await kubectl("set", "subject", *wanted) == updated
    assert (await kubectl("get", "clusterrolebinding", "b", "-o", path)).out == "User//a User//c ServiceAccount/n/s "
    assert await kubectl("set", "subject", *wanted) == Ended(0, "", "")
    nobody = "error: you must specify at least one value of user, group or serviceaccount\n"
    assert await kubectl("set", "subject", "clusterrolebinding", "b") == Ended(1, "", nobody)


async def test_a_selector_takes_the_place_of_the_old_one(kubectl: Kubectl) -> None:
    await kubectl("create", "service", "clusterip", "s", "--tcp=80")
    assert await kubectl("set", "selector", "svc", "s", "a=b") == Ended(0, "service/s selector updated\n", "")
    assert (await kubectl("get", "svc", "s", "-o", "jsonpath={.spec.selector}")).out == '{"a":"b"}'


async def test_variables_come_out_of_a_configmap(kubectl: Kubectl) -> None:
    await kubectl("apply", "-f", "MANIFEST")
    await kubectl("create", "configmap", "from", "--from-literal=key-1=a", "--from-literal=key.2=b")
    updated = Ended(0, "deployment.apps/web env updated\n", "")
    assert await kubectl("set", "env", "deploy/web", "--from=configmap/from", "--keys=key-1") == updated
    assert await kubectl("set", "env", "deploy/web", "--from=configmap/from", "--prefix=X_", "--keys=key.2") == updated
    path = "jsonpath={.spec.template.spec.containers[0].env[*]}"
    assert (await kubectl("get", "deploy", "web", "-o", path)).out == (
        '{"name":"X_KEY_2","valueFrom":{"configMapKeyRef":{"key":"key.2","name":"from"}}} '
        '{"name":"KEY_1","valueFrom":{"configMapKeyRef":{"key":"key-1","name":"from"}}}'
    )
    assert await kubectl("set", "env", "deploy/web", "KEY_1=plain") == updated
    of_key = "jsonpath={.spec.template.spec.containers[0].env[?(@.name=='KEY_1')]}"
    assert (await kubectl("get", "deploy", "web", "-o", of_key)).out == '{"name":"KEY_1","value":"plain"}'


async def test_resources_of_a_container_that_is_not_there_are_refused(kubectl: Kubectl) -> None:
    await kubectl("apply", "-f", "MANIFEST")
    none = Ended(1, "", "error: unable to find container named nope\n")
    assert await kubectl("set", "resources", "deploy/web", "-c=nope", "--limits=cpu=1") == none


@pytest.mark.parametrize(
    ("line", "path", "found"),
    [
        ("set image web=nginx:9", "{.spec.template.spec.containers[0].image}", "nginx:9"),
        ("label a=b", "{.metadata.labels.a}", "b"),
        ("annotate a=b", "{.metadata.annotations.a}", "b"),
        ('patch -p={"spec":{"paused":true}}', "{.spec.paused}", "true"),
    ],
    ids=lambda text: str(text).split()[0],
)
async def test_what_is_local_is_changed_and_not_sent(
    kubectl: Kubectl, tmp_path: Path, line: str, path: str, found: str
) -> None:
    manifest = tmp_path / "web.yaml"
    manifest.write_text((tmp_path / "m.yaml").read_text().partition("---")[2])
    file = f"--filename={manifest}"
    unreached = "--server=http://127.0.0.1:1"
    assert await kubectl(*line.split(), file, "--local", unreached, f"-o=jsonpath={path}") == Ended(0, found, "")
    assert (await kubectl("get", "deploy", "web", "--ignore-not-found")).out == ""
