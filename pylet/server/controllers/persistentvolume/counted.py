"""How many volumes and claims there are, bound and not, as `/metrics` tells of them.

Source: upstream `pkg/controller/volume/persistentvolume/metrics/metrics.go`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from pylet.aio.prometheus import gauges
from pylet.api.kinds.persistentvolume import KIND as VOLUME
from pylet.api.kinds.persistentvolumeclaim import KIND as CLAIM
from pylet.api.object import Object, dig
from pylet.api.volumebinding import class_of
from pylet.client.view import View
from pylet.server.controllers.persistentvolume.claims import CLASSES_GIVEN, CLASSES_REFUSED

_PLUGINS = {
    "hostPath": "kubernetes.io/host-path",
    "nfs": "kubernetes.io/nfs",
    "iscsi": "kubernetes.io/iscsi",
    "fc": "kubernetes.io/fc",
    "local": "kubernetes.io/local-volume",
}
_OF_CLAIM = ("namespace", "storage_class", "volume_attributes_class")


def lines(view: View) -> Iterator[str]:
    yield from CLASSES_GIVEN.lines()
    yield from CLASSES_REFUSED.lines()
    volumes = [entry.decoded() for entry in view.table(VOLUME).entries.values()]
    total = Counter((_plugin(volume["spec"]), volume["spec"].get("volumeMode", "Filesystem")) for volume in volumes)
    yield from _told("total_pv_count", "Volumes.", ("plugin_name", "volume_mode"), total)
    classes = Counter(((volume["spec"].get("storageClassName", ""),), _is_bound(volume)) for volume in volumes)
    claims = Counter((_of_claim(claim), _is_bound(claim)) for claim in _claims(view))
    for is_bound, word in ((True, "bound"), (False, "unbound")):
        some = {labels: number for (labels, bound), number in classes.items() if bound is is_bound}
        yield from _told(f"{word}_pv_count", f"Volumes that are {word}.", ("storage_class",), some)
        some_claims = {labels: number for (labels, bound), number in claims.items() if bound is is_bound}
        yield from _told(f"{word}_pvc_count", f"Claims that are {word}.", _OF_CLAIM, some_claims)


def _told(name: str, help_: str, labels: tuple[str, ...], found: Mapping[Any, int]) -> Iterator[str]:
    """`found` is by the values of `labels`."""
    values = [(dict(zip(labels, of, strict=True)), number) for of, number in found.items()]
    return gauges(f"pv_collector_{name}", help_, values)


def _claims(view: View) -> Iterator[Object]:
    for entry in view.table(CLAIM).entries.values():
        yield entry.decoded()


def _of_claim(claim: Object) -> tuple[str, ...]:
    spec = claim["spec"]
    return claim["metadata"]["namespace"], class_of(claim), spec.get("volumeAttributesClassName") or ""


def _is_bound(obj: Object) -> bool:
    return bool(dig(obj, "status", "phase") == "Bound")


def _plugin(spec: Object) -> str:
    if "csi" in spec:
        return f"kubernetes.io/csi:{spec['csi']['driver']}"
    return next((plugin for source, plugin in _PLUGINS.items() if source in spec), "N/A")
