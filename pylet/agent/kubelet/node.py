"""This machine as a Node: registers it, keeps its lease and reports its status when there is something to report."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from pathlib import Path

from pylet.agent.kubelet import node_status
from pylet.agent.kubelet.kubelet_config import DEFAULT
from pylet.agent.kubelet.machine import read_machine
from pylet.agent.kubelet.node_status import Identity, RuntimeFacts
from pylet.agent.kubelet.provisions import Provisions
from pylet.aio.clock import Clock
from pylet.api import timestamps
from pylet.api.errors import AlreadyExists, ApiError, NotFound
from pylet.api.kinds.lease import KIND as LEASE
from pylet.api.kinds.node import KIND as NODE
from pylet.api.object import Key, Object, dig, key_of, labels_of, uid_of
from pylet.api.resources import is_extended
from pylet.client.interface import Client, PatchType
from pylet.client.view import Table
from pylet.cri.features import Version
from pylet.cri.interface import CriError, Runtime

log = logging.getLogger(__name__)

LEASE_NAMESPACE = "kube-node-lease"
_LEASE_SECONDS = 40
_RENEW_SECONDS = 10
_WHILE_NOT_READY_SECONDS = 0.2
_RUNTIME_SECONDS = 10
_GATHER_SECONDS = 0.5


class NodeReporter:
    """Registers the node, then runs its heartbeat. `addresses` is asked each time: they may change while it runs."""

    def __init__(
        self,
        client: Client,
        runtime: Runtime,
        clock: Clock,
        data_dir: Path,
        identity: Callable[[], Identity],
    ) -> None:
        self._client = client
        self._runtime = runtime
        self._clock = clock
        self._identity = identity
        self._machine = read_machine(data_dir)
        self._reported: Object = {}
        self._known_runtime: Version | None = None
        self._abilities: Object = {}
        """Of the runtime of that version."""
        self._lease: Object | None = None
        self._uid = ""
        self.volumes_in_use: Callable[[], list[str]] = list
        """Names of the attached volumes that pods of this node use; to be set before it runs."""
        self.config = DEFAULT
        self.pressures: Callable[[], Collection[str]] = frozenset
        """The conditions of running short that hold; to be set before it runs."""
        self.problem: Callable[[], str] = str
        """Why the node is not ready though its runtime is, or nothing; to be set before it runs."""
        self.provisions: Provisions | None = None
        """Whose devices the status counts."""
        self.network_problem = ""
        """Why pods cannot be given addresses, as the runtime said last."""
        self.tell_event: Callable[[str, str, str], None] = lambda _type, _reason, _message: None
        """Tells users of the node: type, reason and message of an Event; to be set before it runs."""
        self._is_cordoned = False
        self._told = asyncio.Event()

    async def register(self) -> Object:
        """The Node as the API has it, created if it was not there. Raises: ApiError."""
        wanted = node_status.registration(self._identity(), self._machine, self.config)
        key = Key("", wanted["metadata"]["name"])
        try:
            node = await self._client.get(NODE, key)
        except NotFound:
            try:
                node = await self._client.create(NODE, wanted)
            except AlreadyExists:
                node = await self._client.get(NODE, key)
        missing = {name: value for name, value in labels_of(wanted).items() if labels_of(node).get(name) != value}
        if missing:
            node = await self._client.patch(NODE, key, {"metadata": {"labels": missing}})
        if self.provisions is not None and self.provisions.is_new:
            node = await self._without_devices(node)
        node = await self._without_pages(node)
        self._uid, self._reported = uid_of(node), node.get("status") or {}
        return node

    async def _without_pages(self, node: Object) -> Object:
        gone = node_status.gone_pages(node, self._machine)
        if not gone:
            return node
        patch = {"status": {"capacity": gone, "allocatable": gone}}
        return await self._client.patch(NODE, key_of(node), patch, subresource="status")

    async def _without_devices(self, node: Object) -> Object:
        """A machine that took over a Node does not have what the one before had."""
        known = dig(node, "status", "capacity", default={})
        none = {name: "0" for name, amount in known.items() if is_extended(name) and amount != "0"}
        if not none:
            return node
        patch = {"status": {"capacity": none, "allocatable": none}}
        return await self._client.patch(NODE, key_of(node), patch, subresource="status")

    async def run(self, nodes: Table) -> None:
        """Heartbeats until cancelled. An API server that is away is logged once per outage.

        The status is compared with what `nodes` says the API has, not with what was sent: while this node was silent
        somebody may have called it Unknown.
        """
        failing = ""
        while True:
            try:
                await self._renew_lease()  # first: a node that is heard again must not be called silent any more
                entry = nodes.entries.get(Key("", self._identity().name))
                ready = await self._report((entry.object.get("status") or {}) if entry is not None else self._reported)
                if entry is not None:
                    self._mind_cordon(is_cordoned=bool(entry.object["spec"].get("unschedulable")))
                failing = ""
            except NotFound:
                log.warning("node %s was deleted: registering it again", self._identity().name)
                ready = await self._register_again()
            except ApiError as failed:
                ready = True
                if failed.message != failing:
                    log.warning("heartbeat of node %s: %s", self._identity().name, failed.message)
                failing = failed.message
            await self._pause(_RENEW_SECONDS if ready else _WHILE_NOT_READY_SECONDS)

    def tell(self) -> None:
        """There is something new to report."""
        self._told.set()

    async def _pause(self, seconds: float) -> None:
        tasks = [asyncio.create_task(self._clock.sleep(seconds)), asyncio.create_task(self._wait_told())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()

    async def _wait_told(self) -> None:
        await self._told.wait()
        await self._clock.sleep(_GATHER_SECONDS)
        self._told.clear()

    async def _register_again(self) -> bool:
        self._lease = None
        try:
            await self.register()
        except ApiError as failed:
            log.warning("register node: %s", failed.message)
        return False

    async def _report(self, before: Object) -> bool:
        """Report the status if it differs from `before`; whether the node is ready.

        The lease is the heartbeat. Upstream also reports every five minutes what has not changed: a write to flash
        that tells nobody anything.
        """
        now = self._clock.now()
        runtime = await self._runtime_facts()
        identity = self._identity()
        devices = self.provisions.devices() if self.provisions is not None else {}
        status = node_status.status(
            identity, self._machine, self.pressures(), runtime, before, now, self.config, devices
        )
        if in_use := self.volumes_in_use():
            status["volumesInUse"] = in_use
        elif before.get("volumesInUse"):
            status["volumesInUse"] = None
        if node_status.is_worth_reporting(before, status):
            # Several addresses of a type are one to a merge by type: upstream replaces the list, too.
            patch = {"status": {**status, "addresses": [{"$patch": "replace"}, *status["addresses"]]}}
            await self._client.patch(
                NODE, Key("", identity.name), patch, type_=PatchType.STRATEGIC, subresource="status"
            )
            self._reported = status
            self._tell_news(before, status)
        return not runtime.problem

    def _tell_news(self, before: Object, status: Object) -> None:
        name = self._identity().name
        if node_status.has_rebooted(before, status):
            words = f"Node {name} has been rebooted, boot id: {status['nodeInfo']['bootID']}"
            self.tell_event("Warning", "Rebooted", words)
        for reason in node_status.news(before, status):
            self._tell_status(reason)

    def _mind_cordon(self, *, is_cordoned: bool) -> None:
        if is_cordoned != self._is_cordoned:
            self._is_cordoned = is_cordoned
            self._tell_status("NodeNotSchedulable" if is_cordoned else "NodeSchedulable")

    def _tell_status(self, reason: str) -> None:
        self.tell_event("Normal", reason, f"Node {self._identity().name} status is now: {reason}")

    async def _runtime_facts(self) -> RuntimeFacts:
        try:
            async with asyncio.timeout(_RUNTIME_SECONDS):
                version = await self._runtime.version()
                conditions = await self._runtime.conditions()
                if version != self._known_runtime:
                    self._abilities = node_status.abilities(*await self._runtime.abilities())
                    self._known_runtime = version
                images = await self._runtime.list_images()
        except (CriError, TimeoutError) as failed:
            return RuntimeFacts(
                self._reported.get("nodeInfo", {}).get("containerRuntimeVersion", ""),
                f"container runtime is down: {str(failed) or 'it does not answer'}",
            )
        words = {
            c.type: f"{_RUNTIME_WORDS.get(c.type, c.type)} not ready: "
            f"{c.type}=false reason:{c.reason} message:{c.message}"
            for c in conditions
            if not c.status
        }
        self.network_problem = words.get("NetworkReady", "")
        problems = list(words.values())
        if problem := self.problem():
            problems.append(problem)
        return RuntimeFacts(
            f"{version.runtime_name}://{version.runtime_version.removeprefix('v')}",
            ", ".join(problems),
            tuple(((*image.repo_tags, *image.repo_digests), image.size) for image in images),
            self._abilities,
        )

    async def _renew_lease(self) -> None:
        identity = self._identity()
        renewed = timestamps.format_micro(self._clock.now())
        if self._lease is None:
            self._lease = await self._adopt_lease(identity.name, renewed)
        lease = {**self._lease, "spec": {**self._lease["spec"], "renewTime": renewed}}
        try:
            self._lease = await self._client.update(LEASE, lease)
        except ApiError:
            self._lease = None
            raise

    async def _adopt_lease(self, name: str, renewed: str) -> Object:
        lease: Object = {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.name,
            "metadata": {
                "name": name,
                "namespace": LEASE_NAMESPACE,
                "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": name, "uid": self._uid}],
            },
            "spec": {"holderIdentity": name, "leaseDurationSeconds": _LEASE_SECONDS, "renewTime": renewed},
        }
        try:
            return await self._client.create(LEASE, lease)
        except AlreadyExists:
            return await self._client.get(LEASE, Key(LEASE_NAMESPACE, name))


_RUNTIME_WORDS = {"NetworkReady": "container runtime network", "RuntimeReady": "container runtime status"}
