"""Answers with nothing but metadata: meta.k8s.io/v1 PartialObjectMetadata and its list."""

from __future__ import annotations

from collections.abc import Iterable

from pylet.api.object import Object

VERSION = "meta.k8s.io/v1"


def partial(obj: Object, api_version: str = VERSION) -> Object:
    return {"kind": "PartialObjectMetadata", "apiVersion": api_version, "metadata": obj["metadata"]}


def partial_list(objects: Iterable[Object], list_meta: Object, api_version: str = VERSION) -> Object:
    """`list_meta` is the list's own metadata: resourceVersion, continue, remainingItemCount."""
    items = [partial(obj) for obj in objects]
    return {"kind": "PartialObjectMetadataList", "apiVersion": api_version, "metadata": list_meta, "items": items}
