"""The description of a RoleBinding or ClusterRoleBinding."""

from pylet.api.object import Object
from pylet.cli.kubectl.describe.page import Page


def describe(page: Page, binding: Object) -> None:
    page.head(binding, namespace=False)
    page.labelled(binding)
    page.write("Role:")
    page.write(f"Kind:\t{binding['roleRef']['kind']}", 1)
    page.write(f"Name:\t{binding['roleRef']['name']}", 1)
    page.write("Subjects:")
    rows = [(each["kind"], each["name"], each.get("namespace", "")) for each in binding.get("subjects") or ()]
    page.table(("Kind", "Name", "Namespace"), rows)
