"""The description of a Namespace."""

from pylet.api.errors import ApiError
from pylet.api.object import Object, conditions_of, dig
from pylet.cli.kubectl.describe.page import Page, when


def describe(page: Page, namespace: Object) -> None:
    page.head(namespace, namespace=False)
    page.labelled(namespace)
    page.write(f"Status:\t{dig(namespace, 'status', 'phase', default='')}")
    rows = [
        (c["type"], c["status"], when(c.get("lastTransitionTime")), c.get("reason", ""), c.get("message", ""))
        for c in conditions_of(namespace)
    ]
    if rows:
        page.write("Conditions:")
        page.table(("Type", "Status", "LastTransitionTime", "Reason", "Message"), rows)
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
