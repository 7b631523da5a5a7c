"""What `kubectl describe` says of an object: one file per kind declares `describe(page, obj)`; the rest are generic.

A description is pure but for what it looks up next to the object (events, replica sets, endpoints): `Page.listed`.
Source of the layout: kubectl `pkg/describe/describe.go`.
"""

from __future__ import annotations

import importlib
import importlib.util
from datetime import UTC, datetime

from pylet.cli.kubectl.describe.page import Page
from pylet.cli.kubectl.session import Session
from pylet.cli.kubectl.targets import Target

_WITH_GROUP = {"Deployment": "apps", "ReplicaSet": "apps"}


def text_of(session: Session, target: Target, *, events: bool) -> str:
    """Raises: ApiError, ConnectionFailed."""
    page = Page(session.api, datetime.now(UTC))
    resource = target.resource
    name = resource.kind.lower() if resource.group == _WITH_GROUP.get(resource.kind, "") else ""
    module = f"{__name__}.{name}"
    if not name or importlib.util.find_spec(module) is None:
        module = f"{__name__}.generic"
    importlib.import_module(module).describe(page, target.obj, events=events)
    return page.text()
