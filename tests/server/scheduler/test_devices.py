"""Devices that claims get: on which nodes, which ones, and why none."""

from __future__ import annotations

from typing import Any

import pytest

from pylet.api.object import Object
from pylet.server.scheduler.decide import Broken
from pylet.server.scheduler.devices.allocation import allocate
from pylet.server.scheduler.devices.ledger import Ledger
from pylet.server.scheduler.devices.requests import Asked
from pylet.server.scheduler.model import NodeInfo
from tests.server.scheduler.devices import DRIVER, HERE, claim, device, device_class, request, slice_of, taken
from tests.server.scheduler.kit import node, view_of

MODEL, NUMA = f"{DRIVER}/model", f"{DRIVER}/numa"
ON_ONE = f'device.attributes["{DRIVER}"].numa == 1'


def alternatives(*requests: Object, name: str = "r") -> Object:
    return {"name": name, "firstAvailable": [{"name": each["name"], **each["exactly"]} for each in requests]}


def asked(*claims: Object, of: tuple[Object, ...], labels: Any = None) -> list[Object] | str:
    """What claims that are not allocated get on the node `n`."""
    others = of if any(each["kind"] == "DeviceClass" for each in of) else (*of, device_class())
    view = view_of(*others)
    ledger, info = Ledger(), NodeInfo("n")
    info.update(node("n", labels=labels))
    for each in claims:
        if "status" in each:
            ledger.hear(None, each)
    return allocate([Asked.of(each, view) for each in claims if "status" not in each], info, view, ledger)


def got(*claims: Object, of: tuple[Object, ...], labels: Any = None) -> list[list[str]] | str:
    """Names of devices, claim by claim."""
    found = asked(*claims, of=of, labels=labels)
    return found if isinstance(found, str) else [[r["device"] for r in each["devices"]["results"]] for each in found]


TWO = slice_of(device("a", attributes={"numa": 0, "model": "x"}), device("b", attributes={"numa": 1, "model": "x"}))
NONE = "cannot allocate all claims"
MATCH_NUMA = {"matchAttribute": f"{DRIVER}/numa"}
TAINT = {"key": "sick", "value": "yes", "effect": "NoSchedule"}
COUNTERS = slice_of(name="c", count=2, sharedCounters=[{"name": "set", "counters": {"memory": {"value": "10Gi"}}}])


def eats(amount: str) -> list[Object]:
    return [{"counterSet": "set", "counters": {"memory": {"value": amount}}}]


PARTS = slice_of(
    device("whole", consumesCounters=eats("10Gi")),
    device("half-1", consumesCounters=eats("5Gi")),
    device("half-2", consumesCounters=eats("5Gi")),
    name="d",
    count=2,
)
SHARED = slice_of(device("nic", allowMultipleAllocations=True, capacity={"bandwidth": "10Gi"}))


def share(amount: str, name: str = "r") -> Object:
    return request(name, capacity={"requests": {"bandwidth": amount}})


