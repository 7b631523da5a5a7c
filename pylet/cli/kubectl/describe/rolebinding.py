"""The description of a RoleBinding or ClusterRoleBinding."""

from pylet.api.object import Object
from pylet.cli.kubectl.describe.page import Page


def describe(page: Page, binding: Object, *, events: bool) -> None:
    page.head(binding, namespace=False)
    page.labelled(binding)
    page.write("Role:")
    page.write(f"Kind:\t{binding['roleRef']['kind']}", 1)
    page.write(f"Name:\t{binding['roleRef']['name']}", 1)
    page.write("Subjects:")
    page.write("Kind\tName\tNamespace", 1)
    page.write("----\t----\t---------", 1)
    for subject in binding.get("subjects") or ():
        page.write(f"{subject['kind']}\t{subject['name']}\t{subject.get('namespace', '')}", 1)
