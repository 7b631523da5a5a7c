"""Which pods the levels allow, and in which words they refuse the others; the texts are upstream's."""

from __future__ import annotations

from typing import Any

import pytest

from pylet.api.object import Object
from pylet.api.podsecurity import Limit, policy_of, violations
from pylet.api.podsecurity.policy import LATEST

CAREFUL: Object = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def spec_of(*contexts: Object, container: Object | None = None, **fields: Any) -> Object:
    named = [{"name": "abc"[n], "securityContext": context, **(container or {})} for n, context in enumerate(contexts)]
    return {"containers": named or [{"name": "a", **(container or {})}], **fields}


def said(level: str, spec: Object, minor: int = LATEST, **annotations: str) -> str:
    metadata = {"annotations": {name.replace("__", "/"): value for name, value in annotations.items()}}
    return str(violations(Limit(level, minor), metadata, spec))


BASELINE: list[tuple[str, Object]] = [
    ('privileged (container "a" must not set securityContext.privileged=true)', spec_of({"privileged": True})),
    (
        'non-default capabilities (containers "a", "b" must not include "NET_ADMIN", "SYS_TIME" in '
        "securityContext.capabilities.add)",
        spec_of({"capabilities": {"add": ["SYS_TIME"]}}, {"capabilities": {"add": ["NET_ADMIN", "KILL"]}}),
    ),
    ("host namespaces (hostNetwork=true, hostIPC=true)", spec_of(hostNetwork=True, hostIPC=True)),
    (
        'hostPath volumes (volumes "x", "y")',
        spec_of(volumes=[{"name": "x", "hostPath": {}}, {"name": "y", "hostPath": {}}]),
    ),
    (
        'hostPort (container "a" uses hostPorts 80, 8080)',
        spec_of(container={"ports": [{"hostPort": 8080}, {"hostPort": 80}, {"containerPort": 1}]}),
    ),
    (
        'probe or lifecycle host (container "a" uses probe or lifecycle hosts "x", "y")',
        spec_of(
            container={
                "livenessProbe": {"httpGet": {"host": "y"}},
                "lifecycle": {"preStop": {"tcpSocket": {"host": "x"}}},
            }
        ),
    ),
    (
        'procMount (container "a" must not set securityContext.procMount to "Unmasked")',
        spec_of({"procMount": "Unmasked"}),
    ),
    (
        'seLinuxOptions (pod and container "a" set forbidden securityContext.seLinuxOptions: type "spc_t"; '
        "user may not be set)",
        spec_of({"seLinuxOptions": {"type": "spc_t"}}, securityContext={"seLinuxOptions": {"user": "u"}}),
    ),
    (
        'seccompProfile (pod must not set securityContext.seccompProfile.type to "Unconfined")',
        spec_of(securityContext={"seccompProfile": {"type": "Unconfined"}}),
    ),
    ("forbidden sysctls (kernel.x)", spec_of(securityContext={"sysctls": [{"name": "kernel.x"}]})),
    (
        'hostProcess (pod and container "a" must not set securityContext.windowsOptions.hostProcess=true)',
        spec_of({"windowsOptions": {"hostProcess": True}}, securityContext={"windowsOptions": {"hostProcess": True}}),
    ),
    (
        'forbidden AppArmor profile (container "a" must not set AppArmor profile type to "Unconfined")',
        spec_of({"appArmorProfile": {"type": "Unconfined"}}),
    ),
]


@pytest.mark.parametrize(("text", "spec"), BASELINE, ids=[text.partition(" (")[0] for text, _ in BASELINE])
def test_the_baseline(text: str, spec: Object) -> None:
    assert said("baseline", spec) == text
    assert not said("privileged", spec)


