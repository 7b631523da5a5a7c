"""PriorityLevelConfigurations: how many requests of a level run at once, and what becomes of the rest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pylet.api import causes, columns
from pylet.api.errors import Cause
from pylet.api.kind import Column, Kind, Strategy
from pylet.api.kinds.flowschema import validate_conditions
from pylet.api.object import Object, dig

_TYPES = ("Exempt", "Limited")
_RESPONSES = ("Queue", "Reject")
_MOST_QUEUES = 10_000_000
_MOST_ENTROPY_BITS = 60


class PriorityLevelConfigurationStrategy(Strategy):
    """Source: pkg/apis/flowcontrol/validation, ValidatePriorityLevelConfiguration."""

    has_status = True
    has_generation = True
    status_keeps_metadata = True

    def validate(self, obj: Object) -> Sequence[Cause]:
        name, spec = obj["metadata"].get("name", ""), obj["spec"]
        found = _spec(name, spec)
        if name in ("catch-all", "exempt"):
            from pylet.api import flowcontrol

            fixed = flowcontrol.mandatory_spec("PriorityLevelConfiguration", name) or {}
            if name == "exempt":
                fixed, has, rest = (
                    {**fixed, "exempt": None},
                    {**spec, "exempt": None},
                    " except the 'spec.exempt' field",
                )
            else:
                has, rest = spec, ""
            if has != fixed:
                found.append(causes.invalid("spec", spec, f"spec of '{name}'{rest} must equal the fixed value"))
        return [*found, *validate_conditions(obj)]

    def validate_update(self, obj: Object, old: Object, subresource: str) -> Sequence[Cause]:
        return validate_conditions(obj) if subresource == "status" else self.validate(obj)


def _spec(name: str, spec: Object) -> list[Cause]:
    found: list[Cause] = []
    type_, limited, exempt = spec.get("type", ""), spec.get("limited"), spec.get("exempt")
    if (name == "exempt") != (type_ == "Exempt"):
        found.append(causes.invalid("spec.type", type_, "must be 'Exempt' if and only if `name` is 'exempt'"))
    if type_ not in _TYPES:
        found.append(causes.not_supported("spec.type", type_, _TYPES))
    elif type_ == "Exempt":
        if limited is not None:
            found.append(causes.forbidden("spec.limited", "must be nil if the type is not Limited"))
        if exempt is not None:
            found += _shares(exempt, "spec.exempt") + _lendable(exempt, "spec.exempt")
    else:
        if exempt is not None:
            found.append(causes.forbidden("spec.exempt", "must be nil if the type is Limited"))
        if limited is None:
            found.append(causes.required("spec.limited", "must not be empty when type is Limited"))
        else:
            found += _limited(limited)
    return found


def _shares(of: Object, where: str) -> list[Cause]:
    shares = of.get("nominalConcurrencyShares", 0)
    says = "must be a non-negative integer"
    return [causes.invalid(f"{where}.nominalConcurrencyShares", shares, says)] if shares < 0 else []


def _lendable(of: Object, where: str) -> list[Cause]:
    percent = of.get("lendablePercent", 0)
    says = "must be between 0 and 100, inclusive"
    return [] if 0 <= percent <= 100 else [causes.invalid(f"{where}.lendablePercent", percent, says)]


def _limited(limited: Object) -> list[Cause]:
    where = "spec.limited"
    found = _shares(limited, where)
    response, field = limited.get("limitResponse") or {}, f"{where}.limitResponse"
    type_, queuing = response.get("type", ""), response.get("queuing")
    if type_ not in _RESPONSES:
        found.append(causes.not_supported(f"{field}.type", type_, _RESPONSES))
    elif type_ == "Reject" and queuing is not None:
        says = "must be nil if limited.limitResponse.type is not Limited"
        found.append(causes.forbidden(f"{field}.queuing", says))
    elif type_ == "Queue" and queuing is None:
        says = "must not be empty if limited.limitResponse.type is Limited"
        found.append(causes.required(f"{field}.queuing", says))
    elif queuing is not None:
        found += _queuing(queuing, f"{field}.queuing")
    found += _lendable(limited, where)
    borrowing = limited.get("borrowingLimitPercent", 0)
    if borrowing < 0:
        says = "if specified, must be a non-negative integer"
        found.append(causes.invalid(f"{where}.borrowingLimitPercent", borrowing, says))
    return found


def _queuing(queuing: Object, where: str) -> list[Cause]:
    queues, hand, limit = (queuing.get(name, 0) for name in ("queues", "handSize", "queueLengthLimit"))
    found: list[Cause] = []
    if limit <= 0:
        found.append(causes.invalid(f"{where}.queueLengthLimit", limit, "must be positive"))
    if queues <= 0:
        found.append(causes.invalid(f"{where}.queues", queues, "must be positive"))
    elif queues > _MOST_QUEUES:
        found.append(causes.invalid(f"{where}.queues", queues, f"must not be greater than {_MOST_QUEUES}"))
    problem = ""
    if hand <= 0:
        problem = "must be positive"
    elif hand > queues:
        problem = f"should not be greater than queues ({queues})"
    elif math.ceil(math.log2(queues) * hand) > _MOST_ENTROPY_BITS:
        which = f"deckSize {queues} and handSize {hand}"
        problem = f"required entropy bits of {which} should not be greater than {_MOST_ENTROPY_BITS}"
    return [*found, causes.invalid(f"{where}.handSize", hand, problem)] if problem else found


def _cells(obj: Object, now: datetime) -> list[Any]:
    spec = obj["spec"]
    queuing = dig(spec, "limited", "limitResponse", "queuing", default={})
    return [
        obj["metadata"]["name"],
        spec.get("type", ""),
        dig(spec, "limited", "nominalConcurrencyShares", default="<none>"),
        queuing.get("queues", "<none>"),
        queuing.get("handSize", "<none>"),
        queuing.get("queueLengthLimit", "<none>"),
        columns.age(obj, now),
    ]


KIND = Kind(
    group="flowcontrol.apiserver.k8s.io",
    version="v1",
    name="PriorityLevelConfiguration",
    plural="prioritylevelconfigurations",
    definition="io.k8s.api.flowcontrol.v1.PriorityLevelConfiguration",
    namespaced=False,
    subresources=("status",),
    strategy=PriorityLevelConfigurationStrategy(),
    columns=(
        columns.NAME,
        Column("Type", description="Whether requests are limited at all."),
        Column("NominalConcurrencyShares", description="Its share of the seats."),
        Column("Queues", description="How many queues it has."),
        Column("HandSize", description="How many queues one flow may use."),
        Column("QueueLengthLimit", description="How long a queue may get."),
        columns.AGE,
    ),
    cells=_cells,
)
