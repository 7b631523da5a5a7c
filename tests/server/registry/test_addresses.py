"""Cluster addresses and node ports of Services: chosen, asked for, shared, refused, given back, found again."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address

import pytest

from pylet.api.kinds.ipaddress import KIND as IP_ADDRESS
from pylet.api.kinds.service import KIND as SERVICE
from pylet.api.kinds.servicecidr import KIND as SERVICE_CIDR
from pylet.api.object import Object
from pylet.store.drivers.memory import MemoryStore
from tests.server.kit import Api, refused, running, service


async def test_a_service_gets_an_address(api: Api) -> None:
    spec = (await api.create(service("s")))["spec"]
    assert spec["clusterIP"].startswith("10.43.")
    assert spec["clusterIPs"] == [spec["clusterIP"]]
    assert (spec["ipFamilies"], spec["ipFamilyPolicy"]) == (["IPv4"], "SingleStack")


async def test_a_put_that_leaves_allocated_values_out_keeps_them(api: Api) -> None:
    made = await api.create(service("s", type="NodePort"))
    assert (await api.update(service("s", type="NodePort")))["spec"] == made["spec"]


@pytest.mark.parametrize(
    ("spec", "field", "why"),
    [
        (
            {"clusterIP": "10.43.0.9"},
            "spec.clusterIPs",
            'Invalid value: ["10.43.0.9"]: failed to allocate IP 10.43.0.9: provided IP is already allocated',
        ),
        (
            {"clusterIP": "10.99.0.1"},
            "spec.clusterIPs",
            'Invalid value: ["10.99.0.1"]: failed to allocate IP 10.99.0.1: the provided network does not match the '
            "current range",
        ),
        (
            {"type": "NodePort", "ports": [{"port": 80, "nodePort": 30001}]},
            "spec.ports[0].nodePort",
            "Invalid value: 30001: provided port is already allocated",
        ),
        (
            {"type": "NodePort", "ports": [{"port": 80, "nodePort": 80}]},
            "spec.ports[0].nodePort",
            "Invalid value: 80: provided port is not in the valid range. The range of valid ports is 30000-32767",
        ),
        (
            {"ipFamilyPolicy": "RequireDualStack"},
            "spec.ipFamilyPolicy",
            'Invalid value: "RequireDualStack": this cluster is not configured for dual-stack services',
        ),
    ],
    ids=["a taken address", "an address outside", "a taken port", "a port outside", "two families"],
)
async def test_what_cannot_be_had(api: Api, spec: Object, field: str, why: str) -> None:
    await api.create(service("first", clusterIP="10.43.0.9", type="NodePort", ports=[{"port": 80, "nodePort": 30001}]))
    status = await refused(api.create(service("s", **spec)))
    assert status["code"] == 422
    assert [(cause["field"], cause["message"]) for cause in status["details"]["causes"]] == [(field, why)]


async def test_what_is_deleted_or_refused_is_free_again(api: Api) -> None:
    wanted = {"clusterIP": "10.43.0.9", "type": "NodePort", "ports": [{"port": 80, "nodePort": 30001}]}
    await api.create(service("s", **wanted))
    await refused(api.create(service("s", type="NodePort", ports=[{"port": 80, "nodePort": 30002}])))
    await api.delete(SERVICE, "a", "s")
    await api.create(service("t", **wanted))
    await api.create(service("u", type="NodePort", ports=[{"port": 80, "nodePort": 30002}]))


async def test_what_is_handed_out_and_refused_is_counted(api: Api) -> None:
    def told() -> dict[str, int]:
        lines = [line.rpartition(" ") for line in api.registry.metrics() if "_allocator_allocation_" in line]
        return {name.removeprefix("kube_apiserver_"): int(value) for name, _, value in lines if name[0] != "#"}

    before = told()
    await api.create(service("first", clusterIP="10.43.0.9", type="NodePort", ports=[{"port": 80, "nodePort": 30001}]))
    await api.create(service("second", type="NodePort"))
    await refused(api.create(service("third", clusterIP="10.43.0.9")))
    await refused(api.create(service("fourth", type="NodePort", ports=[{"port": 80, "nodePort": 30001}])))
    found = {name: number - before.get(name, 0) for name, number in told().items()}
    total, failed = "clusterip_allocator_allocation_total", "clusterip_allocator_allocation_errors_total"
    assert found[f'{total}{{cidr="10.43.0.0/16",scope="static"}}'] == 1
    assert found[f'{total}{{cidr="10.43.0.0/16",scope="dynamic"}}'] == 2
    assert found[f'{failed}{{cidr="10.43.0.0/16",scope="static"}}'] == 1
    assert found['nodeport_allocator_allocation_total{scope="static"}'] == 1
    assert found['nodeport_allocator_allocation_total{scope="dynamic"}'] == 1
    assert found['nodeport_allocator_allocation_errors_total{scope="static"}'] == 1


async def test_racing_services_never_share(api: Api) -> None:
    asked = (api.create(service(f"s{i}", clusterIP="10.43.0.9")) for i in range(5))
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(isinstance(answer, dict) for answer in answers) == 1


async def test_one_port_over_two_protocols_has_one_node_port(api: Api) -> None:
    ports = [{"name": "udp", "port": 53, "protocol": "UDP"}, {"name": "tcp", "port": 53}]
    made = await api.create(service("s", type="NodePort", ports=ports))
    assert len({port["nodePort"] for port in made["spec"]["ports"]}) == 1


async def test_headless_and_external_services_get_none(api: Api) -> None:
    assert (await api.create(service("h", clusterIP="None")))["spec"]["clusterIPs"] == ["None"]
    external = (await api.create(service("e", type="ExternalName", externalName="x.test", ports=[])))["spec"]
    assert "clusterIP" not in external


async def test_allocations_are_found_again_after_a_restart() -> None:
    store = MemoryStore()
    async with running(store) as api:
        await api.namespace("a")
        await api.create(service("s", clusterIP="10.43.0.9"))
    async with running(store) as api:
        assert "already allocated" in (await refused(api.create(service("t", clusterIP="10.43.0.9"))))["message"]


def service_cidr(name: str, *cidrs: str) -> Object:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "ServiceCIDR",
        "metadata": {"name": name, "finalizers": ["a.test/keep"]},
        "spec": {"cidrs": list(cidrs)},
    }


async def test_addresses_come_from_every_range_until_it_is_deleted(api: Api) -> None:
    await api.create(service_cidr("more", "192.0.2.0/24"))
    await api.create(service("s", clusterIP="192.0.2.7"))
    await api.delete(SERVICE_CIDR, "", "more")
    assert (
        "does not match the current range"
        in (await refused(api.create(service("t", clusterIP="192.0.2.8"))))["message"]
    )


async def test_a_full_range_makes_room_in_the_next() -> None:
    async with running(MemoryStore(), service_cidr="192.0.2.0/30") as api:
        await api.namespace("a")
        for name in ("one", "two"):
            await api.create(service(name))
        assert "range is full" in (await refused(api.create(service("three"))))["message"]
        await api.create(service_cidr("more", "198.51.100.0/30"))
        assert (await api.create(service("three")))["spec"]["clusterIP"].startswith("198.51.100.")


async def test_an_address_that_somebody_reserved_is_taken(api: Api) -> None:
    parent = {"resource": "gateways", "group": "a.test", "name": "g"}
    head = {"apiVersion": "networking.k8s.io/v1", "kind": "IPAddress", "metadata": {"name": "10.43.0.9"}}
    await api.create({**head, "spec": {"parentRef": parent}})
    assert "already allocated" in (await refused(api.create(service("s", clusterIP="10.43.0.9"))))["message"]
    await api.delete(IP_ADDRESS, "", "10.43.0.9")
    await api.create(service("s", clusterIP="10.43.0.9"))


@pytest.mark.parametrize(
    ("spec", "families"),
    [
        ({}, ["IPv4"]),
        ({"ipFamilyPolicy": "PreferDualStack"}, ["IPv4", "IPv6"]),
        ({"ipFamilyPolicy": "RequireDualStack", "ipFamilies": ["IPv6"]}, ["IPv6", "IPv4"]),
        ({"ipFamilies": ["IPv6"]}, ["IPv6"]),
        ({"clusterIP": "fd00::9"}, ["IPv6"]),
        ({"ipFamilyPolicy": "PreferDualStack", "clusterIP": "fd00::9"}, ["IPv6", "IPv4"]),
    ],
    ids=["one by default", "both", "the other first", "the other", "by address", "by address, and the other"],
)
async def test_two_families(spec: Object, families: list[str]) -> None:
    async with running(MemoryStore(), service_cidr="10.43.0.0/16,fd00::/112") as api:
        await api.namespace("a")
        made = (await api.create(service("s", **spec)))["spec"]
        assert made["ipFamilies"] == families
        assert [f"IPv{ip_address(ip).version}" for ip in made["clusterIPs"]] == families
        assert made["clusterIP"] == made["clusterIPs"][0]


async def test_a_service_gains_and_loses_its_second_address() -> None:
    async with running(MemoryStore(), service_cidr="10.43.0.0/16,fd00::/112") as api:
        await api.namespace("a")
        first = (await api.create(service("s")))["spec"]["clusterIP"]
        both = await api.update(service("s", ipFamilyPolicy="PreferDualStack"))
        assert both["spec"]["clusterIPs"][0] == first
        assert both["spec"]["ipFamilies"] == ["IPv4", "IPv6"]
        both["spec"]["clusterIPs"] = [first]
        status = await refused(api.update(both))
        assert [cause["message"] for cause in status["details"]["causes"]] == [
            "Invalid value: \"PreferDualStack\": must be 'SingleStack' to release the secondary cluster IP"
        ]
        single = await api.patch(SERVICE, "a", "s", {"spec": {"ipFamilyPolicy": "SingleStack"}})
        assert (single["spec"]["clusterIPs"], single["spec"]["ipFamilies"]) == ([first], ["IPv4"])


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ({"ipFamilies": ["IPv4", "IPv6"]}, "IP families"),
        ({"clusterIP": "10.43.0.9", "clusterIPs": ["10.43.0.9", "fd00::9"]}, "cluster IPs"),
    ],
)
async def test_one_family_is_not_two(more: Object, what: str) -> None:
    async with running(MemoryStore(), service_cidr="10.43.0.0/16,fd00::/112") as api:
        await api.namespace("a")
        status = await refused(api.create(service("s", ipFamilyPolicy="SingleStack", **more)))
        must = f"must be 'RequireDualStack' or 'PreferDualStack' when multiple {what} are specified"
        causes = [(cause["field"], cause["message"]) for cause in status["details"]["causes"]]
        assert causes == [("spec.ipFamilyPolicy", f'Invalid value: "SingleStack": {must}')]
