"""Whom the labels of a namespace stop, and whom they only warn."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from pylet.api.configuration.admission import PodSecurity
from pylet.api.kinds.namespace import KIND as NAMESPACE
from pylet.api.object import Object
from pylet.api.podsecurity import Limit, Policy
from pylet.server.admission import CHAIN, pod_security
from pylet.server.registry import User
from pylet.store.drivers.memory import MemoryStore
from tests.server.kit import Api, pod, refused, running

PRIVILEGED = [{"name": "c", "image": "registry.test/c:1", "securityContext": {"privileged": True}}]
HANDLER = {"handler": "vm"}
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


@asynccontextmanager
async def configured(**said: Any) -> AsyncIterator[Api]:
    """With namespaces a and exempt."""
    settings = PodSecurity(
        Policy(enforce=Limit("baseline"), warn=Limit("restricted", 30)),
        **{"namespaces": frozenset(["exempt"]), "usernames": frozenset(["bob"]), **said},
    )
    chain = [pod_security.plugin(settings) if plugin.name == "PodSecurity" else plugin for plugin in CHAIN]
    async with running(MemoryStore(), chain=chain) as api:
        for name in ("a", "exempt"):
            await api.namespace(name)
        yield api


async def test_what_is_configured_holds_where_labels_say_nothing() -> None:
    async with configured() as api:
        status = await refused(api.create(pod("p", containers=PRIVILEGED)))
        assert 'violates PodSecurity "baseline:latest"' in status["message"]
        (warning,) = await warned(api, pod("p"))
        assert warning.startswith('would violate PodSecurity "restricted:v1.30": allowPrivilegeEscalation != false')
        await label(api, enforce="privileged", warn="privileged")
        assert not await warned(api, pod("free", containers=PRIVILEGED))
        assert await label(api, enforce=None) == [
            'existing pods in namespace "a" violate the new PodSecurity enforce level "baseline:latest"',
            "free: privileged",
        ]


@pytest.mark.parametrize(
    ("obj", "user", "why"),
    [
        pytest.param(pod("p", "exempt", containers=PRIVILEGED), "alice", "namespace", id="a namespace"),
        pytest.param(pod("p", containers=PRIVILEGED), "bob", "user", id="a user"),
        pytest.param(pod("p", containers=PRIVILEGED, runtimeClassName="vm"), "alice", "runtimeClass", id="a class"),
        pytest.param(pod("p", containers=PRIVILEGED), "alice", None, id="nobody"),
    ],
)
async def test_who_is_exempt_is_noted_and_not_looked_at(obj: Object, user: str, why: str | None) -> None:
    async with configured(runtime_classes=frozenset(["vm"])) as api:
        await api.create({"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "vm"}} | HANDLER)
        annotations: dict[str, str] = {}
        creating = api.create(obj, user=User(user), annotations=annotations)
        if why is None:
            await refused(creating)
        else:
            await creating
        assert annotations.get("pod-security.kubernetes.io/exempt") == why


async def test_labels_that_an_exempt_namespace_does_not_heed_are_warned_of() -> None:
    async with configured() as api:
        warnings: list[str] = []
        labels = {"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/audit": "baseline"}
        await api.patch(NAMESPACE, "", "exempt", {"metadata": {"labels": labels}}, warnings=warnings)
        told = "(enforce=restricted:latest, audit=baseline:latest)"
        assert warnings == [f'namespace "exempt" is exempt from Pod Security, and the policy {told} will be ignored']
