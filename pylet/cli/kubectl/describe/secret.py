"""The description of a Secret, which says how long its values are and not what they are."""

import base64

from pylet.api.object import Object
from pylet.cli.kubectl.describe.page import Page


def describe(page: Page, secret: Object) -> None:
    page.head(secret)
    page.labelled(secret)
    page.write(f"\nType:\t{secret.get('type', '')}")
    page.write("\nData\n====")
    for key, value in sorted((secret.get("data") or {}).items()):
        data = base64.b64decode(value)
        if key == "token" and secret.get("type") == "kubernetes.io/service-account-token":
            page.write(f"{key}:\t{data.decode()}")
        else:
            page.write(f"{key}:\t{len(data)} bytes")
