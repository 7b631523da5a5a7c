"""The description of a StatefulSet."""

from collections.abc import Sequence

from pylet.api.object import Object, annotations_of, dig, labels_of
from pylet.cli.kubectl.describe import podspec
from pylet.cli.kubectl.describe.page import Page, selector_text, when


def describe(page: Page, stateful_set: Object) -> None:
    spec = stateful_set["spec"]
    page.head(stateful_set)
    page.write(f"CreationTimestamp:\t{when(stateful_set['metadata']['creationTimestamp'])}")
    page.write(f"Selector:\t{selector_text(spec['selector'])}")
    page.labelled(stateful_set)
    total = dig(stateful_set, "status", "replicas", default=0)
    page.write(f"Replicas:\t{spec.get('replicas', 1)} desired | {total} total")
    page.write(f"Update Strategy:\t{dig(spec, 'updateStrategy', 'type', default='')}")
    rolling = dig(spec, "updateStrategy", "rollingUpdate", default={})
    for title, field in (("Partition", "partition"), ("MaxUnavailable", "maxUnavailable")):
        if field in rolling:
            page.write(f"{title}:\t{rolling[field]}", 1)
    page.write(f"Pods Status:\t{podspec.phases_of_pods(page, stateful_set)}")
    podspec.template(page, spec["template"])
    _claims(page, spec.get("volumeClaimTemplates") or ())
    page.events(stateful_set)


def _claims(page: Page, claims: Sequence[Object]) -> None:
    page.write("Volume Claims:" if claims else "Volume Claims:\t<none>")
    for claim in claims:
        spec = claim.get("spec") or {}
        page.write(f"Name:\t{claim['metadata']['name']}", 1)
        page.write(f"StorageClass:\t{spec.get('storageClassName', '')}", 1)
        page.labels("  Labels", labels_of(claim))
        page.annotations("  Annotations", annotations_of(claim))
        page.write(f"Capacity:\t{dig(spec, 'resources', 'requests', 'storage', default='<default>')}", 1)
        page.write(f"Access Modes:\t[{' '.join(spec.get('accessModes') or ())}]", 1)
