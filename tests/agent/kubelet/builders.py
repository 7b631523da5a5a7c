"""Pods and what is observed of them, in few words."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from pylet.agent.kubelet.observed import Container, Observed, Probed, Sandbox
from pylet.agent.kubelet.spec import container_hash
from pylet.api.object import Object
from pylet.cri.messages import ContainerState

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
IMAGE = "registry.example/app:1"


def container(name: str = "main", **fields: Any) -> Object:
    return {"name": name, "image": IMAGE, **fields}


def sidecar(name: str, **fields: Any) -> Object:
    return container(name, restartPolicy="Always", **fields)


def pod(*containers: Object, init: tuple[Object, ...] = (), meta: Object | None = None, **spec: Any) -> Object:
    return {
        "metadata": {"name": "web", "namespace": "default", "uid": "u1", "generation": 1, **(meta or {})},
        "spec": {"containers": list(containers) or [container()], "initContainers": list(init), **spec},
        "status": {},
    }


def terminating(of: Object) -> Object:
    meta = {**of["metadata"], "deletionTimestamp": "2026-01-02T03:04:35Z", "deletionGracePeriodSeconds": 30}
    return {**of, "metadata": meta}


def instance(
    name: str = "main",
    *,
    exit_code: int | None = None,
    state: ContainerState | None = None,
    restarts: int = 0,
    ended_ago: float = 0,
    image: str = IMAGE,
    sandbox: str = "",
) -> Container:
    """Running unless it has an exit code or a state."""
    if state is None:
        state = ContainerState.RUNNING if exit_code is None else ContainerState.EXITED
    return Container(
        id=f"{name}-{restarts}",
        name=name,
        restarts=restarts,
        state=state,
        started_at=NOW - timedelta(seconds=60),
        finished_at=NOW - timedelta(seconds=ended_ago) if exit_code is not None else None,
        exit_code=exit_code or 0,
        reason="",
        message="",
        image=image,
        image_ref="sha256:1",
        hash=container_hash({"name": name, "image": image}),
        sandbox_id=sandbox,
    )


def observed(
    *containers: Container,
    sandbox: bool = True,
    probed: Mapping[str, Probed] | None = None,
    enforced: Mapping[str, Object] | None = None,
    anew: Collection[str] = (),
) -> Observed:
    """`containers` newest first; with `sandbox=False` the sandbox there was has stopped."""
    groups: dict[str, tuple[Container, ...]] = {}
    for found in containers:
        groups[found.name] = (*groups.get(found.name, ()), found)
    return Observed(
        (Sandbox("s0", sandbox, 0, ("10.42.0.7",) if sandbox else ()),), groups, probed or {}, enforced or {}, anew
    )
