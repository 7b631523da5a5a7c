"""What makes an access review a good question, and the question it asks. Pure.

Sources: pkg/apis/authorization/validation, pkg/registry/authorization/util/helpers.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from pylet.api import causes, selector
from pylet.api.errors import Cause
from pylet.api.object import Object
from pylet.server.auth.attributes import Attributes
from pylet.server.registry import User

_OF_FIELDS = {"In": "=", "NotIn": "!="}
_OF_LABELS = {
    "In": "{key} in ({values})",
    "NotIn": "{key} notin ({values})",
    "Exists": "{key}",
    "DoesNotExist": "!{key}",
}


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
    fields, of_fields = _fields(resource.get("fieldSelector") or {})
    labels, of_labels = _labels(resource.get("labelSelector") or {})
    asked = Attributes(
        user,
        resource.get("verb") or "",
        resource.get("group") or "",
        resource.get("version") or "*",
        resource.get("resource") or "",
        resource.get("subresource") or "",
        resource.get("namespace") or "",
        resource.get("name") or "",
        fields=fields,
        labels=labels,
    )
    return Question(asked, "; ".join(problem for problem in (of_fields, of_labels) if problem))


def _fields(terms: Object) -> tuple[str, str]:
    """The field selector as text, and what is wrong with it. Requirements all hold; what is unknown narrows nothing."""
    if raw := terms.get("rawSelector"):
        return _parsed(raw, selector.parse_fields, "fieldSelector")
    written = []
    for requirement in terms.get("requirements") or ():
        values: Sequence[str] = requirement.get("values") or ()
        operator = _OF_FIELDS.get(requirement.get("operator") or "")
        if operator is not None and len(values) == 1:
            written.append(f"{requirement['key']}{operator}{values[0]}")
    return _understood(written, terms, "fieldSelector")


def _labels(terms: Object) -> tuple[str, str]:
    """As `_fields`."""
    if raw := terms.get("rawSelector"):
        return _parsed(raw, selector.parse_labels, "labelSelector")
    written = []
    for one in terms.get("requirements") or ():
        form = _OF_LABELS.get(one.get("operator") or "")
        if form is not None:
            written.append(form.format(key=one["key"], values=",".join(one.get("values") or ())))
    return _understood(written, terms, "labelSelector")


def _parsed(raw: str, parse: Callable[[str], object], name: str) -> tuple[str, str]:
    try:
        parse(raw)
    except ValueError:
        return "", f"spec.resourceAttributes.{name} ignored due to parse error"
    return raw, ""


def _understood(written: Sequence[str], terms: Object, name: str) -> tuple[str, str]:
    if len(written) == len(terms.get("requirements") or ()):
        return ",".join(written), ""
    partially = "partially " if written else ""
    return ",".join(written), f"spec.resourceAttributes.{name} {partially}ignored due to parse error"
