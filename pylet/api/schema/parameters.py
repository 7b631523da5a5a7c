"""The parameters of the API's operations: their names, types, and a line on each.

Source: apimachinery pkg/apis/meta/v1 (…Options), core/v1 (Pod…Options).
"""

from __future__ import annotations

from typing import NamedTuple


class Parameter(NamedTuple):
    """`place` is query or path; those of a path are required."""

    name: str
    type: str = "string"
    place: str = "query"
    text: str = ""


def _query(text: str) -> dict[str, Parameter]:
    rows = (line.strip().split(" ", 2) for line in text.strip().splitlines())
    return {name: Parameter(name, type_, text=words) for name, type_, words in rows}


_PARAMETERS = _query(
    """
    allowWatchBookmarks boolean Whether a watch may be sent BOOKMARK events.
    container string The container, where a pod has several.
    command string What to run, with its arguments.
    continue string The token of the previous answer: the list goes on after it.
    dryRun string All: go all the way and change nothing.
    fieldManager string Who makes this change; fields are noted as its own.
    fieldSelector string Restricts the list of returned objects to those with such fields.
    fieldValidation string What unknown and duplicate fields bring: Ignore, Warn or Strict.
    follow boolean Whether to wait for more of the log.
    force boolean Whether to take fields that others own. Only for applied patches.
    gracePeriodSeconds integer Seconds until the object may be removed.
    ignoreStoreReadErrorWithClusterBreakingPotential boolean Delete what can no longer be read, whatever depends on it.
    insecureSkipTLSVerifyBackend boolean Whether to read the log of a node that cannot prove who it is.
    labelSelector string Restricts the list of returned objects to those with such labels.
    limit integer At most so many objects; the answer says how to go on.
    limitBytes integer At most so many bytes of the log.
    orphanDependents boolean Deprecated: use propagationPolicy.
    path string The path to ask behind the proxy.
    ports integer Ports to forward.
    pretty string Whether to indent the answer.
    previous boolean Whether to read the log of the container that ran before.
    propagationPolicy string What becomes of dependents: Orphan, Background or Foreground.
    resourceVersion string How fresh the answer must be.
    resourceVersionMatch string How resourceVersion is meant: Exact or NotOlderThan.
    sendInitialEvents boolean Whether a watch begins with the objects there are.
    shardSelector string Only objects of such shards.
    sinceSeconds integer Only what was logged in the last seconds.
    stderr boolean Whether to carry standard error.
    stdin boolean Whether to carry standard input.
    stdout boolean Whether to carry standard output.
    stream string Which of All, Stdout and Stderr of the log.
    tailLines integer Only the last lines of the log.
    timeoutSeconds integer After how many seconds a list or watch ends.
    timestamps boolean Whether each line begins with its time.
    tty boolean Whether there is a terminal.
    watch boolean Watch for changes to the described resources, beside listing them.
    """
)


def _named(names: str) -> tuple[Parameter, ...]:
    return tuple(_PARAMETERS[name] for name in names.split())


NAMESPACE = Parameter("namespace", place="path", text="The object's namespace.")
PRETTY = _PARAMETERS["pretty"]
WRITE = _named("dryRun fieldManager fieldValidation")
PATCH = _named("dryRun fieldManager fieldValidation force")
DELETE = _named(
    "dryRun gracePeriodSeconds ignoreStoreReadErrorWithClusterBreakingPotential orphanDependents propagationPolicy"
)
LIST = _named(
    "allowWatchBookmarks continue fieldSelector labelSelector limit resourceVersion resourceVersionMatch "
    "sendInitialEvents shardSelector timeoutSeconds watch"
)
DELETE_MANY = _named(
    "continue dryRun fieldSelector gracePeriodSeconds ignoreStoreReadErrorWithClusterBreakingPotential labelSelector "
    "limit orphanDependents propagationPolicy resourceVersion resourceVersionMatch sendInitialEvents shardSelector "
    "timeoutSeconds"
)
CONNECT = {
    "attach": _named("container stderr stdin stdout tty"),
    "exec": _named("command container stderr stdin stdout tty"),
    "portforward": _named("ports"),
    "proxy": _named("path"),
}
LOG = _named(
    "container follow insecureSkipTLSVerifyBackend limitBytes previous sinceSeconds stream tailLines timestamps"
)
