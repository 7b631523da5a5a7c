"""The description of a DaemonSet."""

from pylet.api.object import Object
from pylet.cli.kubectl.describe import podspec
from pylet.cli.kubectl.describe.page import Page, pairs, selector_text

_COUNTS = (
    ("Desired Number of Nodes Scheduled", "desiredNumberScheduled"),
    ("Current Number of Nodes Scheduled", "currentNumberScheduled"),
    ("Number of Nodes Scheduled with Up-to-date Pods", "updatedNumberScheduled"),
    ("Number of Nodes Scheduled with Available Pods", "numberAvailable"),
    ("Number of Nodes Misscheduled", "numberMisscheduled"),
)


def describe(page: Page, daemon_set: Object) -> None:
    spec, status = daemon_set["spec"], daemon_set.get("status") or {}
    page.head(daemon_set)
    page.write(f"Selector:\t{selector_text(spec['selector'])}")
    page.write(f"Node-Selector:\t{pairs(spec['template']['spec'].get('nodeSelector'))}")
    page.labelled(daemon_set)
    for title, field in _COUNTS:
        page.write(f"{title}: {status.get(field, 0)}")
    page.write(f"Pods Status:\t{podspec.phases_of_pods(page, daemon_set)}")
    podspec.template(page, spec["template"])
    page.events(daemon_set)
