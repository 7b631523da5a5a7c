"""Field ownership on the write path: who a request's writer is called, and what the write does to managedFields.

Source: apiserver pkg/endpoints/handlers (create.go, update.go, patch.go), each kind's GetResetFields in pkg/registry.
"""

from __future__ import annotations

from typing import Any

from pylet.api import causes, kinds, schema
from pylet.api.errors import ApiError, BadRequest, Cause, Conflict, RequestEntityTooLarge
from pylet.api.kind import Kind
from pylet.api.object import Object
from pylet.api.patch import apply, checking, managed
from pylet.api.patch.fieldset import Set, difference, has, of_paths
from pylet.api.patch.managed import APPLY, Managed, Manager, Owned
from pylet.api.remembered import remembered
from pylet.api.schema import emptied
from pylet.server.registry.request import Request
from pylet.server.registry.versions import Find, versions_of

_MANAGER_BYTES = 128
_MOST_FIELDS = 72_000  # each has a name of two bytes or more, there and among the owned
_SCALE_VERSION = "autoscaling/v1"
_REPLICAS = ("f:spec", "f:replicas")
_SCALE_REPLICAS = of_paths(_REPLICAS)
_SPEC = of_paths(("f:spec",))
_STATUS = of_paths(("f:status",))
_META_AND_SPEC = of_paths(("f:metadata",), ("f:spec",))
_NOTHING: Set = {}
_IGNORED: dict[tuple[str, str], Set] = {
    ("certificatesigningrequests", ""): of_paths(("f:spec",), ("f:status",)),
    ("certificatesigningrequests", "status"): of_paths(("f:spec",), ("f:status", "f:conditions")),
    ("certificatesigningrequests", "approval"): of_paths(("f:spec",), ("f:status", "f:certificate")),
    ("deployments", "status"): of_paths(("f:metadata", "f:labels"), ("f:spec",)),
    ("namespaces", "finalize"): _STATUS,
    ("pods", "status"): of_paths(
        ("f:metadata", "f:deletionTimestamp"), ("f:metadata", "f:ownerReferences"), ("f:spec",)
    ),
}
"""What a (sub)resource cannot change, where it is not status for the object and spec for the status."""
_STATUS_ALONE = frozenset(
    {
        "admissionregistration.k8s.io",
        "apiregistration.k8s.io",
        "flowcontrol.apiserver.k8s.io",
        "resource.k8s.io",
        "storage.k8s.io",
    }
)
"""Groups whose status subresource leaves metadata alone; that of definitions does not, kubernetes issue 137681."""


def manager_causes(verb: str, given: str, *, applies: bool = False, force: bool | None = None) -> list[Cause]:
    """What is wrong with the fieldManager `given`; `force` is the query's."""
    found: list[Cause] = []
    if applies and not given:
        found.append(causes.required("fieldManager", "is required for apply patch"))
    if verb == "patch" and not applies and force is not None:
        found.append(causes.forbidden("force", "may not be specified for non-apply patch"))
    if len(given.encode()) > _MANAGER_BYTES:
        found.append(causes.too_long("fieldManager", _MANAGER_BYTES))
    for position, char in enumerate(given):
        if not _is_print(char):
            at = len(given[:position].encode())
            why = f"invalid character U+{ord(char):04X} (at position {at})"
            found.append(causes.invalid("fieldManager", given, why))
    return found


@remembered(256)
def agent_name(user_agent: str) -> str:
    """Who writes without saying so: what the user agent calls itself."""
    name = "".join(filter(_is_print, user_agent.partition("/")[0]))
    return name.encode()[:_MANAGER_BYTES].decode(errors="ignore")


def _is_print(char: str) -> bool:
    return char == " " or (char.isprintable() and not char.isspace())


class OtherError(ApiError):
    """What upstream returns as a plain Go error."""

    code, reason = 500, ""


