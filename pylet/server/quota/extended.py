"""Claims of devices count for the extended resources, too, that their classes stand for. Pure.

What a pod asks for counts once: of the claim that was made for it, what goes beyond that.
Source: pkg/quota/v1/evaluator/core/resource_claims.go, addExtendedResourceQuota and getVerifiedPodUsage.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import partial
from weakref import WeakKeyDictionary

from pylet.api import podresources
from pylet.api.object import Key, Object, annotations_of, controller_of, dig, uid_of
from pylet.api.podresources import Amounts
from pylet.api.resources import OF_CLASS
from pylet.client.view import Entry, Table
from pylet.server.quota import ledger
from pylet.server.quota.measure import BY_DEVICE_CLASS, Evaluator, Measured, Scopes, evaluator

CLAIMS = evaluator("resourceclaims.resource.k8s.io")
_MADE_FOR_POD = "resource.kubernetes.io/extended-resource-claim"


class Extended:
    """What the tables say of it."""

    def __init__(self, classes: Table, claims: Table, pods: Table) -> None:
        self._claims = claims
        self._pods = pods
        self._resources = _stood_for(classes)

    def counted(self, evaluator: Evaluator, quota: Object) -> list[str]:
        """What of the quota objects of that sort count for."""
        own = evaluator.names(quota["spec"].get("hard") or ())
        return [*own, *self.names(quota)] if evaluator is CLAIMS else own

    def measured(self, evaluator: Evaluator, obj: Object) -> Measured:
        """What an object of that sort counts for."""
        own = evaluator.measured(obj)
        return own._replace(used={**own.used, **self.of_claim(obj)}) if evaluator is CLAIMS else own

    def beside(self, evaluator: Evaluator, quota: Object, names: Iterable[str], now: datetime) -> Amounts:
        """What is used of those names beside what objects of that sort count for by themselves."""
        shared = self.names(quota).intersection(names)
        total = self.used(quota["metadata"]["namespace"], shared)
        if shared and evaluator is CLAIMS:
            podresources.add(total, ledger.used(quota, self._pods, now))
        return total

    def names(self, quota: Object) -> set[str]:
        """What claims count for of that which pods count for."""
        if not self._resources or not CLAIMS.covers(quota, Scopes()):
            return set()
        known = {f"requests.{each}" for name, of in self._resources.items() for each in (of, OF_CLASS + name)}
        return known.intersection(quota["spec"].get("hard") or ())

    def used(self, namespace: str, names: Iterable[str]) -> Amounts:
        total: Amounts = {}
        for entry in self._claims.in_namespace(namespace).values() if names else ():
            podresources.add(total, self.of_claim(entry.object))
        return {name: total[name] for name in names if name in total}

    def of_claim(self, claim: Object) -> Amounts:
        found: Amounts = {}
        for name, amount in CLAIMS.measured(claim).used.items():
            class_ = name.removesuffix(BY_DEVICE_CLASS)
            if class_ in self._resources:
                podresources.add(found, {f"requests.{OF_CLASS}{class_}": amount})
                podresources.add(found, {f"requests.{self._resources[class_]}": amount})
        pod = self._pod_of(claim) if found else None
        counted = evaluator("pods").measured(pod).used if pod is not None else {}
        rest = {
            name: amount._replace(nanos=amount.nanos - counted[name].nanos) if name in counted else amount
            for name, amount in found.items()
        }
        return {name: amount for name, amount in rest.items() if amount.nanos > 0}

    def _pod_of(self, claim: Object) -> Object | None:
        """The pod that the scheduler made it for; nobody else's claim counts for less."""
        owner, namespace = _owner(claim), claim["metadata"]["namespace"]
        entry = self._pods.entries.get(Key(namespace, owner["name"])) if owner else None
        if owner is None or entry is None or uid_of(entry.object) != owner["uid"]:
            return None
        status = dig(entry.object, "status", "extendedResourceClaimStatus")
        if status is not None:
            return entry.object if status.get("resourceClaimName") == claim["metadata"].get("name") else None
        rivals = (each.object for each in self._claims.in_namespace(namespace).values())
        theirs = [_age(each) for each in rivals if (_owner(each) or {}).get("uid") == owner["uid"]]
        return None if any(age < _age(claim) for age in theirs) else entry.object


_followed: WeakKeyDictionary[Table, dict[str, str]] = WeakKeyDictionary()


def _stood_for(classes: Table) -> Mapping[str, str]:
    """Extended resources by the name of their class, followed as classes change."""
    named = _followed.get(classes)
    if named is None:
        named = _followed[classes] = {}
        follow = partial(_follow, named)
        for entry in classes.entries.values():
            follow(None, entry)
        classes.listen(follow)
    return named


def _follow(named: dict[str, str], before: Entry | None, after: Entry | None) -> None:
    if before is not None:
        named.pop(before.key.name, None)
    if after is not None and (name := dig(after.object, "spec", "extendedResourceName")):
        named[after.key.name] = name


def _owner(claim: Object) -> Object | None:
    owner = controller_of(claim) if annotations_of(claim).get(_MADE_FOR_POD) == "true" else None
    return owner if owner and (owner["apiVersion"], owner["kind"]) == ("v1", "Pod") else None


def _age(claim: Object) -> tuple[str, str]:
    """One that is only about to be made is the youngest."""
    return claim["metadata"].get("creationTimestamp") or "~", claim["metadata"].get("name") or ""
