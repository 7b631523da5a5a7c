"""The description of a PriorityClass."""

from pylet.api.object import Object, annotations_of
from pylet.cli.kubectl.describe.page import Page, pairs


def describe(page: Page, priority_class: Object) -> None:
    page.head(priority_class, namespace=False)
    page.write(f"Value:\t{priority_class['value']}")
    page.write(f"GlobalDefault:\t{str(priority_class.get('globalDefault', False)).lower()}")
    page.write(f"PreemptionPolicy:\t{priority_class.get('preemptionPolicy', '')}")
    page.write(f"Description:\t{priority_class.get('description', '')}")
    page.write(f"Annotations:\t{pairs(annotations_of(priority_class))}")
    page.events(priority_class)
