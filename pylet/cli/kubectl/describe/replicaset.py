"""The description of a ReplicaSet."""

from pylet.api.object import Object, conditions_of, dig
from pylet.cli.kubectl.describe import podspec
from pylet.cli.kubectl.describe.page import Page, selector_text


def describe(page: Page, replica_set: Object) -> None:
    spec = replica_set["spec"]
    page.head(replica_set)
    page.write(f"Selector:\t{selector_text(spec['selector'])}")
    page.labelled(replica_set)
    page.controlled_by(replica_set)
    current = dig(replica_set, "status", "replicas", default=0)
    page.write(f"Replicas:\t{current} current / {spec.get('replicas', 1)} desired")
    page.write(f"Pods Status:\t{podspec.phases_of_pods(page, replica_set)}")
    podspec.template(page, spec["template"])
    page.conditions(conditions_of(replica_set))
    page.events(replica_set)
