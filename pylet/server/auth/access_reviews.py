"""What makes an access review a good question, and the question it asks. Pure.

Sources: pkg/apis/authorization/validation, pkg/registry/authorization/util/helpers.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pylet.api import causes, selector
from pylet.api.errors import Cause
from pylet.api.object import Object
from pylet.server.auth.attributes import Attributes
from pylet.server.registry import User

_OPERATORS = {"In": ("=", True), "NotIn": ("!=", True), "Exists": ("", False), "DoesNotExist": ("!", False)}


class Question(NamedTuple):
    """`problem` says what of it could not be understood, and was left out."""

    asked: Attributes
    problem: str = ""


def problems(review: Object, *, names_user: bool, namespace: str | None = None) -> Iterator[Cause]:
    """`names_user` where the review says whom it is about; `namespace` is a local review's."""
    spec = review.get("spec") or {}
    resource, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if resource is not None and path is not None:
        why = "cannot be specified in combination with resourceAttributes"
        yield causes.invalid("spec.nonResourceAttributes", _shown(path), why)
    if resource is None and path is None:
        why = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        yield causes.invalid("spec.resourceAttributes", None, why)
    if names_user and not spec.get("user") and not spec.get("groups"):
        yield causes.invalid("spec.user", "", "at least one of user or group must be specified")
    for name in ("fieldSelector", "labelSelector"):
        if resource is not None and resource.get(name) is not None:
            yield from _selector_problems(resource[name], f"spec.resourceAttributes.{name}")
    allowed, exception = ((), "") if namespace is None else (("namespace",), " except for namespace")
    meta = {name: value for name, value in (review.get("metadata") or {}).items() if value and name != "managedFields"}
    if meta.keys() - set(allowed):
        yield causes.invalid("metadata", meta, f"must be empty{exception}")
    if namespace is None:
        return
    if resource is not None and (given := resource.get("namespace") or "") != namespace:
        yield causes.invalid("spec.resourceAttributes.namespace", given, "must match metadata.namespace")
    if path is not None:
        yield causes.invalid("spec.nonResourceAttributes", _shown(path), "disallowed on this kind of request")


def _shown(path: Object) -> Object:
    return {"Path": path.get("path") or "", "Verb": path.get("verb") or ""}


def _selector_problems(terms: Object, field: str) -> Iterator[Cause]:
    raw, requirements = terms.get("rawSelector") or "", terms.get("requirements") or ()
    if raw and requirements:
        yield causes.invalid(f"{field}.rawSelector", raw, "may not specified at the same time as requirements")
    if not raw and not requirements:
        why = f"when {field} is specified, requirements or rawSelector is required"
        yield causes.required(f"{field}.requirements", why)
    for at, requirement in enumerate(requirements):
        where = f"{field}.requirements[{at}]"
        if field.endswith("labelSelector"):
            yield from selector.validate_requirement(requirement, where)
            continue
        if not requirement.get("key"):
            yield causes.required(f"{where}.key", "must be specified")
        yield from selector.validate_values(requirement, where)


def question(user: User, spec: Object) -> Question:
    """What a good review asks about `user`."""
    path = spec.get("nonResourceAttributes")
    if path is not None:
        return Question(Attributes(user, path.get("verb") or "", path=path.get("path") or "/"))
    resource = spec["resourceAttributes"]
    fields, problem = _fields(resource.get("fieldSelector"))
    asked = Attributes(
        user,
        resource.get("verb") or "",
        resource.get("group") or "",
        resource.get("version") or "",
        resource.get("resource") or "",
        resource.get("subresource") or "",
        resource.get("namespace") or "",
        resource.get("name") or "",
        fields=fields,
    )
    return Question(asked, problem or _label_problem(resource.get("labelSelector")))


def _fields(terms: Object | None) -> tuple[str, str]:
    """The field selector as text, and what is wrong with it. Requirements all hold; what is unknown narrows nothing."""
    if not terms:
        return "", ""
    wrong = "spec.resourceAttributes.fieldSelector ignored due to parse error"
    raw = terms.get("rawSelector") or ""
    if raw:
        try:
            selector.parse_fields(raw)
        except ValueError:
            return "", wrong
        return raw, ""
    written, problem = [], ""
    for requirement in terms.get("requirements") or ():
        values: Sequence[str] = requirement.get("values") or ()
        operator, takes_value = _OPERATORS.get(requirement.get("operator") or "", ("", False))
        if takes_value and len(values) == 1:
            written.append(f"{requirement['key']}{operator}{values[0]}")
        else:
            problem = wrong
    return ",".join(written), problem


def _label_problem(terms: Object | None) -> str:
    """Nobody here decides by labels; what can't be parsed is said all the same."""
    wrong = "spec.resourceAttributes.labelSelector ignored due to parse error"
    if not terms:
        return ""
    if raw := terms.get("rawSelector"):
        try:
            selector.parse_labels(raw)
        except ValueError:
            return wrong
    return "" if all(one.get("operator") in _OPERATORS for one in terms.get("requirements") or ()) else wrong
