"""The scale subresource: a Scale shown of a workload, and a Scale's replicas put into it; only `write` acts.

Source: pkg/registry/apps/{deployment,replicaset}/storage (ScaleREST).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import orjson

from pylet.api import causes, selector
from pylet.api.errors import BadRequest, Conflict, Invalid
from pylet.api.kind import Kind, ScalePaths
from pylet.api.kinds.scale import KIND as SCALE
from pylet.api.object import Object, dig
from pylet.client.view import Entry
from pylet.server.registry.answers import Written
from pylet.server.registry.judging import check_uid
from pylet.server.registry.metadata import check_name
from pylet.server.registry.request import Request
from pylet.server.registry.writing import Through, Writer, private_copy

_NONE = -(1 << 31)
"""What a patch finds where a custom resource says no replicas, and has to change."""
_SHOWN = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")


async def write(
    writer: Writer, request: Request, changed: Callable[[Object], Object], now: str, *, is_tracked: bool
) -> Written:
    """Change the workload as `changed` does its Scale, a copy, which says already who owns what where it `is_tracked`.

    Owners of a Scale are those of the replicas, seen through it. Raises: ApiError.
    """
    kind, owners = request.kind, writer.ownership

    def change(entry: Entry) -> Object:
        before = scale_of(kind, entry.object)
        if kind.scale is not None and dig(entry.object, *kind.scale.spec) is None:
            before["spec"]["replicas"] = _NONE
        if entries := owners.of_scale(kind, entry.object):
            before["metadata"]["managedFields"] = entries
        after = changed(orjson.loads(orjson.dumps(before)))
        if dig(after, "spec", "replicas") == _NONE and kind.scale is not None:
            raise BadRequest(f'the spec replicas field ".{".".join(kind.scale.spec)}" cannot be empty')
        check_name(SCALE, after["metadata"], request.key)
        if request.verb == "update":
            check_uid(request, after["metadata"], entry)
        if not is_tracked:
            owners.track(request, SCALE, after, before, now)
        workload = scaled(kind, private_copy(entry), after)
        owners.from_scale(kind, workload, after)
        return workload

    through = Through(request, partial(scale_of, kind), partial(scaled, kind))
    written = await writer.change(replace(request, subresource=""), change, is_tracked=True, through=through)
    return Written(Entry.of(SCALE, scale_of(kind, orjson.loads(written.entry.raw))))


def scale_of(kind: Kind, workload: Object) -> Object:
    meta = workload["metadata"]
    if kind.scale is not None:
        return _custom(kind.scale, workload)
    chosen = dig(workload, "spec", "selector")
    # A ReplicationController's selector is a plain map of labels.
    is_plain = chosen is not None and not chosen.keys() & {"matchLabels", "matchExpressions"}
    labels = selector.from_labels(chosen) if is_plain else selector.from_object(chosen)
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {name: meta[name] for name in _SHOWN if name in meta},
        "spec": _spec(dig(workload, "spec", "replicas", default=0)),
        "status": {"replicas": dig(workload, "status", "replicas", default=0), "selector": str(labels)},
    }


def _custom(paths: ScalePaths, obj: Object) -> Object:
    """Source: apiextensions-apiserver pkg/registry/customresource/etcd.go (scaleFromCustomResource)."""
    meta = obj["metadata"]
    status: Object = {"replicas": _count(dig(obj, *paths.status))}
    if paths.selector and (chosen := dig(obj, *paths.selector, default="")):
        status["selector"] = chosen
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {name: meta[name] for name in _SHOWN if name in meta},
        "spec": _spec(_count(dig(obj, *paths.spec))),
        "status": status,
    }


def _spec(replicas: int) -> Object:
    return {"replicas": replicas} if replicas else {}  # as Go prints it


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0


def scaled(kind: Kind, workload: Object, scale: Object) -> Object:
    """`workload` (private, changed in place) with the replicas of `scale`, whose version must fit later.

    Raises: Invalid, Conflict.
    """
    replicas = dig(scale, "spec", "replicas", default=0)
    if replicas < 0 and kind.scale is None:  # a custom resource is judged by its own rules
        why = causes.invalid("spec.replicas", replicas, "must be greater than or equal to 0")
        raise Invalid("autoscaling", "Scale", workload["metadata"]["name"], (why,))
    uid = scale["metadata"].get("uid")
    if uid and uid != workload["metadata"]["uid"] and kind.scale is None:
        says = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {workload['metadata']['uid']}"
        raise Conflict(kind.group, f"{kind.plural}/scale", workload["metadata"]["name"], says)
    *way, last = ("spec", "replicas") if kind.scale is None else kind.scale.spec
    holder = workload
    for name in way:
        holder = holder.setdefault(name, {})
    holder[last] = replicas
    if version := scale["metadata"].get("resourceVersion"):
        workload["metadata"]["resourceVersion"] = version
    return workload