class Ownership:
    """What writes do to `metadata.managedFields`. `find` knows the served kinds."""

    def __init__(self, find: Find = kinds.by_kind) -> None:
        self._find = find

    def track(self, request: Request, kind: Kind, obj: Object, old: Object | None, now: str) -> None:
        """Note in `obj` (of the stored `kind`, private) who owns what after this create (no `old`) or update.

        Raises: Unconverted, having done nothing.
        """
        with emptied.Shown(if_printed=True):
            entries = self._entries(request, kind, obj, old, now)
        obj["metadata"].pop("managedFields", None)
        if entries:
            obj["metadata"]["managedFields"] = entries

    def _entries(self, request: Request, kind: Kind, obj: Object, old: Object | None, now: str) -> list[Object]:
        claimed = obj["metadata"].get("managedFields")
        owners = _current(claimed, old, is_subresource=bool(request.subresource))
        if old is not None and not owners:
            return []  # nobody is known to own anything, so nobody begins to: upstream's skipNonAppliedManager
        if _is_wide(obj):
            return []
        seen = request.kind if request.kind.stored_as is kind else kind
        before: Object = {}
        after = {**obj, "metadata": {name: value for name, value in obj["metadata"].items() if name != "managedFields"}}
        if old is not None:
            before = old
            for field in ("managedFields", "resourceVersion"):  # said by both, so that comparing need not look
                if field in old["metadata"]:
                    after["metadata"][field] = old["metadata"][field]
        if seen is not kind:
            before, after = (seen.from_stored(one) if one else one for one in (before, after))
        try:
            result = apply.updated(before, after, owners, self._write(request, seen, now))
        except ValueError:
            return []  # a list whose items cannot be told apart, or a version that it is not converted to
        if old is not None and result is owners and claimed is None:
            unchanged: list[Object] = old["metadata"]["managedFields"]
            return unchanged
        return managed.written(result)

    def applied(self, request: Request, kind: Kind, live: Object | None, config: Any, now: str) -> Object:
        """`config` applied to `live` (of the version the request names; None: there is none yet), not decoded yet.

        Raises: ApiError, Unconverted.
        """
        config = {} if config is None else config
        if not isinstance(config, dict):
            what = schema.Mismatch(config, "map[string]interface {}")
            raise BadRequest(f"error decoding YAML: error unmarshaling JSON: while decoding JSON: {what}")
        _check_identity(kind, config)
        if _is_wide(config):
            raise RequestEntityTooLarge(f"Request entity too large: it has more than {_MOST_FIELDS} fields")
        meta = config.get("metadata") or {}
        if not isinstance(meta, dict) or meta.get("managedFields") is not None:
            raise BadRequest("metadata.managedFields must be nil")
        before: Object = {} if live is None else live
        if live is None and meta.get("uid"):
            why = f"uid mismatch: the provided object specified uid {meta['uid']}, and no existing object was found"
            raise Conflict(kind.group, kind.plural, meta.get("name", ""), why)
        owners = managed.read((before.get("metadata") or {}).get("managedFields"), trusted=True)
        bare = {**before, "metadata": {**before["metadata"]}} if before else before
        if before:
            bare["metadata"].pop("managedFields", None)
        write = self._write(request, kind, now)
        try:
            merged, result = apply.applied(bare, config, owners, write, force=request.force)
        except checking.Misfit as misfit:
            named = f"{meta.get('namespace', '')}/{meta.get('name', '')}; {_gvk(config)}"
            raise OtherError(f"failed to create typed patch object ({named}): {misfit}") from misfit
        except apply.Unconvertible as failed:
            raise OtherError(str(failed)) from failed
        except ValueError as bad:
            raise OtherError(f"failed to merge config: {bad}") from bad
        entries = managed.written(result)
        merged = {**merged, "metadata": {**(merged.get("metadata") or {})}}
        if entries:
            merged["metadata"]["managedFields"] = entries
        if live is None:
            merged["metadata"].pop("resourceVersion", None)
        return merged

    def of_scale(self, kind: Kind, workload: Object) -> list[Object]:
        """The owners of a workload's replicas, as owners of its scale.

        Each owns the replicas of its own version. Source: apimachinery pkg/util/managedfields/scalehandler.go.
        """
        owners = managed.read(workload["metadata"].get("managedFields"), trusted=True)
        return managed.written(
            {
                _at_version(manager, _SCALE_VERSION): Owned(_SCALE_REPLICAS, _SCALE_VERSION, owned.time)
                for manager, owned in owners.items()
                if (path := _replicas(kind, owned.api_version)) and has(owned.fields, path)
            }
        )

    def from_scale(self, kind: Kind, workload: Object, scale: Object) -> None:
        """Make the owners of `scale` those of the workload's (private) replicas."""
        owners = managed.read(workload["metadata"].get("managedFields"), trusted=True)
        scalers = {
            manager: owned
            for manager, owned in managed.read(scale["metadata"].get("managedFields"), trusted=True).items()
            if has(owned.fields, _REPLICAS)
        }
        result: Managed = {}
        for manager, owned in owners.items():
            path = _replicas(kind, owned.api_version)
            if not path or not has(owned.fields, path) or scalers.pop(manager, None) is not None:
                result[manager] = owned
            elif fields := difference(owned.fields, of_paths(path)):
                result[manager] = owned.with_fields(fields)
        for manager in scalers:
            # Upstream asks the object, not the scale, for the time (ScaleHandler.ToParent), so mostly there is none.
            time = owners[manager].time if manager in owners else None
            result[manager] = Owned(of_paths(_replicas(kind, kind.api_version)), kind.api_version, time)
        if entries := managed.written(result):
            workload["metadata"]["managedFields"] = entries

    def _write(self, request: Request, kind: Kind, now: str) -> apply.Write:
        return apply.Write(
            name=request.field_manager,
            api_version=kind.api_version,
            subresource=request.subresource,
            ignored=_ignored(kind, request.subresource),
            versions=versions_of(request, kind, self._find),
            now=now,
        )


