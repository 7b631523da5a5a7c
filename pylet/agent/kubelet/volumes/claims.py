"""From a pod's volume to what is mounted: a claim is followed to its PersistentVolume. The judgements are pure.

Source: upstream `pkg/kubelet/volumemanager/populator/desired_state_of_world_populator.go` (createVolumeSpec), messages
included; `staging/src/k8s.io/component-helpers/storage/ephemeral`.
"""

from __future__ import annotations

from dataclasses import dataclass

from pylet.agent.kubelet.volumes.interface import References, VolumeError
from pylet.api.kinds.node import KIND as NODE
from pylet.api.kinds.persistentvolume import KIND as PERSISTENT_VOLUME
from pylet.api.kinds.persistentvolumeclaim import KIND as CLAIM
from pylet.api.object import Key, Object, controller_of, dig, is_terminating, labels_of, uid_of
from pylet.api.volumebinding import reaches

_PROTECTION = "kubernetes.io/pvc-protection"


class NotBound(VolumeError):
    """The claim does not lead to a volume yet."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a pod's volume comes to: `spec` has the source's field; `volume` is the PersistentVolume, if any."""

    name: str
    spec: Object
    volume: Object | None = None
    claim: Object | None = None
    read_only: bool = False


def claim_name(pod: Object, volume: Object) -> str:
    """The claim a volume stands for, "" for none; that of an ephemeral volume has a name made of both."""
    if "ephemeral" in volume:
        return f"{pod['metadata']['name']}-{volume['name']}"
    return str(dig(volume, "persistentVolumeClaim", "claimName", default=""))


async def resolve(pod: Object, volume: Object, references: References) -> Asked:
    """Raises: NotBound, VolumeError, ApiError."""
    name = claim_name(pod, volume)
    if not name:
        return Asked(volume["name"], volume)
    namespace = pod["metadata"]["namespace"]
    try:
        claim = await references.read(CLAIM, Key(namespace, name))
        check_claim(claim, name)
        assert claim is not None
        if "ephemeral" in volume and (controller_of(claim) or {}).get("uid") != uid_of(pod):
            whose = f"{namespace}/{pod['metadata']['name']}"
            raise VolumeError(f"PVC {namespace}/{name} was not created for pod {whose} (pod is not owner)")
        found = await references.read(PERSISTENT_VOLUME, Key("", claim["spec"]["volumeName"]))
        check_volume(found, claim)
        assert found is not None
    except NotBound as not_yet:
        raise NotBound(f"error processing PVC {namespace}/{name}: {not_yet}") from not_yet
    check_mode(pod, volume["name"], found)
    read_only = bool(dig(volume, "persistentVolumeClaim", "readOnly"))
    return Asked(found["metadata"]["name"], found["spec"], found, claim, read_only)


async def check_node(pod: Object, asked: Asked, references: References) -> None:
    """Raises: VolumeError where the volume cannot be reached from the pod's node."""
    if asked.volume is None or "nodeAffinity" not in asked.volume["spec"]:
        return
    name = pod["spec"].get("nodeName", "")
    node = await references.read(NODE, Key("", name))
    if node is not None and not reaches(asked.volume, name, labels_of(node)):
        raise VolumeError("no matching NodeSelectorTerms", operation="MountVolume.NodeAffinity check")


def check_claim(claim: Object | None, name: str) -> None:
    """Raises: NotBound."""
    if claim is None:
        raise NotBound(f'failed to fetch PVC from API server: persistentvolumeclaims "{name}" not found')
    if is_terminating(claim) and _PROTECTION not in (claim["metadata"].get("finalizers") or ()):
        raise NotBound("PVC is being deleted")
    if dig(claim, "status", "phase") != "Bound":
        raise NotBound("PVC is not bound")
    if not claim["spec"].get("volumeName"):
        raise NotBound("PVC has empty pvc.Spec.VolumeName")


def check_volume(volume: Object | None, claim: Object) -> None:
    """Raises: NotBound."""
    name = claim["spec"]["volumeName"]
    if volume is None:
        raise NotBound(f'failed to fetch PV {name} from API server: persistentvolumes "{name}" not found')
    bound = volume["spec"].get("claimRef")
    if bound is None:
        nil = "but it has a nil pv.Spec.ClaimRef indicating it is not yet bound to the claim"
        raise NotBound(f"found PV object {name} {nil}")
    if bound.get("uid") != uid_of(claim):
        points = f"but its pv.Spec.ClaimRef.UID {bound.get('uid', '')} does not point to claim.UID {uid_of(claim)}"
        raise NotBound(f"found PV object {name} {points}")


def check_mode(pod: Object, name: str, volume: Object) -> None:
    """A block volume is a device of a container, any other a mount. Raises: VolumeError."""
    mode = volume["spec"].get("volumeMode", "Filesystem")
    if mode != "Filesystem" and name in names_in(pod, "volumeMounts"):
        raise NotBound(f"volume {name} has volumeMode {mode}, but is specified in volumeMounts")
    if mode != "Block" and name in names_in(pod, "volumeDevices"):
        raise NotBound(f"volume {name} has volumeMode {mode}, but is specified in volumeDevices")


def names_in(pod: Object, field: str) -> set[str]:
    """Names of the volumes that containers of `pod` use as `field`: volumeMounts or volumeDevices."""
    groups = ("initContainers", "containers", "ephemeralContainers")
    containers = [container for group in groups for container in pod["spec"].get(group) or ()]
    return {use["name"] for container in containers for use in container.get(field) or ()}


def used(pod: Object) -> list[Object]:
    """The volumes some container uses: others are not mounted."""
    names = names_in(pod, "volumeMounts") | names_in(pod, "volumeDevices")
    return [volume for volume in pod["spec"].get("volumes") or () if volume["name"] in names]
