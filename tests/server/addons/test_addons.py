"""A fresh cluster gets its first objects; the next start writes nothing."""

from __future__ import annotations

import pytest

from pylet.api import flowcontrol
from pylet.api.clustersettings import ClusterSettings
from pylet.api.kinds.clusterrole import KIND as CLUSTERROLE
from pylet.api.kinds.customresourcedefinition import KIND as DEFINITION
from pylet.api.kinds.endpointslice import KIND as ENDPOINT_SLICE
from pylet.api.kinds.prioritylevelconfiguration import KIND as LEVEL
from pylet.api.kinds.service import KIND as SERVICE
from pylet.api.kinds.servicecidr import DEFAULT
from pylet.api.kinds.servicecidr import KIND as SERVICE_CIDR
from pylet.api.object import Key, Object
from pylet.server.addons import ensure, ensure_gateway_api, gateway_api, namespaces, objects
from pylet.server.loopback import Loopback
from pylet.store.drivers.memory import MemoryStore
from tests.server.kit import Api, running

RULE: Object = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}
EXTRA: Object = {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"]}
ROLE: Object = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRole",
    "metadata": {"name": "r", "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"}},
    "rules": [RULE],
}


async def start(api: Api) -> Loopback:
    client = Loopback(api.registry)
    await ensure(client, namespaces())
    wanted = objects(ClusterSettings(), advertise_address="192.0.2.1", port=6443)
    await ensure(client, [*wanted, ROLE])
    return client


async def test_a_second_start_writes_nothing() -> None:
    store = MemoryStore()
    async with running(store) as api:
        client = await start(api)
        kubernetes = await client.get(SERVICE, Key("default", "kubernetes"))
        dns = await client.get(SERVICE, Key("kube-system", "kube-dns"))
        assert kubernetes["spec"]["clusterIP"] == "10.43.0.1"
        assert (dns["spec"]["clusterIP"], [port["port"] for port in dns["spec"]["ports"]]) == ("10.43.0.10", [53, 53])
    revision = store.revision
    async with running(store) as api:
        await start(api)
    assert store.revision == revision


@pytest.mark.parametrize(
    ("service_cidr", "expected"),
    [
        pytest.param("10.43.0.0/16,fd43::/112", ["10.43.0.0/16", "fd43::/112"], id="a second family comes"),
        pytest.param("fd43::/112,10.43.0.0/16", ["10.43.0.0/16"], id="not before the first"),
        pytest.param("10.99.0.0/16", ["10.43.0.0/16"], id="and nothing else changes"),
    ],
)
async def test_the_services_networks_may_become_two(api: Api, service_cidr: str, expected: list[str]) -> None:
    client = await start(api)
    settings = ClusterSettings(service_cidr=service_cidr, cluster_dns="10.99.0.10")
    await ensure(client, objects(settings, advertise_address="192.0.2.1", port=6443))
    for key, address in ((Key("default", "kubernetes"), "10.43.0.1"), (Key("kube-system", "kube-dns"), "10.43.0.10")):
        assert (await client.get(SERVICE, key))["spec"]["clusterIP"] == address
    assert (await client.get(SERVICE_CIDR, Key("", DEFAULT)))["spec"]["cidrs"] == expected


async def test_the_server_may_move_to_an_address_of_the_other_family(api: Api) -> None:
    client = await start(api)
    await ensure(client, objects(ClusterSettings(), advertise_address="fd00::1", port=6443))
    slice_ = await client.get(ENDPOINT_SLICE, Key("default", "kubernetes"))
    assert (slice_["addressType"], slice_["endpoints"][0]["addresses"]) == ("IPv6", ["fd00::1"])


async def test_grants_are_restored_and_extra_ones_stay(api: Api) -> None:
    client = Loopback(api.registry)
    await ensure(client, [ROLE])
    await client.patch(CLUSTERROLE, Key("", "r"), {"rules": [EXTRA]})
    await ensure(client, [ROLE])
    assert (await client.get(CLUSTERROLE, Key("", "r")))["rules"] == [EXTRA, RULE]


async def test_what_is_not_to_be_updated_is_left_alone(api: Api) -> None:
    client = Loopback(api.registry)
    frozen = {"rbac.authorization.kubernetes.io/autoupdate": "false"}
    await client.create(CLUSTERROLE, {"metadata": {"name": "r", "annotations": frozen}, "rules": []})
    await ensure(client, [ROLE])
    assert not (await client.get(CLUSTERROLE, Key("", "r"))).get("rules")


async def test_flow_control_is_restored_unless_its_owner_objects(api: Api) -> None:
    client = Loopback(api.registry)
    levels = {obj["metadata"]["name"]: obj for obj in flowcontrol.objects() if obj["kind"] == LEVEL.name}
    await ensure(client, levels.values())
    fewer = {"spec": {"limited": {"nominalConcurrencyShares": 1}}}
    for name, annotation in (("system", "true"), ("node-high", "false"), ("workload-low", None)):
        meta = {"annotations": {flowcontrol.AUTO_UPDATE: annotation}}
        await client.patch(LEVEL, Key("", name), {**fewer, "metadata": meta})
    await client.patch(LEVEL, Key("", "exempt"), {"spec": {"exempt": {"nominalConcurrencyShares": 7}}})
    await ensure(client, levels.values())

    async def shares(name: str, type_: str = "limited") -> int:
        level = await client.get(LEVEL, Key("", name))
        found: int = level["spec"][type_]["nominalConcurrencyShares"]
        return found

    assert [await shares(name) for name in ("system", "node-high", "workload-low")] == [30, 1, 1]
    assert await shares("exempt", "exempt") == 7


async def test_the_gateway_api_is_defined_once_and_somebody_elses_stays(api: Api) -> None:
    client, bundle = Loopback(api.registry), "gateway.networking.k8s.io/bundle-version"

    async def versions() -> list[str]:
        found = [await client.get(DEFINITION, Key("", name)) for name in gateway_api.NAMES]
        return [one["metadata"]["annotations"][bundle] for one in found]

    await ensure_gateway_api(client)
    assert await versions() == [gateway_api.VERSION] * 4
    for name, version in zip(gateway_api.NAMES, ("v1.7.0", "v1.0.0+pylet"), strict=False):
        await client.patch(DEFINITION, Key("", name), {"metadata": {"annotations": {bundle: version}}})
    await ensure_gateway_api(client)
    assert await versions() == ["v1.7.0", *[gateway_api.VERSION] * 3]