CASES: dict[str, tuple[Any, ...]] = {
    "one device": ([claim(request())], [TWO], [["a"]]),
    "two of one request": ([claim(request(count=2))], [TWO], [["a", "b"]]),
    "more than there are": ([claim(request(count=3))], [TWO], NONE),
    "two requests get different ones": ([claim(request("x"), request("y"))], [TWO], [["a", "b"]]),
    "two claims get different ones": ([claim(request()), claim(request(), name="d")], [TWO], [["a"], ["b"]]),
    "what somebody has is not there": ([taken("a"), claim(request())], [TWO], [["b"]]),
    "all is given away": ([taken("a", "b"), claim(request())], [TWO], NONE),
    "who has it for administration has it beside others": (
        [taken("a", adminAccess=True), claim(request())],
        [TWO],
        [["a"]],
    ),
    "administration may have what others have": (
        [taken("a", "b"), claim(request(adminAccess=True, allocationMode="All"))],
        [TWO],
        [["a", "b"]],
    ),
    "all of them": ([claim(request(allocationMode="All"))], [TWO], [["a", "b"]]),
    "all, but one is in use": ([taken("a"), claim(request(allocationMode="All"))], [TWO], NONE),
    "all of none": ([claim(request(allocationMode="All", selector="false"))], [TWO], NONE),
    "a selector of the request": ([claim(request(selector=ON_ONE))], [TWO], [["b"]]),
    "a selector of the class": (
        [claim(request())],
        [TWO, device_class(selectors=[{"cel": {"expression": ON_ONE}}])],
        [["b"]],
    ),
    "the first device is tried again when the second request wants it": (
        [claim(request("any"), request("first", selector=f'device.attributes["{DRIVER}"].numa == 0'))],
        [TWO],
        [["b", "a"]],
    ),
    "same attribute": ([claim(request(count=2), constraints=[{"matchAttribute": MODEL}])], [TWO], [["a", "b"]]),
    "not the same attribute": ([claim(request(count=2), constraints=[MATCH_NUMA])], [TWO], NONE),
    "a constraint on another request": (
        [claim(request("x"), request("y"), constraints=[{**MATCH_NUMA, "requests": ["x"]}])],
        [TWO],
        [["a", "b"]],
    ),
    "no such attribute": ([claim(request(), constraints=[{"matchAttribute": f"{DRIVER}/none"}])], [TWO], NONE),
    "distinct attribute": ([claim(request(count=2), constraints=[{"distinctAttribute": NUMA}])], [TWO], [["a", "b"]]),
    "no distinct attribute": ([claim(request(count=2), constraints=[{"distinctAttribute": MODEL}])], [TWO], NONE),
    "the first alternative": ([claim(alternatives(request("two", count=2), request("one")))], [TWO], [["a", "b"]]),
    "the second alternative": (
        [taken("a"), claim(alternatives(request("two", count=2), request("one")))],
        [TWO],
        [["b"]],
    ),
    "an alternative that leaves room for the next request": (
        [claim(alternatives(request("two", count=2), request("one")), request("y"))],
        [TWO],
        [["a", "b"]],
    ),
    "a taint": ([claim(request())], [slice_of(device("a", taints=[TAINT]), device("b"))], [["b"]]),
    "a taint without effect": (
        [claim(request())],
        [slice_of(device("a", taints=[{**TAINT, "effect": "None"}]))],
        [["a"]],
    ),
    "a taint that is tolerated": (
        [claim(request(tolerations=[{"key": "sick", "operator": "Exists"}]))],
        [slice_of(device("a", taints=[TAINT]))],
        [["a"]],
    ),
    "devices of another node": ([claim(request())], [slice_of(device("a"), nodeName="other")], NONE),
    "devices of all nodes": ([claim(request())], [slice_of(device("a"), allNodes=True)], [["a"]]),
    "a device that says itself where it is": (
        [claim(request())],
        [slice_of(device("a", nodeName="other"), device("b", nodeName="n"), perDeviceNodeSelection=True)],
        [["b"]],
    ),
    "a pool that is not whole": ([claim(request())], [slice_of(device("a"), count=2)], NONE),
    "a slice of an older generation": (
        [claim(request())],
        [slice_of(device("old")), slice_of(device("new"), name="t", generation=2)],
        [["new"]],
    ),
    "a pool that is being replaced elsewhere": (
        [claim(request())],
        [slice_of(device("old"), count=2), slice_of(device("new"), name="t", generation=2, nodeName="other")],
        NONE,
    ),
    "pools by name": (
        [claim(request())],
        [slice_of(device("a"), pool="z"), slice_of(device("b"), pool="y", name="t")],
        [["b"]],
    ),
    "pools with conditions to wait for come last": (
        [claim(request())],
        [slice_of(device("a", bindingConditions=["ready"]), pool="a"), slice_of(device("b"), pool="b", name="t")],
        [["b"]],
    ),
    "names that are not unique": (
        [claim(request())],
        [slice_of(device("a"), count=2), slice_of(device("a"), name="t", count=2)],
        "invalid resource pools were encountered",
    ),
    "counters for two halves": ([claim(request(count=2))], [COUNTERS, PARTS], [["half-1", "half-2"]]),
    "counters used up": ([taken("whole"), claim(request())], [COUNTERS, PARTS], NONE),
    "counters half used up": ([taken("half-1"), claim(request())], [COUNTERS, PARTS], [["half-2"]]),
    "shares of a device": ([claim(share("4Gi")), claim(share("6Gi"), name="d")], [SHARED], [["nic"], ["nic"]]),
    "shares that are too large": ([claim(share("5Gi")), claim(share("6Gi"), name="d")], [SHARED], NONE),
    "a share beside another": (
        [taken("nic", shareID="s", consumedCapacity={"bandwidth": "5Gi"}), claim(share("6Gi"))],
        [SHARED],
        NONE,
    ),
    "a capacity that is not there": ([claim(request(capacity={"requests": {"memory": "1"}}))], [SHARED], NONE),
}


