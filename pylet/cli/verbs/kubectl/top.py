"""`kubectl top`: what nodes and pods use, where the metrics API is served. Source: cmd/top."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pylet.api import quantity
from pylet.api.errors import ApiError
from pylet.api.object import Object, dig
from pylet.cli.failure import Failure
from pylet.cli.kubectl import flags
from pylet.cli.kubectl.command import KubectlCommand, KubectlGroup, arguments, switch, text
from pylet.cli.kubectl.session import Session
from pylet.cli.kubectl.tabs import table

_ROOT = "/apis/metrics.k8s.io/v1beta1"
_MILLI, _MEBI = 10**6, 2**20 * 10**9


def _metrics(session: Session, path: str, options: dict[str, Any]) -> list[Object]:
    """Raises: Failure, where nobody serves the metrics API."""
    query = {"labelSelector": options["selector"], "fieldSelector": options.get("field_selector", "")}
    try:
        session.api.request("GET", _ROOT)
    except ApiError as error:
        if error.code in (404, 503):
            raise Failure("error: Metrics API not available") from None
        raise
    answer = session.api.request("GET", path, query=query)
    return list(answer["items"]) if "items" in answer else [answer]


def _usage(entries: Sequence[Object]) -> tuple[int, int]:
    """CPU in thousandths and memory in mebibytes, of all of them."""
    used = [entry.get("usage") or {} for entry in entries]
    cpu = sum(quantity.parse(u.get("cpu", "0")).nanos for u in used)
    memory = sum(quantity.parse(u.get("memory", "0")).nanos for u in used)
    return -(-cpu // _MILLI), memory // _MEBI


def _print(rows: list[list[str]], options: dict[str, Any]) -> None:
    shown = rows[1:] if options["no_headers"] else rows
    print(table(shown), end="")


def _order(options: dict[str, Any]) -> int | None:
    match options["sort_by"]:
        case "":
            return None
        case "cpu":
            return 0
        case "memory":
            return 1
    raise Failure("error: --sort-by accepts only cpu or memory")


def _sorted(found: list[tuple[list[str], tuple[int, int]]], options: dict[str, Any]) -> list[Any]:
    column = _order(options)
    return sorted(found, key=lambda row: row[0] if column is None else (-row[1][column], row[0]))


def _nodes(session: Session, args: tuple[str, ...], **options: Any) -> None:
    _order(options)
    found = _metrics(session, f"{_ROOT}/nodes{f'/{args[0]}' if args else ''}", options)
    if not found:
        raise Failure("error: metrics not available yet")
    nodes = {node["metadata"]["name"]: node for node in session.api.request("GET", "/api/v1/nodes")["items"]}
    rows = [["NAME", "CPU(cores)", "CPU(%)", "MEMORY(bytes)", "MEMORY(%)"]]
    used = [([metric["metadata"]["name"]], _usage([metric])) for metric in found]
    for [name], (cpu, memory) in _sorted(used, options):
        field = "capacity" if options["show_capacity"] else "allocatable"
        has = dig(nodes.get(name, {}), "status", field, default={})
        shares = (_share(cpu * _MILLI, has.get("cpu")), _share(memory * _MEBI, has.get("memory")))
        rows.append([name, f"{cpu}m", shares[0], f"{memory}Mi", shares[1]])
    _print(rows, options)


def _share(used: int, has: str | None) -> str:
    return f"{used * 100 // quantity.parse(has).nanos}%" if has else "<unknown>"


def _pods(session: Session, args: tuple[str, ...], **options: Any) -> None:
    _order(options)
    everywhere = options["all_namespaces"]
    scope = "" if everywhere else f"/namespaces/{session.namespace}"
    found = _metrics(session, f"{_ROOT}{scope}/pods{f'/{args[0]}' if args else ''}", options)
    if not found:
        raise Failure(f"No resources found in {session.namespace} namespace." if scope else "No resources found", 0)
    used: list[tuple[list[str], tuple[int, int]]] = []
    for pod in found:
        names = [*([pod["metadata"]["namespace"]] if everywhere else []), pod["metadata"]["name"]]
        if options["containers"]:
            used += [([*names, entry["name"]], _usage([entry])) for entry in pod["containers"]]
        else:
            used.append((names, _usage(pod["containers"])))
    headers = [*(["NAMESPACE"] if everywhere else []), *(["POD", "NAME"] if options["containers"] else ["NAME"])]
    rows = [[*headers, "CPU(cores)", "MEMORY(bytes)"]]
    rows += [[*names, f"{cpu}m", f"{memory}Mi"] for names, (cpu, memory) in _sorted(used, options)]
    _print(rows, options)


_COMMON = (
    flags.SELECTOR,
    text("sort-by", help="cpu or memory"),
    switch("no-headers", help="No line of headers."),
    switch("use-protocol-buffers", help="Accepted; answers come as JSON."),
    arguments(),
)
VERB = KubectlGroup("top", help="Show what nodes and pods use.")
for _names in (("node", "nodes", "no"), ("pod", "pods", "po")):
    for _name in _names:
        if _names[0] == "node":
            _flags = [switch("show-capacity", help="Shares of the capacity, not of what is allocatable."), *_COMMON]
            VERB.add_command(KubectlCommand(_name, _nodes, _flags, help="What nodes use."))
        else:
            _flags = [
                flags.ALL_NAMESPACES,
                switch("containers", help="A line for each container."),
                text("field-selector", help="Field selector."),
                *_COMMON,
            ]
            VERB.add_command(KubectlCommand(_name, _pods, _flags, help="What pods use."))
