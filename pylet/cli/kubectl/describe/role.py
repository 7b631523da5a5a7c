"""The description of a Role or ClusterRole."""

from pylet.api.object import Object
from pylet.cli.kubectl import rules
from pylet.cli.kubectl.describe.page import Page


def describe(page: Page, role: Object, *, events: bool) -> None:
    page.head(role, namespace=False)
    page.labelled(role)
    page.write("PolicyRule:")
    page.write("\t".join(rules.HEADERS), 1)
    page.write("\t".join("-" * len(header) for header in rules.HEADERS), 1)
    for line in rules.lines(role.get("rules") or ()):
        page.write("\t".join(line.cells()), 1)
