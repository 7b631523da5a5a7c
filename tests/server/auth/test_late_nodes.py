"""Certificates that are over: a node that the cluster has may ask for its next one, everybody else is refused."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pylet.aio import certificate
from pylet.api.errors import Unauthorized
from pylet.server.auth.authenticate import AUTHENTICATED, LATE_NODES, Authenticator
from pylet.server.auth.tokens import Tokens
from pylet.server.pki import Pki
from pylet.server.registry import User
from pylet.store.drivers.memory import MemoryStore
from tests.server.kit import NOW, running

DAY = timedelta(days=1)


def shown(name: str, *groups: str, ends: Any = NOW) -> dict[str, Any]:
    """A certificate as `ssl` shows it."""
    subject = (*((("organizationName", group),) for group in groups), (("commonName", name),))
    return {"subject": subject, "notAfter": ends.strftime("%b %d %H:%M:%S %Y GMT")}


@pytest.mark.parametrize(
    ("given", "user"),
    [
        pytest.param(shown("system:node:there", "system:nodes", ends=NOW + DAY), None, id="a node in time"),
        pytest.param(
            shown("system:node:there", "system:nodes", ends=NOW - 900 * DAY),
            User("system:node:there", (LATE_NODES, AUTHENTICATED)),
            id="a node years later",
        ),
        pytest.param(shown("system:node:deleted", "system:nodes", ends=NOW - DAY), Unauthorized, id="a deleted node"),
        pytest.param(shown("system:node:there", ends=NOW - DAY), Unauthorized, id="no node"),
        pytest.param(shown("system:admin", "system:masters", ends=NOW - DAY), Unauthorized, id="an administrator"),
    ],
)
async def test_a_late_certificate_stands_for(given: dict[str, Any], user: Any, tmp_path: Path) -> None:
    assert certificate.moment(given["notAfter"]).year >= 2020
    async with running(MemoryStore()) as api:
        await api.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "there"}})
        tokens = Tokens(Pki(tmp_path).service_account, "a", lambda: NOW)
        authenticator = Authenticator(api.registry, tokens, ("a",), {}, lambda: NOW)
        if user is Unauthorized:
            with pytest.raises(Unauthorized):
                authenticator.late_user(given)
        else:
            assert authenticator.late_user(given) == user
