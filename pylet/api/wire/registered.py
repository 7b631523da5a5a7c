"""What upstream's schemes know of kinds and their versions, and what they say of what they do not know or convert.

Source: apimachinery pkg/runtime/{error,scheme}.go, pkg/apis/meta/v1/register.go.
"""

from __future__ import annotations

from typing import Final

from pylet.api import kinds
from pylet.api.kind import Kind

INTERNAL: Final = "__internal"
"""The version that upstream converts all others to, and serves to nobody."""
UNVERSIONED: Final = ("APIGroup", "APIGroupList", "APIResourceList", "APIVersions", "Status")
_IN_ALL: Final = (
    "CreateOptions",
    "DeleteOptions",
    "GetOptions",
    "ListOptions",
    "PatchOptions",
    "UpdateOptions",
    "WatchEvent",
)
_SCHEME: Final = "pkg/api/legacyscheme/scheme.go:30"
_SCHEMES: Final = {
    "apiextensions.k8s.io": "k8s.io/apiextensions-apiserver/pkg/apiserver/apiserver.go:55",
    "apiregistration.k8s.io": "k8s.io/kube-aggregator/pkg/apiserver/scheme/scheme.go:28",
}
"""Upstream serves these groups with servers of their own, which know no others."""


def not_registered(kind: Kind, version: str, named: str) -> str:
    """Why nothing that who serves `kind` knows is of that apiVersion and kind, or ""."""
    group, _, version = version.rpartition("/")
    if kind.schema is not None or _knows(kind, group, version, named):
        return ""
    told = f'the internal version of group "{group}"' if version == INTERNAL else f'version "{_joined(group, version)}"'
    return f'no kind "{named}" is registered for {told} in scheme "{_SCHEMES.get(kind.group, _SCHEME)}"'


def not_converted(kind: Kind, version: str, named: str) -> str:
    """Why a known kind of that apiVersion is not `kind`."""
    group, _, version = version.rpartition("/")
    package = _package(group) if version == INTERNAL else version
    return f"converting ({package}.{named}) to ({_package(internal_group(kind))}.{kind.name}): unknown conversion"


def internal_group(kind: Kind) -> str:
    """The group that the kind's internal version is of."""
    return (kind.stored_as or kind).group


def _package(group: str) -> str:
    return group.partition(".")[0] or "core"


def _joined(group: str, version: str) -> str:
    return f"{group}/{version}" if group else version


def _knows(kind: Kind, group: str, version: str, named: str) -> bool:
    from pylet.api.wire.retired import is_retired

    if named in UNVERSIONED:
        return True
    if kind.group in _SCHEMES or group in _SCHEMES:
        if kind.group != group:
            return False
    elif (group, version, named) == ("", "v1", "List") or is_retired(_joined(group, version), named):
        return True
    in_group = {(one.version, one.name) for one in kinds.all_kinds() if one.group == group}
    if version == INTERNAL:
        in_group |= {(version, internal) for _, internal in in_group}
    if named in _IN_ALL:
        return any(version == known for known, _ in in_group)
    return bool(in_group & {(version, named), (version, named.removesuffix("List"))})
