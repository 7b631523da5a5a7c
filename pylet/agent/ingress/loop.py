"""Keeps this node's HAProxy equal to what the Ingresses of our classes say.

Nothing runs while there is no such Ingress. The Node says by an annotation whether it serves: the addresses Ingresses
are told (`server.controllers.ingress`) follow that. A node that cannot serve says why in an event, and tries on.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import pwd
import ssl
from base64 import b64decode
from collections.abc import Iterable
from pathlib import Path
from tempfile import NamedTemporaryFile

from pylet.agent.ingress import haproxy, model
from pylet.agent.ingress.model import Config, Problem
from pylet.agent.ingress.process import Haproxy, HaproxyError, Missing
from pylet.aio.clock import Clock
from pylet.api.errors import ApiError
from pylet.api.ingress import SERVES, ours, secrets_of
from pylet.api.kinds.ingress import KIND as INGRESS
from pylet.api.kinds.ingressclass import KIND as INGRESS_CLASS
from pylet.api.kinds.node import KIND as NODE
from pylet.api.kinds.secret import KIND as SECRET
from pylet.api.object import Key, Object, key_of
from pylet.client.events import Recorder
from pylet.client.interface import Client, Tables
from pylet.client.view import Entry, Table

log = logging.getLogger(__name__)

_SERVICE_NAME = "kubernetes.io/service-name"
_GATHER_SECONDS = 0.01
_RETRY_SECONDS = (1.0, 60.0)


class Ingresses:
    """`run` until cancelled; the proxy goes on, so that no request notices an agent that restarts."""

    def __init__(
        self,
        client: Client,
        tables: Tables,
        services: Table,
        slices: Table,
        clock: Clock,
        *,
        node: str,
        directory: Path,
    ) -> None:
        self._client = client
        self._tables = tables
        self._services = services
        self._slices = slices
        self._clock = clock
        self._node = node
        self._directory = directory
        self._proxy = Haproxy(directory, clock)
        self._recorder = Recorder(client, clock, "ingress", node)
        self._running: Config | None = None
        self._serves: bool | None = None
        self._wanted: set[Key] = set()
        self._secrets: dict[Key, asyncio.Task[None]] = {}
        self._secret_tables: dict[Key, Table] = {}
        self._checked: dict[Key, tuple[int, bytes | str]] = {}
        self._problems: tuple[Problem, ...] = ()
        self._told: set[Problem] = set()
        self._wake = asyncio.Event()

    async def run(self) -> None:
        ingresses, classes = await self._tables.table(INGRESS), await self._tables.table(INGRESS_CLASS)
        async with asyncio.TaskGroup() as group:
            with contextlib.ExitStack() as stack:
                for table in (ingresses, classes):
                    stack.callback(table.listen(lambda before, after: self._wake.set()))
                stack.callback(self._services.listen(self._service_changed))
                stack.callback(self._slices.listen(self._slice_changed))
                group.create_task(self._recorder.run())
                await self._keep(ingresses, classes, group, stack)

    async def _keep(
        self, ingresses: Table, classes: Table, group: asyncio.TaskGroup, stack: contextlib.ExitStack
    ) -> None:
        delay, forget = _RETRY_SECONDS[0], stack.enter_context(contextlib.ExitStack())
        while True:
            self._wake.clear()
            shown = [entry.object for entry in classes.entries.values()]
            mine = ours((entry.object for entry in ingresses.entries.values()), shown)
            self._follow(mine, group)
            try:
                if await self._serve(mine, shown):
                    forget.close()
                    forget.callback(self._proxy.on_end(self._ended))
                delay = _RETRY_SECONDS[0]
                self._tell(mine, self._problems)
                await self._say(serves=bool(mine))
            except (HaproxyError, OSError, TimeoutError) as failed:
                self._running = None
                reason = "ProxyMissing" if isinstance(failed, Missing) else "ProxyFailed"
                everywhere = [Problem(key_of(one), reason, f"node {self._node}: {failed}") for one in mine]
                self._tell(mine, [*self._problems, *everywhere])
                await self._say(serves=False)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(delay):
                        await self._wake.wait()
                delay = min(delay * 2, _RETRY_SECONDS[1])
                continue
            await self._wake.wait()
            await self._clock.sleep(_GATHER_SECONDS)

    # ---- observing

    def _follow(self, mine: Iterable[Object], group: asyncio.TaskGroup) -> None:
        """Watch the Secrets these Ingresses name, and no others."""
        mine = list(mine)
        self._wanted = {key for one in mine for key in model.services_of(one)}
        secrets = {key for one in mine for key in secrets_of(one)}
        for key in self._secrets.keys() - secrets:
            self._secrets.pop(key).cancel()
        for key in secrets - self._secrets.keys():
            self._secrets[key] = group.create_task(self._watch(key))

    async def _watch(self, key: Key) -> None:
        try:
            table = self._secret_tables[key] = await self._tables.object_table(SECRET, key)
            self._wake.set()
            stop = table.listen(lambda before, after: self._secret_changed(key, before, after))
            try:
                await asyncio.Event().wait()
            finally:
                stop()
        finally:
            self._secret_tables.pop(key, None)
            self._checked.pop(key, None)
            self._tables.release(SECRET, key)

    def _secret_changed(self, key: Key, before: Entry | None, after: Entry | None) -> None:
        entry = after or before
        if entry is not None and entry.key == key:
            self._wake.set()

    def _service_changed(self, before: Entry | None, after: Entry | None) -> None:
        entry = after or before
        if entry is not None and entry.key in self._wanted:
            self._wake.set()

    def _slice_changed(self, before: Entry | None, after: Entry | None) -> None:
        for entry in (before, after):
            if entry and Key(entry.key.namespace, entry.labels.get(_SERVICE_NAME, "")) in self._wanted:
                self._wake.set()

    def _ended(self) -> None:
        self._running = None
        self._wake.set()

    # ---- acting

    async def _serve(self, mine: list[Object], classes: list[Object]) -> bool:
        """Make the proxy do what these say; whether it is another process now. Raises: HaproxyError."""
        if not mine:
            if self._serves is not False:
                self._proxy.stop()
            self._running, self._problems = None, ()
            return False
        config = model.build(
            mine,
            {key: self._services.entries[key].object for key in self._wanted if key in self._services.entries},
            (
                entry.object
                for entry in self._slices.entries.values()
                if Key(entry.key.namespace, entry.labels.get(_SERVICE_NAME, "")) in self._wanted
            ),
            {key: await self._pair(key) for key in self._secrets},
            classes,
        )
        self._problems = config.problems
        files = haproxy.files(config, self._place())
        is_new = True
        match haproxy.change(self._running, config):
            case haproxy.Commands(lines):
                try:
                    self._proxy.write(files)
                    await self._proxy.command(lines)
                    is_new = False
                except HaproxyError as refused:
                    log.info("ingress: %s; reloading", refused)
                    await self._proxy.apply(files, haproxy.generation(config))
            case haproxy.Reload():
                await self._proxy.apply(files, haproxy.generation(config))
        self._running = config
        return is_new

    async def _pair(self, key: Key) -> bytes | str:
        """PEM that TLS can use, or why not; "" while the Secret is still asked for."""
        if key not in self._secret_tables:
            return ""
        entry = self._secret_tables[key].entries.get(key)
        if entry is None:
            return f'Secret "{key}" is not there'
        known = self._checked.get(key)
        if known is None or known[0] != entry.revision:
            known = self._checked[key] = entry.revision, await asyncio.to_thread(self._check, entry.object)
        return known[1]

    def _check(self, secret: Object) -> bytes | str:
        where, data = f'Secret "{key_of(secret)}"', secret.get("data") or {}
        if not data.get("tls.crt") or not data.get("tls.key"):
            return f"{where} has no tls.crt and tls.key"
        pem = b64decode(data["tls.crt"]) + b"\n" + b64decode(data["tls.key"])
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=self._directory) as file:
            file.write(pem)
            file.flush()
            try:
                ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(file.name, password="")
            except (OSError, ValueError) as failed:
                return f"{where}: {failed}"
        return pem

    def _place(self) -> haproxy.Place:
        has_ipv6 = Path("/proc/net/if_inet6").exists()
        try:
            user = pwd.getpwnam("haproxy").pw_name if os.geteuid() == 0 else ""
        except KeyError:
            user = ""
        return haproxy.Place(
            self._directory, threads=min(os.cpu_count() or 1, 4), user=user, families=(4, 6) if has_ipv6 else (4,)
        )

    def _tell(self, mine: Iterable[Object], problems: Iterable[Problem]) -> None:
        """Each problem once for as long as it lasts."""
        by_key, problems = {key_of(one): one for one in mine}, set(problems)
        for problem in sorted(problems - self._told, key=lambda one: one.ingress):
            log.warning("ingress %s: %s", problem.ingress, problem.message)
            self._recorder.tell(by_key[problem.ingress], "Warning", problem.reason, problem.message)
        self._told = problems

    async def _say(self, *, serves: bool) -> None:
        if serves == self._serves:
            return
        annotations = {SERVES: "true" if serves else None}
        try:
            await self._client.patch(NODE, Key("", self._node), {"metadata": {"annotations": annotations}})
            self._serves = serves
        except ApiError as failed:
            log.warning("say whether ingresses are served: %s", failed.message)
            asyncio.get_running_loop().call_later(_RETRY_SECONDS[1], self._wake.set)
