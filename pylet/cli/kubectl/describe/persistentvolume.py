"""The description of a PersistentVolume."""

from typing import Any

from pylet.api.object import Object, dig
from pylet.cli.kubectl.describe import volumes
from pylet.cli.kubectl.describe.page import Page


def describe(page: Page, volume: Object) -> None:
    meta, spec, status = volume["metadata"], volume["spec"], volume.get("status") or {}
    page.head(volume, namespace=False)
    page.labelled(volume)
    page.write(f"Finalizers:\t[{' '.join(meta.get('finalizers') or ())}]")
    page.write(f"StorageClass:\t{volumes.class_of(volume)}")
    page.phase(volume)
    claim = spec.get("claimRef")
    page.write(f"Claim:\t{claim.get('namespace', '')}/{claim['name']}" if claim else "Claim:\t")
    page.write(f"Reclaim Policy:\t{spec.get('persistentVolumeReclaimPolicy', '')}")
    page.write(f"Access Modes:\t{volumes.access_modes(spec.get('accessModes') or ())}")
    page.fields(spec, ("VolumeMode", "volumeMode"))
    page.write(f"Capacity:\t{dig(spec, 'capacity', 'storage', default='0')}")
    _affinity(page, dig(spec, "nodeAffinity", "required"))
    page.write(f"Message:\t{status.get('message', '')}")
    page.write("Source:")
    volumes.write_source(page, spec)
    page.events(volume)


def _affinity(page: Page, required: Any) -> None:
    terms = (required or {}).get("nodeSelectorTerms") or ()
    if not terms:
        page.write("Node Affinity:\t<none>")
        return
    page.write("Node Affinity:\t\n  Required Terms:\t")
    for number, term in enumerate(terms):
        found = term.get("matchExpressions") or ()
        lines = [
            f"{each['key']} {each['operator'].lower()}"
            + (f" [{', '.join(each['values'])}]" if each.get("values") else "")
            for each in found
        ]
        for position, line in enumerate(lines or ["<none>"]):
            page.write(f"Term {number}:\t{line}" if position == 0 else f"\t{line}", 2)
