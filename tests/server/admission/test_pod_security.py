"""Whom the labels of a namespace stop, and whom they only warn."""

from __future__ import annotations

from typing import Any

import pytest

from pylet.api.kinds.namespace import KIND as NAMESPACE
from pylet.api.object import Object
from tests.server.kit import Api, pod, refused

PRIVILEGED = [{"name": "c", "image": "registry.test/c:1", "securityContext": {"privileged": True}}]
SAYS = 'privileged (container "c" must not set securityContext.privileged=true)'


async def label(api: Api, **labels: str | None) -> list[str]:
    """The warnings of labelling namespace a."""
    named = {f"pod-security.kubernetes.io/{name.replace('_', '-')}": value for name, value in labels.items()}
    warnings: list[str] = []
    await api.patch(NAMESPACE, "", "a", {"metadata": {"labels": named}}, warnings=warnings)
    return warnings


async def warned(api: Api, obj: Object) -> list[str]:
    warnings: list[str] = []
    await api.create(obj, warnings=warnings)
    return warnings


async def test_enforced(api: Api) -> None:
    await label(api, enforce="baseline")
    status = await refused(api.create(pod("p", containers=PRIVILEGED)))
    assert status["message"] == f'pods "p" is forbidden: violates PodSecurity "baseline:latest": {SAYS}'
    assert (status["code"], status["details"]["name"]) == (403, "p")
    assert not await warned(api, pod("p"))


def deployment() -> Object:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": pod("p", containers=PRIVILEGED)["spec"]}
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "namespace": "a"}, "spec": spec}


@pytest.mark.parametrize("mode", ["enforce", "warn"])
async def test_templates_are_warned_of(api: Api, mode: str) -> None:
    await label(api, **{mode: "baseline", f"{mode}_version": "v1.30"})
    assert await warned(api, deployment()) == [f'would violate PodSecurity "baseline:v1.30": {SAYS}']


async def test_audit_is_noted(api: Api) -> None:
    await label(api, audit="baseline")
    annotations: dict[str, str] = {}
    await api.create(pod("p", containers=PRIVILEGED), annotations=annotations)
    assert annotations == {
        "pod-security.kubernetes.io/enforce-policy": "privileged:latest",
        "pod-security.kubernetes.io/audit-violations": f'would violate PodSecurity "baseline:latest": {SAYS}',
    }


async def test_pods_that_are_there_are_warned_of(api: Api) -> None:
    for name in ("p1", "p2", "p3"):
        await api.create(pod(name, containers=PRIVILEGED))
    await api.create(pod("good"))
    assert await label(api, enforce="baseline") == [
        'existing pods in namespace "a" violate the new PodSecurity enforce level "baseline:latest"',
        "p1 (and 2 other pods): privileged",
    ]
    assert not await label(api, enforce=None)


async def test_labels_have_to_be_right(api: Api) -> None:
    status = await refused(label(api, enforce="strict"))
    assert status["code"] == 422
    assert status["message"] == (
        'Namespace "a" is invalid: metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: "strict": '
        "must be one of privileged, baseline, restricted"
    )


async def test_what_changes_nothing_is_let_through(api: Api) -> None:
    made: Any = await api.create(pod("p", containers=PRIVILEGED))
    await label(api, enforce="restricted")
    made["metadata"]["labels"] = {"a": "b"}
    assert await api.update(made)
    made["spec"]["containers"][0]["image"] = "registry.test/c:2"
    made["metadata"].pop("resourceVersion")
    assert (await refused(api.update(made)))["reason"] == "Forbidden"


@pytest.mark.parametrize(
    ("value", "profile"),
    [
        ("unconfined", {"type": "Unconfined"}),
        ("localhost/x", {"type": "Localhost", "localhostProfile": "x"}),
        ("runtime/default", None),  # what the pod says already
    ],
)
async def test_old_app_armor_annotations_become_fields(api: Api, value: str, profile: Object | None) -> None:
    old = pod("p", securityContext={"appArmorProfile": {"type": "RuntimeDefault"}})
    old["metadata"]["annotations"] = {"container.apparmor.security.beta.kubernetes.io/c": value}
    container = (await api.create(old))["spec"]["containers"][0]
    assert (container.get("securityContext") or {}).get("appArmorProfile") == profile
