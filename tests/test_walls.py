"""The walls of the house hold, and each of them can fail: a contract that accepts any import is no wall."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from grimp import ImportGraph, build_graph
from importlinter import configuration
from importlinter.application import use_cases
from importlinter.application.user_options import UserOptions
from importlinter.domain.contract import Contract, registry

configuration.configure()

ROOT = Path(__file__).parents[1]

# One offending import for each contract: who must not import whom.
OFFENCES = {
    "Rooms lie in layers": ("pylet.api.object", "pylet.server.run"),
    "Store and CRI know nothing of Kubernetes objects": ("pylet.store.interface", "pylet.api.object"),
    "Only the registry and the composition root use the store": ("pylet.server.loopback", "pylet.store.interface"),
    "Only the kubelet and the composition root use the runtime": ("pylet.agent.join", "pylet.cri.interface"),
    "Kubelet, proxy and network meet only in the API": ("pylet.agent.proxy.loop", "pylet.agent.kubelet.worker"),
    "Controllers and scheduler reach the API only through the client": (
        "pylet.server.scheduler.loop",
        "pylet.server.loopback",
    ),
    "No controller knows another": ("pylet.server.controllers.deployment", "pylet.server.controllers.replicaset"),
    "No scheduler plugin knows another": (
        "pylet.server.scheduler.plugins.node_name",
        "pylet.server.scheduler.plugins.node_ports",
    ),
    "No store driver knows another": ("pylet.store.drivers.memory", "pylet.store.drivers.sqlite"),
    "No admission plugin knows another": (
        "pylet.server.admission.priority",
        "pylet.server.admission.service_account",
    ),
    "No verb knows another": ("pylet.cli.verbs.server", "pylet.cli.verbs.agent"),
    "Deciding is pure": ("pylet.agent.kubelet.actions", "asyncio"),
    "CEL knows no kinds": ("pylet.api.cel.rules", "pylet.api.crd.kinds"),
    "SQLite has one home": ("pylet.server.run", "sqlite3"),
    "HTTP/2 has one home": ("pylet.agent.run", "hpack"),
    "The command line starts without the HTTP library": ("pylet.cli.options", "aiohttp"),
}


@cache
def options() -> UserOptions:
    found = use_cases.read_user_options()
    use_cases._register_contract_types(found)
    return found


@cache
def graph() -> ImportGraph:
    return build_graph("pylet", include_external_packages=True, cache_dir=None)


def contract(settings: dict[str, Any]) -> Contract:
    kind = registry.get_contract_class(settings["type"])
    return kind(name=settings["name"], session_options=options().session_options, contract_options=deepcopy(settings))


CONTRACTS = {settings["name"]: settings for settings in options().contracts_options}


def pure_modules() -> Iterator[str]:
    """Those whose docstring says so."""
    for path in (ROOT / "pylet").rglob("*.py"):
        if re.search(r"\bPure\b(?! but)", ast.get_docstring(ast.parse(path.read_text())) or ""):
            yield ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def test_who_says_that_it_is_pure_is() -> None:
    unfit = set(CONTRACTS["Deciding is pure"]["forbidden_modules"])
    broken = {name: unfit & graph().find_modules_directly_imported_by(name) for name in pure_modules()}
    assert len(broken) > 100
    assert {name: found for name, found in broken.items() if found} == {}


def test_every_contract_has_an_offence_to_catch() -> None:
    assert set(CONTRACTS) == set(OFFENCES)


@pytest.mark.parametrize("name", CONTRACTS)
def test_the_house_keeps_the_contract(name: str) -> None:
    assert contract(CONTRACTS[name]).check(graph(), verbose=False).kept


@pytest.mark.parametrize("name", CONTRACTS)
def test_the_contract_catches_an_offence(name: str) -> None:
    importer, imported = OFFENCES[name]
    broken = deepcopy(graph())
    assert importer in broken.modules
    assert imported in broken.modules
    broken.add_import(importer=importer, imported=imported, line_number=1, line_contents=f"import {imported}")
    assert not contract(CONTRACTS[name]).check(broken, verbose=False).kept
