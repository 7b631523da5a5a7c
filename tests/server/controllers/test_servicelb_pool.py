"""Which Service gets which address of the pool, and what the others are told."""

from __future__ import annotations

from typing import Any

import pytest

from pylet.api.object import Key, Object
from pylet.server.controllers.servicelb.pool import ASKED, Pool, Share, parse, share
from tests.server.controllers.picture import obj

POOL = parse("10.0.0.8-10.0.0.9, fd00::8/127")


def _service(name: str, *has: str, families: tuple[str, ...] = ("IPv4",), asks: str = "", **spec: Any) -> Object:
    meta = {"annotations": {ASKED: asks}} if asks else {}
    status = {"loadBalancer": {"ingress": [{"ip": ip} for ip in has]}}
    return obj("v1", "Service", name, meta=meta, spec={"ipFamilies": [*families], **spec}, status=status)


def _shares(*services: Object, pool: Pool = POOL) -> dict[str, tuple[str, ...] | str]:
    """Addresses, or the problem, by name."""
    return {key.name: found.problem or found.addresses for key, found in share(pool, services).items()}


@pytest.mark.parametrize(
    ("services", "expected"),
    [
        pytest.param([_service("a"), _service("b")], {"a": ("10.0.0.8",), "b": ("10.0.0.9",)}, id="in order of age"),
        pytest.param(
            [_service("a"), _service("b", "10.0.0.8")],
            {"a": ("10.0.0.9",), "b": ("10.0.0.8",)},
            id="who has an address keeps it",
        ),
        pytest.param(
            [_service("a"), _service("b"), _service("c")],
            {"a": ("10.0.0.8",), "b": ("10.0.0.9",), "c": "all IPv4 addresses of the pool are in use"},
            id="an exhausted pool",
        ),
        pytest.param(
            [_service("a"), _service("b", asks="10.0.0.8")],
            {"a": ("10.0.0.9",), "b": ("10.0.0.8",)},
            id="who asks is served before who takes any",
        ),
        pytest.param([_service("a", loadBalancerIP="10.0.0.9")], {"a": ("10.0.0.9",)}, id="the field asks, too"),
        pytest.param(
            [_service("a", "10.0.0.8", asks="10.0.0.9")],
            {"a": ("10.0.0.9",)},
            id="asking for another gives up the first",
        ),
        pytest.param(
            [_service("a", "10.0.0.8"), _service("b", asks="10.0.0.8")],
            {"a": ("10.0.0.8",), "b": "10.0.0.8 is in use by Service default/a"},
            id="nobody loses an address to who asks",
        ),
        pytest.param(
            [_service("a", asks="10.0.0.77")],
            {"a": "10.0.0.77 is not of the pool, or not of the Service's IP families"},
            id="asking for what the pool has not",
        ),
        pytest.param([_service("a", asks="x")], {"a": "'x' is no address"}, id="asking for nonsense"),
        pytest.param([_service("a", "192.0.2.1")], {"a": ("10.0.0.8",)}, id="an address that left the pool goes"),
        pytest.param(
            [_service("a", families=("IPv6", "IPv4"))],
            {"a": ("fd00::8", "10.0.0.8")},
            id="one of each family, in order",
        ),
    ],
)
def test_sharing(services: list[Object], expected: dict[str, Any]) -> None:
    assert _shares(*services) == expected


def test_a_pool_of_one_family_serves_what_it_can() -> None:
    pool = parse("10.0.0.8/32")
    assert _shares(_service("a", families=("IPv6", "IPv4")), pool=pool) == {"a": ("10.0.0.8",)}
    assert _shares(_service("a", families=("IPv6",)), pool=pool) == {
        "a": "the pool has no address of the Service's IP families"
    }


def test_what_cannot_be_read_of_a_pool_is_said() -> None:
    pool = parse("10.0.0.9-10.0.0.8\n10.0.0/33 fd00::-10.0.0.1 10.0.0.8/32")
    assert pool.mistakes == ("10.0.0.9-10.0.0.8", "10.0.0/33", "fd00::-10.0.0.1")
    first, second = _service("a"), _service("b")
    problem = share(pool, [first, second])[Key("default", "b")].problem
    assert problem.endswith("; the pool cannot be read at 10.0.0.9-10.0.0.8, 10.0.0/33, fd00::-10.0.0.1")


def test_a_network_gives_no_address_that_means_all() -> None:
    (only,) = parse("10.0.0.0/30").ranges
    assert (only.first & 3, only.last & 3) == (1, 2)


def test_a_pool_without_end_is_no_burden() -> None:
    assert share(parse("fd00::/64"), [_service("a", families=("IPv6",))])[Key("default", "a")] == Share(("fd00::1",))