def _is_wide(obj: Object) -> bool:
    """Whether there are so many fields that upstream's etcd would not take it with their owners.

    Upstream stores such an object without managedFields (create.go, update.go, patch.go: isTooLargeError).
    """
    count, waiting = 0, [obj]
    while waiting and count <= _MOST_FIELDS:
        node = waiting.pop()
        count += len(node)
        for inner in node.values():
            if type(inner) is dict:
                waiting.append(inner)
    return count > _MOST_FIELDS


def _replicas(kind: Kind, api_version: str) -> tuple[str, ...]:
    """Where that version of the resource keeps its replicas; () where it has no scale."""
    if kind.storage is None:
        return _REPLICAS
    group, _, version = api_version.rpartition("/")
    paths = kind.storage.scales.get(version) if group == kind.group else None
    return tuple(f"f:{name}" for name in paths.spec) if paths is not None else ()


def _at_version(manager: Manager, api_version: str) -> Manager:
    return manager if manager.operation == APPLY else manager._replace(api_version=api_version)


def _current(claimed: Any, old: Object | None, *, is_subresource: bool) -> Managed:
    """The owners before this write: those the request claims, else those the object has."""
    live = None if old is None else old["metadata"].get("managedFields")
    if claimed is not None and not is_subresource and claimed != live:
        if managed.is_reset(claimed):
            return {}
        try:
            if owners := managed.read(claimed):
                return owners
        except ValueError:
            pass  # upstream falls back to what the object has, too
    return managed.read(live, trusted=True)


def same_but_times(new: Any, old: Any) -> bool:
    """Whether two lists of entries say the same apart from when; such a change alone is none."""
    if not new or not old or len(new) != len(old):
        return False
    return all({**a, "time": None} == {**b, "time": None} for a, b in zip(new, old, strict=True))


def _check_identity(kind: Kind, config: Object) -> None:
    version, name = config.get("apiVersion") or "", config.get("kind") or ""
    if (version, name) != (kind.api_version, kind.name):
        raise BadRequest(f"invalid object type: {_gvk(config)}")


def _gvk(config: Object) -> str:
    group, _, version = (config.get("apiVersion") or "").rpartition("/")
    return f"{group}/{version}, Kind={config.get('kind') or ''}"


def _ignored(kind: Kind, subresource: str) -> Set:
    found = _IGNORED.get((kind.plural, subresource)) if kind.schema is None else None
    if found is not None:
        return found
    if subresource == "status":
        alone = kind.schema is not None or kind.strategy.status_keeps_metadata or kind.group in _STATUS_ALONE
        return _META_AND_SPEC if alone else _SPEC
    if not subresource and "status" in kind.subresources:
        return _STATUS
    return _NOTHING
