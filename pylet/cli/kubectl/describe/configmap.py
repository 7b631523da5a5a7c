"""The description of a ConfigMap."""

import base64

from pylet.api.object import Object
from pylet.cli.kubectl.describe.page import Page


def describe(page: Page, config_map: Object) -> None:
    page.head(config_map)
    page.labelled(config_map)
    page.write("\nData\n====")
    for key, value in sorted((config_map.get("data") or {}).items()):
        page.write(f"{key}:\n----\n{value}\n")
    page.write("\nBinaryData\n====")
    for key, value in sorted((config_map.get("binaryData") or {}).items()):
        page.write(f"{key}: {len(base64.b64decode(value))} bytes")
    page.write("")
    page.events(config_map)
