"""The loop keeps the kernel's table equal to policies, namespaces and pods."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pylet.agent.policy.loop import Policies
from pylet.aio.clock import SystemClock
from pylet.api.kind import Kind
from pylet.api.kinds.namespace import KIND as NAMESPACE
from pylet.api.kinds.networkpolicy import KIND as NETWORK_POLICY
from pylet.api.kinds.pod import KIND as POD
from pylet.api.object import Key, Object
from pylet.client.view import Entry, Table
from tests.agent.policy.builders import named, pod, policy
from tests.netns import Lab, Member, needs_netns
from tests.waiting import until

pytestmark = needs_netns


class World:
    """Stands in for the API's tables."""

    def __init__(self, node: Member) -> None:
        self.node = node
        self.policies = Policies(self, SystemClock(), node="here")
        self.asked: list[Kind] = []
        self._tables = {kind: Table(kind) for kind in (NETWORK_POLICY, POD, NAMESPACE)}
        self._revision = 0
        for name in ("x", "y"):
            self.put(NAMESPACE, {"metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}}})

    async def table(self, kind: Kind, *, namespace: str = "", labels: str = "", fields: str = "") -> Table:
        self.asked.append(kind)
        return self._tables[kind]

    async def object_table(self, kind: Kind, key: Key) -> Table:
        raise NotImplementedError

    def release(self, kind: Kind, key: Key) -> None:
        raise NotImplementedError

    def put(self, kind: Kind, obj: Object) -> None:
        self._revision += 1
        meta = {**obj["metadata"], "resourceVersion": str(self._revision)}
        self._tables[kind].put(Entry.of(kind, {**obj, "metadata": meta}))

    def remove(self, kind: Kind, *key: str) -> None:
        self._tables[kind].remove(Key(*key))

    def rules(self) -> str:
        return self.node.run("nft", "list", "table", "inet", "pylet-policy", check=False)

    def set(self, prefix: str) -> str:
        """What the sets of that name hold."""
        found = self.rules().split("\n\tset ") + self.rules().split("\n\tmap ")
        return " ".join(text.split("\n\t}")[0] for text in found if text.startswith(prefix))


@asynccontextmanager
async def running() -> AsyncIterator[World]:
    with Lab(nodes=1) as lab:
        world = World(lab.nodes[0])
        with world.node.entered():
            task = asyncio.create_task(world.policies.run())
            try:
                await asyncio.wait_for(world.policies.written.wait(), 60)
                yield world
            finally:
                task.cancel()
                await asyncio.wait([task])


async def test_without_policies_nobody_watches_pods() -> None:
    async with running() as world:
        assert world.asked == [NETWORK_POLICY]
        assert "chain" not in world.rules()


async def test_pods_come_change_and_go() -> None:
    async with running() as world:
        world.put(NETWORK_POLICY, policy(ingress=[{"from": [{"podSelector": named("friend")}]}]))
        world.put(POD, pod("subject", "10.42.1.2"))
        await until(lambda: "10.42.1.2" in world.set("ingress4"))
        world.put(POD, pod("friend", "10.42.2.2", node="there"))
        await until(lambda: "10.42.2.2" in world.set("peers4"))
        assert "10.42.2.2" not in world.set("ingress4")
        world.put(POD, pod("stranger", "10.42.2.2", node="there"))  # a new pod has its address already
        await until(lambda: "10.42.2.2" not in world.set("peers4"))
        world.remove(POD, "x", "stranger")
        await until(lambda: "10.42.2.2" in world.set("peers4"))
        world.remove(POD, "x", "subject")
        await until(lambda: "10.42.1.2" not in world.set("ingress4"))


async def test_a_pod_is_isolated_before_the_api_knows_its_address() -> None:
    async with running() as world:
        await world.policies.isolate(pod("early", ""), ("10.42.1.9",))  # nothing to wait for
        assert not world.policies._keeper.dirty  # nor to remember of each pod there ever was
        world.put(NETWORK_POLICY, policy(ingress=[{"from": [{"podSelector": named("subject")}]}]))
        world.put(POD, pod("subject", "10.42.1.2"))
        await until(lambda: "10.42.1.2" in world.set("ingress4"))
        unseen, known = pod("unseen", ""), pod("known", "")
        world.put(POD, {**known, "status": {"phase": "Pending"}})
        for obj, address in ((unseen, "10.42.1.3"), (known, "10.42.1.4")):
            await world.policies.isolate(obj, (address,))
            assert address in world.set("ingress4")
        world.put(POD, pod("known", "10.42.1.4"))
        world.put(POD, pod("known", "10.42.1.5"))  # from now on the API's word counts
        await until(lambda: "10.42.1.5" in world.set("ingress4") and "10.42.1.4" not in world.set("ingress4"))
        await world.policies.isolate(pod("next", ""), ("10.42.1.3",))  # the other came and went unseen
        world.put(POD, pod("next", "10.42.1.3"))
        world.remove(POD, "x", "next")
        await until(lambda: "10.42.1.3" not in world.set("ingress4"))


async def test_a_pod_waits_for_the_first_rules() -> None:
    with Lab(nodes=1) as lab:
        world = World(lab.nodes[0])
        world.put(NETWORK_POLICY, policy(ingress=[]))
        with world.node.entered():
            waiting = asyncio.create_task(world.policies.isolate(pod("a", ""), ("10.42.1.2",)))
            await asyncio.sleep(0)
            task = asyncio.create_task(world.policies.run())
            await asyncio.wait_for(waiting, 60)
            assert "10.42.1.2" in world.set("ingress4")
            task.cancel()
            await asyncio.wait([task])


async def test_policies_come_change_and_go() -> None:
    async with running() as world:
        world.put(POD, pod("a", "10.42.1.2"))
        world.put(NETWORK_POLICY, policy(ingress=[]))
        await until(lambda: "10.42.1.2" in world.set("ingress4"))
        world.put(NETWORK_POLICY, policy(egress=[{"ports": [{"port": 53, "protocol": "UDP"}]}]))
        await until(lambda: "10.42.1.2" in world.set("egress4") and "udp dport 53 accept" in world.rules())
        assert "10.42.1.2" not in world.set("ingress4")
        world.put(NETWORK_POLICY, policy("other", subjects={"pod": "b"}, ingress=[]))
        world.put(POD, pod("b", "10.42.1.3"))  # the first that this policy means
        await until(lambda: "10.42.1.3" in world.set("ingress4"))
        world.remove(NETWORK_POLICY, "x", "one")
        world.remove(NETWORK_POLICY, "x", "other")
        await until(lambda: "10.42.1" not in world.rules())


async def test_a_namespaces_new_label_counts() -> None:
    async with running() as world:
        team = {"namespaceSelector": {"matchLabels": {"team": "blue"}}}
        world.put(NETWORK_POLICY, policy(ingress=[{"from": [team]}]))
        world.put(POD, pod("a", "10.42.1.2"))
        world.put(POD, pod("caller", "10.42.2.2", namespace="y", node="there"))
        await until(lambda: "10.42.1.2" in world.set("ingress4"))
        assert "10.42.2.2" not in world.set("peers4")
        world.put(NAMESPACE, {"metadata": {"name": "y", "labels": {"team": "blue"}}})
        await until(lambda: "10.42.2.2" in world.set("peers4"))


async def test_what_somebody_takes_comes_back() -> None:
    async with running() as world:
        world.put(POD, pod("a", "10.42.1.2"))
        world.put(NETWORK_POLICY, policy(ingress=[]))
        for mischief in (
            "flush ruleset",
            "flush map inet pylet-policy ingress4",
            "flush chain inet pylet-policy ingress",
        ):
            await until(lambda: "10.42.1.2" in world.set("ingress4") and "vmap @ingress4" in world.rules())
            world.node.run("nft", mischief)
        await until(lambda: "10.42.1.2" in world.set("ingress4") and "vmap @ingress4" in world.rules())
