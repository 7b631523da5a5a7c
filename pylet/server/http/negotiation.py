"""Which form an answer takes, by the Accept header, and which form a body has, by its Content-Type. Pure.

Sources: apiserver pkg/endpoints/handlers/negotiation/{negotiate,errors}.go, RFC 9110 section 12.5.1.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from pylet.api.errors import NotAcceptable, UnsupportedMediaType
from pylet.api.remembered import remembered
from pylet.api.wire.accept import clauses
from pylet.api.wire.decode import PROTOBUF_TYPE

JSON_TYPE = "application/json"
YAML_TYPE = "application/yaml"
_SERVED = (JSON_TYPE, YAML_TYPE, PROTOBUF_TYPE)
_STREAMED = (JSON_TYPE, PROTOBUF_TYPE)
_WATCHED = tuple(f"{type_};stream=watch" for type_ in _STREAMED)
_HUMAN = ("curl", "Wget", "Mozilla/5.0")
_TRUE = ("1", "true", "t", "T", "TRUE", "True")
_META = "meta.k8s.io"
_META_VERSIONS = ("v1", "v1beta1")


class Shape(Enum):
    """What an answer shows of its objects."""

    OBJECT = ""
    TABLE = "Table"
    METADATA = "PartialObjectMetadata"
    METADATA_LIST = "PartialObjectMetadataList"


class Media(NamedTuple):
    """`version` is that of meta.k8s.io, for shapes other than OBJECT; `is_pretty` where the header asks for it."""

    type: str = JSON_TYPE
    shape: Shape = Shape.OBJECT
    version: str = ""
    is_pretty: bool = False


PLAIN = Media()


@remembered(256)
def accepted(
    header: str, *, shapes: bool = True, streams: bool = False, has_protobuf: bool = True, may_stream: bool = False
) -> Media:
    """The best form the client takes; `shapes` False for answers that are never tables, `streams` for watches.

    `has_protobuf` False is for objects that have no such form, whose metadata alone then does; `may_stream` for paths
    that are watched, too. Raises: NotAcceptable.
    """
    asked = clauses(header)
    if has_protobuf and not any(clause.type in (*_SERVED, "*/*") for clause in asked):
        known = (*_SERVED, *_WATCHED) if may_stream else _SERVED
        raise NotAcceptable(f"406: Not Acceptable\n\nAvailable representations: {', '.join(known)}")
    for clause in asked:
        for served in _STREAMED if streams else _SERVED:
            if not clause.matches(served):
                continue
            media = _media(served, clause.params, shapes=shapes)
            if media is not None and (has_protobuf or media.type != PROTOBUF_TYPE or media.shape is not Shape.OBJECT):
                return media
    if streams:
        accepted(header, shapes=shapes, has_protobuf=has_protobuf)  # what no list could be either is told so
    raise NotAcceptable("only the following media types are accepted: " + ", ".join(_WATCHED if streams else _SERVED))


def wants_indent(asked: str, user_agent: str) -> bool:
    """Whether JSON is for human eyes: the query's `pretty`, else what such clients call themselves."""
    return asked in _TRUE if asked else user_agent.startswith(_HUMAN)


def content_type(header: str) -> str:
    """The media type of a body; an absent header means JSON. Raises: UnsupportedMediaType."""
    type_, *params = (part.strip().lower() for part in header.split(";"))
    if all("=" in param for param in params) and type_ in ("", *_SERVED):
        return type_ or JSON_TYPE
    raise unsupported(_SERVED)


def unsupported(types: tuple[str, ...]) -> UnsupportedMediaType:
    return UnsupportedMediaType(
        "the body of the request was in an unknown format - accepted media types include: " + ", ".join(types)
    )


def _media(type_: str, params: dict[str, str], *, shapes: bool) -> Media | None:
    is_pretty = params.get("pretty") == "1"
    if params.get("stream", "") not in ("", "watch") or params.get("sv"):
        return None
    if params.keys().isdisjoint(("as", "g", "v")):
        return Media(type_, is_pretty=is_pretty)
    if not shapes or params.get("g") != _META or params.get("v") not in _META_VERSIONS:
        return None
    try:
        shape = Shape(params.get("as", ""))
    except ValueError:
        return None
    if shape is Shape.OBJECT or (shape is Shape.TABLE and type_ == PROTOBUF_TYPE):
        return None
    return Media(type_, shape, params["v"], is_pretty)
