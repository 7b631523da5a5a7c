from __future__ import annotations

from typing import Any

import pytest

from pylet.server.scheduler.configuration import profiles
from pylet.server.scheduler.plugins import PROFILE
from tests.server.scheduler.kit import node, placed, pod

KIND = {"apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration"}


def configured(name: str, **args: Any) -> Any:
    (found,) = profiles({**KIND, "profiles": [{"pluginConfig": [{"name": name, "args": args}]}]})
    return found


def test_an_empty_file_is_the_default() -> None:
    assert profiles(KIND) == (PROFILE,)


def test_plugins_can_be_left_out_and_weighed() -> None:
    plugins = {
        "multiPoint": {"disabled": [{"name": "ImageLocality"}, {"name": "DefaultPreemption"}]},
        "score": {"disabled": [{"name": "*"}], "enabled": [{"name": "NodeResourcesFit", "weight": 7}]},
    }
    (found,) = profiles({**KIND, "profiles": [{"schedulerName": "mine", "plugins": plugins}]})
    weights = {plugin.name: weight for plugin, weight in found.plugins}
    assert (found.scheduler_name, found.may_preempt) == ("mine", False)
    assert "ImageLocality" not in weights
    assert {name: weight for name, weight in weights.items() if weight} == {"NodeResourcesFit": 7}


TIGHT, WIDE = node("tight", cpu="2"), node("wide", cpu="8")


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        pytest.param(configured("NodeResourcesFit"), "wide", id="least allocated"),
        pytest.param(
            configured("NodeResourcesFit", scoringStrategy={"type": "MostAllocated"}), "tight", id="most allocated"
        ),
        pytest.param(
            configured(
                "NodeResourcesFit",
                scoringStrategy={
                    "type": "RequestedToCapacityRatio",
                    "requestedToCapacityRatio": {
                        "shape": [{"utilization": 0, "score": 0}, {"utilization": 100, "score": 10}]
                    },
                },
            ),
            "tight",
            id="by a shape",
        ),
        pytest.param(
            configured(
                "NodeAffinity",
                addedAffinity={
                    "requiredDuringSchedulingIgnoredDuringExecution": {
                        "nodeSelectorTerms": [{"matchExpressions": [{"key": "gone", "operator": "Exists"}]}]
                    }
                },
            ),
            "0/2 nodes are available: 2 node(s) didn't match scheduler-enforced node affinity.",
            id="with affinity of the profile",
        ),
    ],
)
def test_arguments_count(profile: Any, expected: str) -> None:
    assert placed(pod(cpu="1"), WIDE, TIGHT, profile=profile) == expected


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({}, "apiVersion and kind: must be"),
        ({**KIND, "extenders": []}, "extenders: not understood here"),
        ({**KIND, "percentageOfNodesToScore": 101}, r"percentageOfNodesToScore: not in valid range \[0-100\]"),
        ({**KIND, "profiles": [{}, {}]}, "schedulerName must be given"),
        (
            {**KIND, "profiles": [{"plugins": {"score": {"enabled": [{"name": "Mine"}]}}}]},
            r"profiles\[0\].plugins.score: there is no plugin Mine",
        ),
    ],
)
def test_what_is_not_understood_is_refused(config: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        profiles(config)
