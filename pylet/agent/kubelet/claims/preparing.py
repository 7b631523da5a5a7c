"""Has drivers prepare what pods claim before their sandboxes are made, and take it back when pods have ended.

Source: upstream `pkg/kubelet/cm/dra/manager.go`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from pylet.agent.kubelet.claims import ledger
from pylet.agent.kubelet.claims.health import Place
from pylet.agent.kubelet.claims.ledger import Held
from pylet.agent.kubelet.claims.messages import PrepareAnswer, Request, UnprepareAnswer
from pylet.agent.kubelet.claims.registration import Driver, Drivers
from pylet.agent.kubelet.provided import CannotProvide
from pylet.agent.kubelet.spec import app_containers
from pylet.aio import wholefile
from pylet.aio.failures import in_words
from pylet.api.errors import ApiError
from pylet.api.kinds.resourceclaim import KIND as CLAIM
from pylet.api.object import Key, Object, controller_of, dig, uid_of
from pylet.cri.messages import CDIDevice
from pylet.cri.socket import CallError

log = logging.getLogger(__name__)

_SECONDS = 45.0
_Answer = TypeVar("_Answer", PrepareAnswer, UnprepareAnswer)


class Claims:
    """`drivers` are those of this node. One pod at a time is prepared or unprepared."""

    def __init__(self, file: Path, drivers: Drivers) -> None:
        self._file = file
        self._drivers = drivers
        self._turn = asyncio.Lock()
        self.held = self._read()

    # ---- pods

    async def prepare(self, pod: Object) -> None:
        """Raises: CannotProvide."""
        async with self._turn:
            found = [await self._claim(pod, name, is_made=is_made) for _, name, is_made in claims_of(pod)]
            drivers = {name: self._driver(name) for each in found for name in each.drivers}
            for each in found:
                held = self.held.setdefault(each.key, each)
                if held.uid != each.uid:
                    words = f"old ResourceClaim with same name {each.key.name} and different UID {held.uid}"
                    raise CannotProvide(f"{words} still exists (previous pod force-deleted?!)")
                held.pods.add(uid_of(pod))
            self._write()
            fresh = [held for each in found if not (held := self.held[each.key]).is_prepared]
            for name, driver in drivers.items():
                if mine := [held for held in fresh if name in held.drivers]:
                    await self._prepare(driver, mine)
            for held in fresh:
                held.is_prepared = True
            self._write()

    def has(self, pod_uid: str) -> bool:
        return any(pod_uid in held.pods for held in self.held.values())

    async def unprepare(self, pod_uid: str) -> None:
        """The pod has ended: what nobody else here has is taken back. Raises: CannotProvide."""
        async with self._turn:
            mine = [held for held in self.held.values() if pod_uid in held.pods]
            last = [held for held in mine if len(held.pods) == 1]
            for name in {name for held in last for name in held.drivers}:
                asked = [held for held in last if name in held.drivers]
                await _ask(self._driver(name), "NodeUnprepareResources", asked, UnprepareAnswer)
            for held in mine:
                held.pods.discard(pod_uid)
            for held in last:
                del self.held[held.key]
            if mine:
                self._write()

    async def keep(self, active: Collection[str]) -> bool:
        """Unprepare what pods have that are not there any more; whether nothing is left of them."""
        is_done = True
        for uid in {uid for held in self.held.values() for uid in held.pods} - set(active):
            try:
                await self.unprepare(uid)
            except CannotProvide as failed:
                log.warning("unprepare devices of pod %s: %s", uid, failed)
                is_done = False
        return is_done

    def devices(self, pod: Object, container: Object) -> tuple[CDIDevice, ...]:
        """Raises: CannotProvide."""
        wanted = _asked(pod, container)
        names = {name: Key(pod["metadata"]["namespace"], claim) for name, claim, _ in claims_of(pod)} if wanted else {}
        found: dict[str, CDIDevice] = {}
        for each in wanted:
            if (key := names.get(each["name"])) is None:
                continue
            if key not in self.held:
                raise CannotProvide(
                    f"unable to get claim info for ResourceClaim {key.name} in namespace {key.namespace}"
                )
            found |= {name: CDIDevice(name) for name in self.held[key].names_for(each.get("request", ""))}
        return tuple(found.values())

    def health(self, pod: Object) -> dict[str, list[Object]]:
        """Of the devices that each container has of its claims, as its status tells it."""
        found: dict[str, list[Object]] = {}
        for container in app_containers(pod):
            for each in dig(container, "resources", "claims", default=()):
                request = each.get("request", "")
                name = f"claim:{each['name']}" + (f"/{request}" if request else "")
                resources = {
                    device["resourceID"]: device
                    for held in self.of(pod, {"resources": {"claims": [each]}})
                    for device in self._health(held, request)
                }
                if resources:
                    found.setdefault(container["name"], []).append({"name": name, "resources": [*resources.values()]})
        return found

    def _health(self, held: Held, request: str) -> Iterator[Object]:
        for driver, devices in held.drivers.items():
            for device in devices:
                if request and device.request_names and request.partition("/")[0] not in device.request_names:
                    continue
                place = device.pool_name, device.device_name
                id_ = next(iter(device.cdi_device_ids), "/".join((driver, *place)))
                yield {"resourceID": id_, **self._drivers.health.of(driver, place)}

    def holders(self, driver: str, places: Collection[Place]) -> set[str]:
        """The uids of pods that have one of these devices."""
        return {
            uid
            for held in self.held.values()
            if any((device.pool_name, device.device_name) in places for device in held.drivers.get(driver, ()))
            for uid in held.pods
        }

    def of(self, pod: Object, container: Object) -> list[Held]:
        """What has been prepared of the claims that a container names, whatever it has of them."""
        wanted = {each["name"] for each in _asked(pod, container)}
        if not wanted:
            return []
        try:
            keys = [Key(pod["metadata"]["namespace"], claim) for name, claim, _ in claims_of(pod) if name in wanted]
        except CannotProvide:  # they are about to be made
            return []
        return [self.held[key] for key in keys if key in self.held]

    # ---- the API

    async def _claim(self, pod: Object, name: str, *, is_made: bool) -> Held:
        key = Key(pod["metadata"]["namespace"], name)
        try:
            claim = await self._drivers.client.get(CLAIM, key)
        except ApiError as failed:
            raise CannotProvide(f"fetch ResourceClaim {name}: {failed.message}") from failed
        meta = pod["metadata"]
        if is_made and (controller_of(claim) or {}).get("uid") != uid_of(pod):
            words = f"was not created for Pod {key.namespace}/{meta['name']} (Pod is not owner)"
            raise CannotProvide(f"ResourceClaim {key} {words}")
        if all(holder["uid"] != uid_of(pod) for holder in dig(claim, "status", "reservedFor", default=())):
            words = f"pod {meta['name']} ({uid_of(pod)}) is not allowed to use ResourceClaim"
            raise CannotProvide(f"{words} {name} ({uid_of(claim)})")
        return Held.of(claim)

    # ---- drivers

    def _driver(self, name: str) -> Driver:
        driver = self._drivers.named(name)
        if driver is None:
            raise CannotProvide(f"DRA driver {name} is not registered")
        return driver

    async def _prepare(self, driver: Driver, claims: list[Held]) -> None:
        answer = await _ask(driver, "NodePrepareResources", claims, PrepareAnswer)
        given = {entry.uid: entry.result.devices for entry in answer.claims}
        for held in claims:
            held.drivers[driver.name] = given[held.uid]

    # ---- the file

    def _read(self) -> dict[Key, Held]:
        try:
            return ledger.from_text(self._file.read_text())
        except FileNotFoundError:
            return {}
        except (OSError, ledger.Corrupt) as failed:
            log.error("%s: %s; what drivers have prepared is not known", self._file, failed)
            return {}

    def _write(self) -> None:
        """Raises: CannotProvide."""
        try:
            wholefile.write(self._file, ledger.to_text(self.held.values()).encode())
        except OSError as failed:
            raise CannotProvide(f"checkpoint ResourceClaim cache: {in_words(failed)}") from failed


def claims_of(pod: Object) -> Iterator[tuple[str, str, bool]]:
    """The pod's name for each claim, the claim's own, and whether it was made for the pod. Raises: CannotProvide.

    The last may be that of its extended resources, for which the pod has no name.
    """
    made = {each["name"]: each for each in dig(pod, "status", "resourceClaimStatuses", default=())}
    for wanted in pod["spec"].get("resourceClaims") or ():
        if (name := wanted.get("resourceClaimName")) is not None:
            yield wanted["name"], name, False
        elif wanted["name"] not in made:
            meta = pod["metadata"]
            raise CannotProvide(f'pod "{meta["namespace"]}/{meta["name"]}": ResourceClaim not created yet')
        elif (name := made[wanted["name"]].get("resourceClaimName")) is not None:
            yield wanted["name"], name, True
    if name := dig(pod, "status", "extendedResourceClaimStatus", "resourceClaimName"):
        yield "", name, True


def _asked(pod: Object, container: Object) -> list[Object]:
    """What the container says that it uses, of claims and of what they stand for."""
    mappings = dig(pod, "status", "extendedResourceClaimStatus", "requestMappings", default=())
    return [
        *dig(container, "resources", "claims", default=()),
        *({"name": "", "request": m["requestName"]} for m in mappings if m["containerName"] == container.get("name")),
    ]


async def _ask(driver: Driver, what: str, claims: list[Held], answer_type: type[_Answer]) -> _Answer:
    """What a driver does with these claims, once it has done it with all of them. Raises: CannotProvide."""
    request = Request(tuple(held.message for held in claims))
    try:
        answer = await driver.socket.call(f"{driver.service}/{what}", request, answer_type, seconds=_SECONDS)
    except CallError as failed:
        raise CannotProvide(f"{what}: {failed}") from failed
    _check(what, claims, {entry.uid: entry.result.error for entry in answer.claims})
    return answer


def _check(what: str, claims: Iterable[Held], errors: dict[str, str]) -> None:
    """Raises: CannotProvide, where an answer is not one to all that was asked."""
    names = {held.uid: held.key.name for held in claims}
    for uid, error in errors.items():
        if uid not in names:
            raise CannotProvide(f"{what} returned result for unknown claim UID {uid}")
        if error:
            raise CannotProvide(f"{what} failed for ResourceClaim {names[uid]}: {error}")
    if missing := len(names.keys() - errors.keys()):
        raise CannotProvide(f"{what} skipped {missing} ResourceClaims")