@pytest.mark.parametrize("name", CASES)
def test_claims_get_devices(name: str) -> None:
    claims, objects, expected = CASES[name]
    assert got(*claims, of=tuple(objects)) == expected


def test_all_of_a_pool_that_is_not_whole_is_not_known() -> None:
    with pytest.raises(
        Broken, match=r"request r: asks for all devices, but resource pool .*/p is currently being updated"
    ):
        got(claim(request(allocationMode="All")), of=(slice_of(device("a"), count=2),))


@pytest.mark.parametrize(
    ("selector", "says"),
    [
        ("device.nothing", "claim default/c: selector #0: CEL compile error: compilation failed: ERROR"),
        (f'device.attributes["{DRIVER}"].none', "claim default/c: selector #0: CEL runtime error: no such key: none"),
    ],
)
def test_a_selector_that_cannot_be_evaluated_ends_the_attempt(selector: str, says: str) -> None:
    with pytest.raises(Broken) as broken:
        got(claim(request(selector=selector)), of=(TWO,))
    assert str(broken.value).startswith(says)


def test_a_search_without_end_is_given_up() -> None:
    devices = [device(f"d{at}", attributes={"numa": at}) for at in range(40)]
    with pytest.raises(Broken, match="node n: timed out trying to allocate devices"):
        got(
            claim(request("x", count=6), request("y", count=20), constraints=[{**MATCH_NUMA, "requests": ["y"]}]),
            of=(slice_of(*devices),),
        )


def test_an_allocation_says_what_drivers_and_other_nodes_need_to_know() -> None:
    of_class = device_class(config=[{"opaque": {"driver": DRIVER, "parameters": {"a": 1}}}])
    config = [{"requests": ["r"], "opaque": {"driver": DRIVER, "parameters": {"b": 2}}}]
    wanted = claim(alternatives(request("x")), request("s"), config=config)
    found = asked(wanted, of=(TWO, of_class))
    assert found == [
        {
            "devices": {
                "results": [
                    {"request": "r/x", "driver": DRIVER, "pool": "p", "device": "a"},
                    {"request": "s", "driver": DRIVER, "pool": "p", "device": "b"},
                ],
                "config": [
                    {**of_class["spec"]["config"][0], "source": "FromClass", "requests": ["r/x", "s"]},
                    {**config[0], "source": "FromClaim"},
                ],
            },
            "nodeSelector": {"nodeSelectorTerms": [HERE]},
        }
    ]


def test_devices_of_several_nodes_are_for_those() -> None:
    term = {"matchExpressions": [{"key": "rack", "operator": "In", "values": ["1"]}]}
    slices = slice_of(device("a"), device("b"), nodeSelector={"nodeSelectorTerms": [term]})
    (found,) = asked(claim(request(count=2)), of=(slices,), labels={"rack": "1"})
    assert found["nodeSelector"] == {"nodeSelectorTerms": [term]}
    assert asked(claim(request()), of=(slices,)) == NONE


@pytest.mark.parametrize(
    ("policy", "asks", "gets"),
    [
        (None, None, "10Gi"),
        ({"default": "1Gi"}, None, "1Gi"),
        ({"default": "1Gi", "validRange": {"min": "1Gi"}}, "1", "1Gi"),
        ({"default": "1Gi", "validRange": {"min": "1Gi", "step": "2Gi"}}, "2Gi", "3Gi"),
        ({"default": "1Gi", "validRange": {"min": "1Gi", "max": "2Gi"}}, "3Gi", None),
        ({"default": "1Gi", "validValues": ["1Gi", "4Gi"]}, "2Gi", "4Gi"),
        ({"default": "1Gi", "validValues": ["1Gi", "4Gi"]}, "5Gi", None),
    ],
)
def test_a_share_is_what_the_device_gives(policy: Any, asks: str | None, gets: str | None) -> None:
    offer = {"value": "10Gi"} | ({"requestPolicy": policy} if policy else {})
    offered = slice_of(device("nic", allowMultipleAllocations=True, capacity={"bandwidth": offer}))
    found = asked(claim(share(asks) if asks else request()), of=(offered,))
    if gets is None:
        assert found == NONE
    else:
        (result,) = found[0]["devices"]["results"]
        assert result["consumedCapacity"] == {"bandwidth": gets}
        assert result["shareID"]
