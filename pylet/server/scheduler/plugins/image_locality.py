"""ImageLocality: rather a node that has the pod's images, the more so the larger they are and the more nodes have them.

Source: upstream `plugins/imagelocality/image_locality.go`.
"""

from __future__ import annotations

from collections.abc import Sequence

from pylet.api.containers import planned
from pylet.server.scheduler.decide import BEST, Plugin, Score
from pylet.server.scheduler.model import NodeInfo, Pending
from pylet.server.scheduler.snapshot import Snapshot

_LEAST_BYTES = 23 << 20
_MOST_BYTES = 1000 << 20  # for each container


class ImageLocality(Plugin):
    name = "ImageLocality"

    def score(self, pod: Pending, nodes: Sequence[NodeInfo], snapshot: Snapshot) -> Score | None:
        if not snapshot.image_nodes:
            return None
        spec = pod.spec
        containers = list(planned(spec))
        named = [container.get("image", "") for container in containers]
        named += [volume["image"].get("reference", "") for volume in spec.get("volumes") or () if volume.get("image")]
        shares = [
            (image, snapshot.image_nodes[image] / len(snapshot.nodes))
            for image in map(_tagged, named)
            if image in snapshot.image_nodes
        ]
        if not shares:
            return None
        most = _MOST_BYTES * len(containers)

        def score(node: NodeInfo) -> int:
            found = sum(int(node.images.get(image, 0) * share) for image, share in shares)
            return BEST * (min(max(found, _LEAST_BYTES), most) - _LEAST_BYTES) // (most - _LEAST_BYTES)

        return score


def _tagged(name: str) -> str:
    return name if name.rfind(":") > name.rfind("/") else f"{name}:latest"


PLUGIN = ImageLocality()
