"""The description of a PersistentVolumeClaim."""

from pylet.api.object import Object, conditions_of, dig
from pylet.cli.kubectl.describe import volumes
from pylet.cli.kubectl.describe.page import Page, when


def describe(page: Page, claim: Object) -> None:
    meta, spec, status = claim["metadata"], claim["spec"], claim.get("status") or {}
    page.head(claim)
    page.write(f"StorageClass:\t{volumes.class_of(claim)}")
    page.phase(claim)
    page.write(f"Volume:\t{spec.get('volumeName', '')}")
    page.labelled(claim)
    page.write(f"Finalizers:\t[{' '.join(meta.get('finalizers') or ())}]")
    bound = status if spec.get("volumeName") else {}
    page.write(f"Capacity:\t{dig(bound, 'capacity', 'storage', default='0' if bound else '')}")
    page.write(f"Access Modes:\t{volumes.access_modes(bound.get('accessModes') or ())}")
    page.fields(spec, ("VolumeMode", "volumeMode"))
    if source := spec.get("dataSource"):
        page.write("DataSource:")
        page.fields(source, ("APIGroup", "apiGroup"), ("Kind", "kind"), ("Name", "name"), level=1)
    page.lines("Used By", sorted(pod["metadata"]["name"] for pod in _users(page, meta)))
    if conditions := list(conditions_of(claim)):
        page.write("Conditions:\n  Type\tStatus\tLastProbeTime\tLastTransitionTime\tReason\tMessage")
        # Not `page.table`: upstream underlines the third header as if it were LastHeartbeatTime.
        page.write("----\t------\t-----------------\t------------------\t------\t-------", 1)
        for condition in conditions:
            times = [when(condition.get(field)) for field in ("lastProbeTime", "lastTransitionTime")]
            said = [condition.get(field, "") for field in ("reason", "message")]
            cells = [f"{cell} " for cell in (condition["type"], condition["status"], *times)]
            page.write("\t".join([*cells, *said]), 1)
    page.events(claim)


def _users(page: Page, meta: Object) -> list[Object]:
    """The pods that have it as a volume, or own it."""
    owners = {owner["uid"] for owner in meta.get("ownerReferences") or () if owner["kind"] == "Pod"}
    return [
        pod
        for pod in page.listed(f"/api/v1/namespaces/{meta['namespace']}/pods")
        if pod["metadata"].get("uid") in owners
        or any(
            dig(volume, "persistentVolumeClaim", "claimName") == meta["name"]
            for volume in pod["spec"].get("volumes") or ()
        )
    ]