RESTRICTED: list[tuple[str, Object]] = [
    (
        'allowPrivilegeEscalation != false (container "a" must set securityContext.allowPrivilegeEscalation=false), '
        'unrestricted capabilities (container "a" must set securityContext.capabilities.drop=["ALL"]), '
        'runAsNonRoot != true (pod or container "a" must set securityContext.runAsNonRoot=true), '
        'seccompProfile (pod or container "a" must set securityContext.seccompProfile.type to "RuntimeDefault" or '
        '"Localhost")',
        spec_of(),
    ),
    ("", spec_of(CAREFUL)),
    ('runAsUser=0 (container "a" must not set runAsUser=0)', spec_of(CAREFUL | {"runAsUser": 0})),
    (
        'runAsNonRoot != true (pod and container "a" must not set securityContext.runAsNonRoot=false)',
        spec_of(CAREFUL | {"runAsNonRoot": False}, securityContext={"runAsNonRoot": False}),
    ),
    (
        'restricted volume types (volumes "x", "y" use restricted volume types "hostPath", "nfs")',
        spec_of(
            CAREFUL,
            volumes=[{"name": "x", "hostPath": {}}, {"name": "y", "nfs": {}}, {"name": "z", "secret": {}}],
        ),
    ),
    (
        'unrestricted capabilities (container "a" must not include "CHOWN" in securityContext.capabilities.add)',
        spec_of(CAREFUL | {"capabilities": {"drop": ["ALL"], "add": ["CHOWN", "NET_BIND_SERVICE"]}}),
    ),
    ("", spec_of(CAREFUL | {"runAsNonRoot": None, "runAsUser": 0}, hostUsers=False)),
]


@pytest.mark.parametrize(("text", "spec"), RESTRICTED)
def test_restricted(text: str, spec: Object) -> None:
    assert said("restricted", spec) == text


@pytest.mark.parametrize(
    ("level", "spec", "refused_at", "allowed_at"),
    [
        ("baseline", spec_of(securityContext={"sysctls": [{"name": "net.ipv4.tcp_rmem"}]}), 31, 32),
        ("baseline", spec_of({"seLinuxOptions": {"type": "container_engine_t"}}), 30, 31),
        ("baseline", spec_of({"procMount": "Unmasked"}, hostUsers=False), 34, 35),
        ("baseline", spec_of(container={"startupProbe": {"tcpSocket": {"host": "x"}}}), 34, 33),
        ("restricted", spec_of(CAREFUL | {"runAsUser": 0}), 23, 22),
        ("restricted", spec_of(CAREFUL | {"capabilities": {}}), 22, 21),
        ("restricted", spec_of(CAREFUL | {"seccompProfile": None}), 19, 18),
        ("restricted", spec_of(CAREFUL | {"allowPrivilegeEscalation": True}), 8, 7),
        ("restricted", spec_of({"runAsNonRoot": True}, os={"name": "windows"}), 24, 25),
    ],
)
def test_versions_differ(level: str, spec: Object, refused_at: int, allowed_at: int) -> None:
    assert said(level, spec, refused_at)
    assert not said(level, spec, allowed_at)


def test_old_annotations() -> None:
    assert said("baseline", spec_of(), 18, **{"seccomp.security.alpha.kubernetes.io/pod": "unconfined"}) == (
        'seccompProfile (forbidden annotation seccomp.security.alpha.kubernetes.io/pod="unconfined")'
    )
    assert said("baseline", spec_of(), **{"container.apparmor.security.beta.kubernetes.io/a": "unconfined"}) == (
        "forbidden AppArmor profile (annotation must not set AppArmor profile type to "
        '"container.apparmor.security.beta.kubernetes.io/a="unconfined"")'
    )


@pytest.mark.parametrize(
    ("labels", "limits"),
    [
        ({}, "privileged:latest privileged:latest privileged:latest"),
        ({"enforce": "baseline"}, "baseline:latest privileged:latest baseline:latest"),
        ({"enforce": "restricted", "enforce-version": "v1.30"}, "restricted:v1.30 privileged:latest restricted:v1.30"),
        ({"enforce": "restricted", "warn": "baseline"}, "restricted:latest privileged:latest baseline:latest"),
        ({"enforce": "odd", "audit": "odd"}, "restricted:latest privileged:latest privileged:latest"),
        ({"warn-version": "1.3", "audit-version": "v1.9"}, "privileged:latest privileged:v1.9 privileged:latest"),
    ],
    ids=str,
)
def test_labels_ask_for(labels: dict[str, str], limits: str) -> None:
    policy = policy_of({f"pod-security.kubernetes.io/{name}": value for name, value in labels.items()})
    assert f"{policy.enforce} {policy.audit} {policy.warn}" == limits
    assert bool(policy.problems) is ("odd" in labels.values() or "1.3" in labels.values())
