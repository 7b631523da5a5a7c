"""The proxy's rules in the kernel of the network namespace that the caller has entered."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterable

from pylet.agent import nft
from pylet.agent.nftset import Element
from pylet.agent.proxy import rules
from pylet.agent.proxy.model import Frontend
from pylet.agent.proxy.ruleset import Changes, Installed, build


def install(layout: rules.Layout, frontends: Iterable[Frontend]) -> list[Element]:
    """Write it all, as the proxy does when it starts; returns the elements."""
    elements = [element for frontend in frontends for element in build([frontend])]
    run(rules.script(layout))
    write(layout, Installed().change((), elements), flush=rules.TYPES)
    return elements


def write(layout: rules.Layout, changes: Changes, *, flush: Iterable[str] = ()) -> None:
    chains = sorted(name for name in changes.chains if not rules.is_fixed(name))
    run(rules.chains_script(layout, chains))
    with contextlib.closing(nft.Table(layout.table, rules.TYPES)) as table:
        table.add_rules(rules.raw_rules(chains))
        batch = table.batch()
        for name in flush:
            batch.flush(name)
        batch.delete(changes.deleted)
        batch.add(changes.added)
        table.apply(batch)


def run(script: str) -> None:
    done = subprocess.run(["nft", "-f", "-"], input=script, text=True, capture_output=True)
    assert not done.returncode, done.stderr
