"""Who may use an image that is already here: those who could pull it, as records on disk say of every pull.

A pull leaves an intent while it lasts, then a record of the image with the credentials it was given to. What is here
without either was loaded by hand. Format and places are upstream's: `pkg/kubelet/images/pullmanager`.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import orjson

from pylet.agent.kubelet.keyring import Credential, without_tag
from pylet.aio import wholefile
from pylet.aio.clock import Clock
from pylet.api import timestamps
from pylet.api.object import Object
from pylet.cri.messages import Image

log = logging.getLogger(__name__)

POLICIES = ("NeverVerify", "NeverVerifyPreloadedImages", "NeverVerifyAllowlistedImages", "AlwaysVerify")
_MANY = 100
"""From then on nothing is written for who is found to be granted what others were."""
_LISTS = {"Secret": "kubernetesSecrets", "ServiceAccount": "kubernetesServiceAccounts"}

Lookup = Callable[[], Awaitable[Sequence[Credential]]]


@dataclass(frozen=True, slots=True)
class Verification:
    """KubeletConfiguration's imagePullCredentialsVerificationPolicy and preloadedImagesVerificationAllowlist."""

    policy: str = "NeverVerifyPreloadedImages"
    allowed: tuple[str, ...] = ()

    def asks(self, image: str, *, pulled_here: bool) -> bool:
        match self.policy:
            case "NeverVerify":
                return False
            case "NeverVerifyPreloadedImages":
                return pulled_here
            case "NeverVerifyAllowlistedImages":
                return not any(_is_allowed(without_tag(image), pattern) for pattern in self.allowed)
        return True


def check_pattern(pattern: str) -> str:
    """Raises: ValueError."""
    name = pattern.removesuffix("*") if pattern.endswith("/*") else pattern
    if name != name.strip():
        raise ValueError(f"leading/trailing spaces are not allowed: {pattern}")
    if not name:
        raise ValueError(f"the supplied pattern is too short: {pattern}")
    if "*" in name:
        raise ValueError(f"not a valid wildcard pattern, only patterns ending with '/*' are allowed: {pattern}")
    if name == "/":
        raise ValueError("at least registry hostname is required")
    if without_tag(name) != name:
        raise ValueError(f"neither tag nor digest is accepted in an image reference: {pattern}")
    return pattern


def _is_allowed(name: str, pattern: str) -> bool:
    return name.startswith(pattern[:-1]) if pattern.endswith("/*") else name == pattern


def grants(known: Object, credential: Credential) -> bool:
    """Whether `known` says that the credential was good for the image, or its Secret with another password."""
    source = credential.source
    if source is None:
        return False
    coordinates = _coordinates(credential)
    entries: list[Object] = known.get(_LISTS[source.kind]) or []
    if source.kind == "ServiceAccount":
        return coordinates in entries
    if any(entry["credentialHash"] == credential.hash for entry in entries):
        return True
    return len(entries) < _MANY and any(_is_same(entry, coordinates) for entry in entries)


def added(known: Object, credential: Credential | None) -> Object:
    """What is known once a pull with the credential went well; with none, or the node's own, all pods have it."""
    if known.get("nodePodsAccessible") or credential is None or credential.source is None:
        return {"nodePodsAccessible": True}
    field, coordinates = _LISTS[credential.source.kind], _coordinates(credential)
    kept = [entry for entry in known.get(field) or () if not _is_same(entry, coordinates)]
    entries = sorted((*kept, coordinates), key=lambda entry: (entry["namespace"], entry["name"], entry["uid"]))
    return {**known, field: entries}


def _coordinates(credential: Credential) -> Object:
    assert credential.source is not None
    found = {name: value for name, value in asdict(credential.source).items() if name != "kind"}
    return {**found, "credentialHash": credential.hash} if credential.source.kind == "Secret" else found


def _is_same(entry: Object, coordinates: Object) -> bool:
    return all(entry[name] == coordinates[name] for name in ("uid", "namespace", "name"))


