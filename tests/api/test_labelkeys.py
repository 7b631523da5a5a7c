"""Label keys of affinity and spreading become requirements of their selectors."""

from __future__ import annotations

from typing import Any

import pytest

from pylet.api.kinds.pod import KIND as POD
from pylet.api.podspec import labelkeys

LABELS = {"app": "web", "hash": "1"}
WITH = [{"key": "hash", "operator": "In", "values": ["1"]}]
WITHOUT = [{"key": "hash", "operator": "NotIn", "values": ["1"]}]
SELECTOR: dict[str, Any] = {"matchLabels": {"app": "web"}}


@pytest.mark.parametrize(
    ("holder", "expressions"),
    [
        ({"labelSelector": SELECTOR, "matchLabelKeys": ["hash"]}, WITH),
        ({"labelSelector": SELECTOR, "mismatchLabelKeys": ["hash"]}, WITHOUT),
        ({"labelSelector": SELECTOR, "matchLabelKeys": ["absent"]}, None),
        ({"labelSelector": {**SELECTOR, "matchExpressions": WITHOUT}, "matchLabelKeys": ["hash"]}, WITHOUT + WITH),
    ],
)
@pytest.mark.parametrize("where", ["required", "preferred", "spread"])
def test_keys_become_requirements(where: str, holder: dict[str, Any], expressions: Any) -> None:
    holder = {**holder, "labelSelector": dict(holder["labelSelector"])}
    spec: dict[str, Any] = {"topologySpreadConstraints": [holder]}
    if where == "required":
        spec = {"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [holder]}}}
    elif where == "preferred":
        weighted = {"weight": 1, "podAffinityTerm": holder}
        spec = {"affinity": {"podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [weighted]}}}
    labelkeys.merge({"metadata": {"labels": LABELS}, "spec": spec})
    assert holder["labelSelector"].get("matchExpressions") == expressions


def test_without_a_selector_nothing_is_selected_and_creation_merges() -> None:
    bare = {"matchLabelKeys": ["hash"]}
    spread = {"labelSelector": {}, "matchLabelKeys": ["hash"]}
    pod = {"metadata": {"labels": LABELS}, "spec": {"topologySpreadConstraints": [bare, spread]}}
    POD.strategy.prepare_create(pod)
    assert (bare.get("labelSelector"), spread["labelSelector"]) == (None, {"matchExpressions": WITH})
