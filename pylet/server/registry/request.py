"""What is asked of the registry and by whom: one API request as authorization and admission see it.

The HTTP room builds one Request per call and gives it to the authorizer and to the registry; loopback builds its own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple, TypeAlias

from pylet.api import causes
from pylet.api.errors import ApiError, Cause, Invalid
from pylet.api.kind import Kind
from pylet.api.object import Key, Object

_POLICIES = ("Foreground", "Background", "Orphan")


@dataclass(frozen=True, slots=True)
class User:
    """Who asks, as authentication found out."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: Mapping[str, Sequence[str]] = field(default_factory=dict)


LOOPBACK = User("system:apiserver", ("system:masters", "system:authenticated"))
"""The server itself; the only group admission and authorization let through unseen is system:masters."""


MayCreate: TypeAlias = Callable[[], Awaitable[None]]
"""Raises: ApiError, for who may not."""


async def _anybody() -> None:
    """Who writes may create."""


@dataclass(slots=True, kw_only=True)  # frozen it would take several times as long to make
class Request:
    """One call on one kind.

    `verb` is the authorizer's word: get list watch create update patch delete deletecollection. `key.name` is "" for a
    collection and for a create; `key.namespace` is "" for cluster scope and for all namespaces. `kind` is the version
    the client asked for (`kind.stored_as` may be another). `field_validation` is Strict, Warn, Ignore or "" (Warn).
    `field_manager` is who owns the fields that a write changes, `stated_manager` the same if the client said so itself,
    `force` takes them from others when applying. `size` is about how many bytes the body has.
    `is_own` says that a part of the server asks: it does not wait for what other parts have yet to write.
    `may_create` refuses who may write objects but make none, where an update or an apply would.
    `deadline` is by when, in `time.monotonic`, whoever is asked about it has to have answered.
    `warnings` collects texts for `Warning` headers while the request runs, `annotations` what admission tells the audit
    log, `converted` what a webhook made of an object, or why it did not, by version and object.
    """

    verb: str
    kind: Kind
    key: Key
    subresource: str = ""
    user: User = LOOPBACK
    dry_run: bool = False
    field_manager: str = ""
    stated_manager: str = ""
    force: bool = False
    field_validation: str = ""
    size: int = 0
    is_own: bool = False
    deadline: float = inf
    may_create: MayCreate = _anybody
    warnings: list[str] = field(default_factory=list)
    annotations: dict[str, str] = field(default_factory=dict)
    converted: dict[bytes, Object | ApiError] = field(default_factory=dict)


class ListOptions(NamedTuple):
    """The query of a list or a watch, still as text: the registry parses and refuses it.

    `revision` "" means: as fresh as can be; "0": whatever the cache has. `match` is resourceVersionMatch. `more` is the
    continue token. `bookmarks` and `initial_events` concern watches (allowWatchBookmarks, sendInitialEvents).
    """

    labels: str = ""
    fields: str = ""
    limit: int = 0
    more: str = ""
    revision: str = ""
    match: str = ""
    bookmarks: bool = False
    initial_events: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteOptions:
    """`propagation` is Background, Foreground, Orphan or "" (the kind's default); `uid`, `revision`: preconditions.

    `is_cascading` is set by `orphanDependents: false` alone: what then stays for a while is answered with 202.
    """

    grace_seconds: int | None = None
    propagation: str = ""
    is_cascading: bool = False
    uid: str | None = None
    revision: str | None = None
    dry_run: bool = False

    def body(self) -> Object:
        """As a client would send them."""
        told = {"gracePeriodSeconds": self.grace_seconds, "propagationPolicy": self.propagation or None}
        conditions = {"uid": self.uid, "resourceVersion": self.revision}
        preconditions = {name: value for name, value in conditions.items() if value is not None}
        found = {name: value for name, value in told.items() if value is not None}
        return {**found, "preconditions": preconditions} if preconditions else found

    @classmethod
    def of(cls, body: Object) -> DeleteOptions:
        """From a decoded DeleteOptions body. Raises: Invalid."""
        preconditions = body.get("preconditions") or {}
        policy, orphan, dry_run = body.get("propagationPolicy"), body.get("orphanDependents"), body.get("dryRun") or []
        found: list[Cause] = []
        if orphan is not None and policy is not None:
            why = "orphanDependents and deletionPropagation cannot be both set"
            found.append(causes.invalid("propagationPolicy", policy, why))
        if policy is not None and policy not in _POLICIES:
            found.append(causes.not_supported("propagationPolicy", policy, (*_POLICIES, "nil")))
        found += dry_run_causes(dry_run)
        if found:
            raise Invalid("meta.k8s.io", "DeleteOptions", "", found)
        if orphan is not None:
            policy = "Orphan" if orphan else "Background"
        return cls(
            grace_seconds=body.get("gracePeriodSeconds"),
            propagation=policy or "",
            is_cascading=orphan is False,
            uid=preconditions.get("uid"),
            revision=preconditions.get("resourceVersion"),
            dry_run=bool(dry_run),
        )


def dry_run_causes(given: Sequence[str]) -> list[Cause]:
    """What is wrong with a dryRun, which may name the stage All."""
    return [causes.not_supported("dryRun", given, ("All",))] if set(given) - {"All"} else []