class PullRecords:
    """The records of one node, below `root`/image_manager."""

    def __init__(self, root: Path, verification: Verification, clock: Clock) -> None:
        self._pulling, self._pulled = (root / "image_manager" / name for name in ("pulling", "pulled"))
        self._verification = verification
        self._clock = clock
        self._under_way = Counter[str]()
        for directory in (self._pulling, self._pulled):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def recover(self, images: Iterable[Image]) -> None:
        """Of pulls that ended with an earlier kubelet it is not known whose they were: whoever asks has to prove."""
        intents = {intent["image"]: path for path, intent in _objects(self._pulling)}
        for image in images:
            for name in intents.keys() & {*image.repo_tags, *image.repo_digests}:
                if not self._path(image.id).exists():
                    self._write(image.id, {})
                intents[name].unlink(missing_ok=True)

    async def must_pull(self, image: str, id_: str, lookup: Lookup) -> bool:
        """Whether who has what `lookup` finds must prove that it may have the image, which is here as `id_`."""
        record = _read(self._path(id_))
        pulled_here = record is not None or image in self._under_way or _file(self._pulling, image).exists()
        if not self._verification.asks(image, pulled_here=pulled_here):
            return False
        known: Object = ((record or {}).get("credentialMapping") or {}).get(without_tag(image)) or {}
        if known.get("nodePodsAccessible"):
            return False
        if not known:
            return True
        for credential in await lookup():
            if grants(known, credential):
                if all(len(known.get(name) or ()) < _MANY for name in _LISTS.values()):
                    self._add(image, id_, credential)
                return False
        return True

    @contextmanager
    def pulling(self, image: str) -> Iterator[None]:
        self._under_way[image] += 1
        intent = _file(self._pulling, image)
        wholefile.write(intent, orjson.dumps({**_head("ImagePullIntent"), "image": image}))
        try:
            yield
        finally:
            self._under_way[image] -= 1
            if not self._under_way[image]:
                del self._under_way[image]
                intent.unlink(missing_ok=True)

    def pulled(self, image: str, id_: str, credential: Credential | None) -> None:
        self._add(image, id_, credential)

    def prune(self, ids: Collection[str], since: datetime) -> None:
        """Forget images that were not there at `since`."""
        for path, record in _objects(self._pulled):
            if record["imageRef"] not in ids and timestamps.parse(record["lastUpdatedTime"]) < since:
                path.unlink(missing_ok=True)

    def _add(self, image: str, id_: str, credential: Credential | None) -> None:
        mapping = (_read(self._path(id_)) or {}).get("credentialMapping") or {}
        known = mapping.get(without_tag(image)) or {}
        if (now := added(known, credential)) != known:
            self._write(id_, {**mapping, without_tag(image): now})

    def _write(self, id_: str, mapping: Object) -> None:
        updated = timestamps.format_time(self._clock.now())
        record = {**_head("ImagePulledRecord"), "lastUpdatedTime": updated, "imageRef": id_}
        wholefile.write(self._path(id_), orjson.dumps({**record, "credentialMapping": mapping}))

    def _path(self, id_: str) -> Path:
        return _file(self._pulled, id_)


def _head(kind: str) -> Object:
    return {"kind": kind, "apiVersion": "kubelet.config.k8s.io/v1beta1"}


def _file(directory: Path, name: str) -> Path:
    return directory / f"sha256-{hashlib.sha256(name.encode()).hexdigest()}"


def _read(path: Path) -> Object | None:
    """A record that cannot be read is as one that says nothing: the image was pulled here, nobody knows by whom."""
    try:
        found: Object = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as bad:
        log.warning("record of a pulled image %s: %s", path, bad)
        return {}
    return found


def _objects(directory: Path) -> list[tuple[Path, Object]]:
    found = ((path, _read(path)) for path in directory.iterdir() if not path.suffix)
    return [(path, record) for path, record in found if record]
