"""The description of a Namespace."""

from pylet.api.errors import ApiError
from pylet.api.object import Object, conditions_of, dig
from pylet.cli.kubectl.describe.page import Page, when


def describe(page: Page, namespace: Object, *, events: bool) -> None:
    page.head(namespace, namespace=False)
    page.labelled(namespace)
    page.write(f"Status:\t{dig(namespace, 'status', 'phase', default='')}")
    if conditions := list(conditions_of(namespace)):
        page.write("Conditions:")
        page.write("Type\tStatus\tLastTransitionTime\tReason\tMessage", 1)
        page.write("----\t------\t------------------\t------\t-------", 1)
        for c in conditions:
            cells = [
                c["type"],
                c["status"],
                when(c.get("lastTransitionTime")),
                c.get("reason", ""),
                c.get("message", ""),
            ]
            page.write("\t".join(cells), 1)
    for title, plural in (("resource quota", "resourcequotas"), ("LimitRange resource", "limitranges")):
        try:
            found = page.listed(f"/api/v1/namespaces/{namespace['metadata']['name']}/{plural}")
        except ApiError:
            continue  # a server without this kind has nothing to say of it
        page.write("")
        if not found:
            page.write(f"No {title}.")
        for item in found:
            page.write(f"Name:\t{item['metadata']['name']}", 1)
