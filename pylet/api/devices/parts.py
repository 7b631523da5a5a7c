"""What claims and slices check alike: names, sets, opaque configuration, tolerations and taints."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

import orjson

from pylet.api import causes, csi, names
from pylet.api.errors import Cause
from pylet.api.object import Object

MOST = 32  # requests, constraints, configurations, selectors, results
_POOL_BYTES = 253
_EXPRESSION_BYTES = 10 << 10
_PARAMETER_BYTES = 10 << 10
_ID_BYTES = 32
_MOST_CONDITIONS = 4
_EFFECTS = ("NoExecute", "NoSchedule", "None")
_OPERATORS = ("Equal", "Exists")
_IDENTIFIER = "[A-Za-z_][A-Za-z0-9_]*"
_IDENTIFIER_SAYS = (
    "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric "
    "characters or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName', "
    f"regex used for validation is '{_IDENTIFIER}')"
)


def validate_all(
    items: Sequence[Any] | None,
    where: str,
    check: Callable[[Any, str], Iterable[Cause]],
    *,
    most: int = MOST,
    key: Callable[[Any], Hashable] | None = None,
) -> list[Cause]:
    """Each item, and that there are not too many; with `key`, no two alike. Too many are not looked at."""
    items = items or ()
    if len(items) > most:
        return [causes.too_many(where, len(items), most)]
    found = [cause for position, item in enumerate(items) for cause in check(item, f"{where}[{position}]")]
    if key is not None:
        seen: set[Hashable] = set()
        for position, item in enumerate(items):
            name = key(item)
            if name in seen:
                found.append(causes.duplicate(f"{where}[{position}]", name))
            seen.add(name)
    return found


def label(name: str, field: str) -> list[Cause]:
    return causes.each(field, name, names.dns_label(name))


def pool(name: str, field: str) -> list[Cause]:
    if not name:
        return [causes.required(field)]
    found = [causes.too_long(field, _POOL_BYTES)] if len(name) > _POOL_BYTES else []
    for part in name.split("/"):
        found += causes.each(field, part, names.dns_subdomain(part))
    return found


def label_key(key: str, field: str) -> list[Cause]:
    return causes.each(field, key, names.qualified_name(key))


def qualified(name: str, field: str) -> list[Cause]:
    """`[driver/]identifier`: attributes and capacities."""
    parts = name.split("/")
    if len(parts) > 2:
        return []  # upstream forgets these
    found: list[Cause] = []
    if len(parts) == 2:
        domain = parts[0]
        found += csi.driver_name(domain, field) if domain else [_empty(field, "domain")]
        if not parts[1]:
            return [*found, _empty(field, "name")]
    return [*found, *_identifier(parts[-1], field)]


def fully_qualified(name: str, field: str) -> list[Cause]:
    found = qualified(name, field)
    if "/" not in name:
        says = "a fully qualified name must be a domain and a name separated by a slash"
        found.append(causes.invalid(field, name, says))
    return found


def _empty(field: str, what: str) -> Cause:
    return causes.invalid(field, "", f"the {what} must not be empty")


def _identifier(text: str, field: str) -> list[Cause]:
    found = [causes.too_long(field, _ID_BYTES)] if len(text) > _ID_BYTES else []
    if not re.fullmatch(_IDENTIFIER, text):
        found.append(causes.invalid(field, text, _IDENTIFIER_SAYS))
    return found


def selector(of: Object, where: str) -> list[Cause]:
    cel = of.get("cel")
    if cel is None:
        return [causes.required(f"{where}.cel")]
    field, expression = f"{where}.cel.expression", cel.get("expression", "")
    if len(expression) > _EXPRESSION_BYTES:
        return [causes.too_long(field, _EXPRESSION_BYTES)]
    from pylet.api.cel.errors import CelError
    from pylet.api.devices.selectors import compiled

    try:
        compiled(expression)
    except CelError as bad:
        return [causes.invalid(field, expression, str(bad))]
    return []


def configuration(of: Object, where: str) -> list[Cause]:
    opaque = of.get("opaque")
    if opaque is None:
        return [causes.required(f"{where}.opaque")]
    found = csi.driver_name(opaque.get("driver", ""), f"{where}.opaque.driver")
    return [*found, *raw(opaque.get("parameters"), f"{where}.opaque.parameters", _PARAMETER_BYTES)]


def raw(value: Any, field: str, most_bytes: int) -> list[Cause]:
    """A JSON object of somebody else's."""
    if value is None:
        return [causes.required(field)]
    if len(orjson.dumps(value)) > most_bytes:
        return [causes.too_long(field, most_bytes)]
    if not isinstance(value, dict):
        return [causes.invalid(field, "<value omitted>", "must be a valid JSON object")]
    return []


def toleration(of: Object, where: str) -> list[Cause]:
    found: list[Cause] = []
    operator, value, effect = of.get("operator", ""), of.get("value", ""), of.get("effect", "")
    if of.get("key"):
        found += label_key(of["key"], f"{where}.key")
    if not operator:
        found.append(causes.required(f"{where}.operator"))
    elif operator not in _OPERATORS:
        found.append(causes.not_supported(f"{where}.operator", operator, _OPERATORS))
    elif operator == "Equal":
        found += causes.each(f"{where}.value", value, names.label_value(value))
    elif value:
        found.append(causes.invalid(f"{where}.value", value, "must be empty for operator `Exists`"))
    if effect and effect not in _EFFECTS:
        found.append(causes.not_supported(f"{where}.effect", effect, _EFFECTS))
    return found


def taint(of: Object, where: str) -> list[Cause]:
    value, effect = of.get("value", ""), of.get("effect", "")
    found = label_key(of.get("key", ""), f"{where}.key")
    found += causes.each(f"{where}.value", value, names.label_value(value))
    if not effect:
        found.append(causes.required(f"{where}.effect"))
    elif effect not in _EFFECTS:
        found.append(causes.not_supported(f"{where}.effect", effect, _EFFECTS))
    return found


def binding(of: Object, where: str) -> list[Cause]:
    """Conditions a device must meet before a pod is bound, and those that end the waiting."""
    wanted, failures = of.get("bindingConditions") or [], of.get("bindingFailureConditions") or []
    good, bad = f"{where}.bindingConditions", f"{where}.bindingFailureConditions"
    found = validate_all(wanted, good, label_key, most=_MOST_CONDITIONS, key=str)
    found += validate_all(failures, bad, label_key, most=_MOST_CONDITIONS, key=str)
    for position, name in enumerate(failures):
        if name in wanted:
            says = "bindingFailureConditions must not overlap with bindingConditions"
            found.append(causes.invalid(f"{bad}[{position}]", name, says))
    if failures and not wanted:
        says = "bindingConditions are required to use bindingFailureConditions"
        found.append(causes.invalid(good, wanted or None, says))
    if wanted and not failures:
        says = "bindingFailureConditions are required to use bindingConditions"
        found.append(causes.invalid(bad, failures or None, says))
    return found
