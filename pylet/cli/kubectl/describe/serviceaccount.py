"""The description of a ServiceAccount."""

from pylet.api.object import Object
from pylet.cli.kubectl.describe.page import Page


def describe(page: Page, account: Object) -> None:
    page.head(account)
    page.labelled(account)
    page.lines("Image pull secrets", [ref["name"] for ref in account.get("imagePullSecrets") or ()])
    page.events(account)
