"""Whether a write fits into the quotas of its namespace, and what it takes of each. Pure.

`limited` are the entries of a configuration's limitedResources.
Source: apiserver pkg/admission/plugin/resourcequota/controller.go, CheckRequest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from pylet.api import podresources
from pylet.api.object import Object, dig
from pylet.api.podresources import Amounts
from pylet.api.quantity import parse
from pylet.client.view import Entry, Table
from pylet.server.quota import ledger, measure
from pylet.server.quota.extended import Extended
from pylet.server.quota.measure import Evaluator, Measured

Charges = Mapping[str, Amounts]
"""By the name of the quota."""


class Refused(Exception):
    """Says why, as upstream does."""


class Uncovered(Exception):
    """No quota is for the scopes it is of, which are limited; says so as upstream does."""


def handles(plural: str, subresource: str, obj: Object, old: Object | None) -> bool:
    """Whether usage may change by this."""
    if old is None:
        return not subresource
    if plural == "pods":
        return subresource == "resize" or (
            not subresource and measure.is_terminating_pod(obj) != measure.is_terminating_pod(old)
        )
    return not subresource


def charges(
    table: Table,
    quotas: Sequence[Object],
    obj: Object,
    old: Object | None,
    pending: Iterable[Charges],
    now: datetime,
    extended: Extended,
    limited: Sequence[Object] = (),
) -> Charges:
    """What `obj` in place of `old` takes of each quota; `pending` is what others will take.

    Raises: Refused, Uncovered.
    """
    evaluator = measure.evaluator_of(table.kind)
    after = extended.measured(evaluator, obj)
    concerned = [
        (quota, names)
        for quota in quotas
        if (names := extended.counted(evaluator, quota)) and evaluator.covers(quota, after.scopes)
    ]
    for quota, names in concerned:
        if evaluator.resource == "pods" and (lacking := measure.missing(obj, names)):
            raise Refused(f"failed quota: {quota['metadata']['name']}: {lacking}")
    before = extended.measured(evaluator, old) if old is not None and (concerned or limited) else None
    if limited and _grows(after, before, evaluator, [quota for quota, _ in concerned]):
        covered = {name for _, names in concerned for name in names}
        _check_covered(limited, evaluator, after, covered, quotas)
    found: dict[str, Amounts] = {}
    waiting = list(pending)
    for quota, names in concerned:
        # What was not under this quota before is charged in full.
        base = before.used if before is not None and evaluator.covers(quota, before.scopes) else {}
        asked = _growth({name: after.used[name] for name in names if name in after.used}, base)
        if asked:
            name = quota["metadata"]["name"]
            used = ledger.used(quota, table, now)
            podresources.add(used, extended.beside(evaluator, quota, asked, now))
            for charge in waiting:
                podresources.add(used, charge.get(name, {}))
            _check_fit(quota, asked, used)
            found[name] = asked
    return found


def _grows(after: Measured, before: Measured | None, evaluator: Evaluator, quotas: Sequence[Object]) -> bool:
    """Whether it takes more than before of any quota, or of nobody's where there is none."""
    is_new = before is None or any(not evaluator.covers(quota, before.scopes) for quota in quotas)
    return bool(_growth(after.used, {} if is_new or before is None else before.used))


def _check_covered(
    limited: Sequence[Object], evaluator: Evaluator, after: Measured, covered: set[str], quotas: Sequence[Object]
) -> None:
    """Raises: Refused, Uncovered."""
    parts = [part for one in limited if _resource(one) == evaluator.resource for part in one.get("matchContains") or ()]
    used = (name for name, amount in after.used.items() if amount.nanos > 0)
    if lacking := sorted({name for name in used if any(part in name for part in parts)} - covered):
        raise Refused(f"insufficient quota to consume: {','.join(lacking)}")
    asked = [term for one in limited for term in one.get("matchScopes") or () if evaluator.selects(term, after.scopes)]
    scopes = {
        term["scopeName"]
        for quota in quotas
        for term in measure.scope_terms(quota["spec"])
        if evaluator.selects(term, after.scopes)
    }
    if uncovered := [term for term in asked if term.get("scopeName") not in scopes]:
        told = " ".join(_told(term) for term in uncovered)
        raise Uncovered(f"insufficient quota to match these scopes: [{told}]")


def _resource(limited: Object) -> str:
    group = limited.get("apiGroup")
    return f"{limited['resource']}.{group}" if group else str(limited["resource"])


def _told(term: Object) -> str:
    """As Go prints a requirement."""
    values = " ".join(term.get("values") or ())
    return f"{{{term.get('scopeName') or ''} {term.get('operator') or ''} [{values}]}}"


def tells(quota: Entry | None, used: Amounts) -> bool:
    """Whether the quota's status says that so much is used, or more; one that is gone has nothing to say."""
    said: Mapping[str, str] = {} if quota is None else dig(quota.object, "status", "used", default={})
    return quota is None or all(parse(str(said.get(name, 0))).nanos >= used[name].nanos for name in used)


def _growth(after: Amounts, before: Amounts) -> Amounts:
    grown = {
        name: amount._replace(nanos=amount.nanos - before[name].nanos) if name in before else amount
        for name, amount in after.items()
    }
    return {name: amount for name, amount in grown.items() if amount.nanos > 0}


def _check_fit(quota: Object, asked: Amounts, used: Amounts) -> None:
    hard: Mapping[str, str] = dig(quota, "spec", "hard", default={})
    exceeded = [name for name in sorted(asked) if asked[name].nanos + used[name].nanos > parse(str(hard[name])).nanos]
    if exceeded:
        texts = (",".join(f"{name}={amounts[name]}" for name in exceeded) for amounts in (asked, used, hard))
        says = "exceeded quota: {}, requested: {}, used: {}, limited: {}"
        raise Refused(says.format(quota["metadata"]["name"], *texts))
