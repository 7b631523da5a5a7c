"""The description of a ReplicaSet."""

from collections import Counter

from pylet.api.object import Object, conditions_of, controller_of, dig
from pylet.cli.kubectl.describe import podspec
from pylet.cli.kubectl.describe.page import Page, selector_text


def describe(page: Page, replica_set: Object, *, events: bool) -> None:
    spec, meta = replica_set["spec"], replica_set["metadata"]
    page.head(replica_set)
    page.write(f"Selector:\t{selector_text(spec['selector'])}")
    page.labelled(replica_set)
    page.controlled_by(replica_set)
    current = dig(replica_set, "status", "replicas", default=0)
    page.write(f"Replicas:\t{current} current / {spec.get('replicas', 1)} desired")
    path = f"/api/v1/namespaces/{meta['namespace']}/pods"
    pods = page.listed(path, labelSelector=selector_text(spec["selector"]))
    phases = Counter(dig(p, "status", "phase") for p in pods if (controller_of(p) or {}).get("uid") == meta["uid"])
    page.write(
        f"Pods Status:\t{phases['Running']} Running / {phases['Pending']} Waiting / "
        f"{phases['Succeeded']} Succeeded / {phases['Failed']} Failed"
    )
    podspec.template(page, spec["template"])
    page.conditions(conditions_of(replica_set))
    if events:
        page.events(replica_set)
