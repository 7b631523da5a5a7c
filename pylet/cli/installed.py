"""What install.sh set up on this machine: the role, and the settings it keeps in `/etc/pylet/<role>.env`."""

from __future__ import annotations

import contextlib
from pathlib import Path

CONF = Path("/etc/pylet")
ROLES = ("server", "agent")


def environment(role: str) -> dict[str, str] | None:
    """The variables of that role; None where it was not set up here, or where this user may not read them."""
    with contextlib.suppress(OSError):
        lines = (CONF / f"{role}.env").read_text().splitlines()
        return {name: value for name, _, value in (line.partition("=") for line in lines)}
    return None
