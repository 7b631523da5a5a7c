"""The description of a Role or ClusterRole."""

from pylet.api.object import Object
from pylet.cli.kubectl import rules
from pylet.cli.kubectl.describe.page import Page


def describe(page: Page, role: Object) -> None:
    page.head(role, namespace=False)
    page.labelled(role)
    page.write("PolicyRule:")
    page.table(rules.HEADERS, [line.cells() for line in rules.lines(role.get("rules") or ())])
