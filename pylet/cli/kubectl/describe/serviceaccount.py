"""The description of a ServiceAccount."""

from collections.abc import Sequence

from pylet.api.object import Object
from pylet.cli.kubectl.describe.page import Page


def describe(page: Page, account: Object, *, events: bool) -> None:
    page.head(account)
    page.labelled(account)
    namespace = account["metadata"]["namespace"]
    secrets = page.listed(
        f"/api/v1/namespaces/{namespace}/secrets", fieldSelector="type=kubernetes.io/service-account-token"
    )
    tokens = [
        secret["metadata"]["name"]
        for secret in secrets
        if (secret["metadata"].get("annotations") or {}).get("kubernetes.io/service-account.uid")
        == account["metadata"]["uid"]
    ]
    _names(page, "Image pull secrets", [ref["name"] for ref in account.get("imagePullSecrets") or ()])
    _names(page, "Mountable secrets", [ref["name"] for ref in account.get("secrets") or ()])
    _names(page, "Tokens", tokens)
    if events:
        page.events(account)


def _names(page: Page, title: str, names: Sequence[str]) -> None:
    for number, name in enumerate(names or ["<none>"]):
        page.write(f"{(title + ':').ljust(19) if number == 0 else ' ' * 19}\t{name}")
