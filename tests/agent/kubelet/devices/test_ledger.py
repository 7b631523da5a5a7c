"""What there is of devices, who has them, and what a restart keeps of it."""

from __future__ import annotations

import pytest

from pylet.agent.kubelet.devices import checkpoint
from pylet.agent.kubelet.devices.ledger import Ledger
from pylet.agent.kubelet.devices.messages import Device, Given, NumaNode, Topology
from pylet.agent.kubelet.provided import CannotProvide
from pylet.cri.messages import CDIDevice, Mount

NAME = "x.io/d"


def devices(**health: str) -> list[Device]:
    return [Device(id_, state) for id_, state in health.items()]


@pytest.fixture
def ledger() -> Ledger:
    found = Ledger()
    found.connected(NAME)
    found.listed(NAME, devices(a="Healthy", b="Healthy", c="Unhealthy"))
    return found


def test_unhealthy_devices_are_capacity_but_not_allocatable(ledger: Ledger) -> None:
    assert ledger.counts() == {NAME: (3, 2)}


def test_no_device_is_healthy_while_its_plugin_is_away_and_after_minutes_none_is_there(ledger: Ledger) -> None:
    ledger.disconnected(NAME, 100.0)
    assert ledger.counts() == {NAME: (3, 0)}
    assert ledger.forget_stopped(399.0) == []
    assert ledger.forget_stopped(401.0) == [NAME]
    assert ledger.counts() == {}


def test_a_plugin_that_is_back_in_time_is_not_forgotten(ledger: Ledger) -> None:
    ledger.disconnected(NAME, 100.0)
    ledger.connected(NAME)
    assert ledger.forget_stopped(1000.0) == []


def test_pods_hear_of_their_devices_alone(ledger: Ledger) -> None:
    ledger.grant("u1", "main", NAME, ["a"], Given())
    ledger.grant("u2", "main", NAME, ["b"], Given())
    assert ledger.listed(NAME, devices(a="Unhealthy", b="Healthy")) == {"u1"}
    assert ledger.health("u1") == {"main": [{"name": NAME, "resources": [{"resourceID": "a", "health": "Unhealthy"}]}]}
    assert ledger.listed(NAME, devices(a="Unhealthy", b="Healthy")) == set()


def test_what_is_granted_is_not_free_until_its_pod_is_gone(ledger: Ledger) -> None:
    ledger.grant("u1", "main", NAME, ["a"], Given())
    assert ledger.free(NAME, None) == {"b"}
    assert ledger.keep(["u2"])
    assert ledger.free(NAME, None) == {"a", "b"}


def test_app_containers_take_over_from_init_containers_but_not_from_sidecars(ledger: Ledger) -> None:
    ledger.grant("u1", "init", NAME, ["a", "b"], Given())
    assert ledger.reusable("u1", NAME, {"init"}) == {"a", "b"}
    ledger.grant("u1", "sidecar", NAME, ["a"], Given())
    assert ledger.reusable("u1", NAME, {"init"}) == {"b"}


@pytest.mark.parametrize(
    ("name", "held", "words"),
    [
        pytest.param("x.io/other", "", "cannot allocate unregistered device x.io/other", id="nobody offers it"),
        pytest.param(NAME, "c", "previously allocated devices are no longer healthy", id="what it had fell ill"),
    ],
)
def test_nothing_is_free(ledger: Ledger, name: str, held: str, words: str) -> None:
    ledger.grant("u1", "main", NAME, held, Given())
    with pytest.raises(CannotProvide, match=words):
        ledger.free(name, ledger.granted("u1", "main").get(name))


def test_without_a_healthy_device_nothing_is_free(ledger: Ledger) -> None:
    ledger.disconnected(NAME, 0.0)
    with pytest.raises(CannotProvide, match="no healthy devices present"):
        ledger.free(NAME, None)


def test_a_restart_keeps_grants_and_waits_for_plugins(ledger: Ledger) -> None:
    near = Device("n", "Healthy", Topology((NumaNode(0), NumaNode(1))))
    ledger.listed(NAME, [near, Device("a", "Healthy")])
    given = Given({"K": "v"}, (Mount("/in", "/out", readonly=True),), cdi_devices=(CDIDevice("x.io/c=1"),))
    ledger.grant("u1", "main", NAME, ["n", "a"], given)
    again = checkpoint.from_text(checkpoint.to_text(ledger), 0.0)
    assert again.grants == ledger.grants
    assert again.granted("u1", "main")[NAME].numa == {0: ("n",), 1: ("n",), -1: ("a",)}
    assert again.counts() == {NAME: (0, 0)}


@pytest.mark.parametrize("text", ["", "{}", '{"Data":{},"Checksum":1}', "[]"])
def test_a_broken_file_is_said_to_be(text: str) -> None:
    with pytest.raises(checkpoint.Corrupt):
        checkpoint.from_text(text, 0.0)
