"""`kubectl drain`: cordon nodes, evict their pods and wait until they are gone. Source: `pkg/drain/drain.go`."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from pylet.api.errors import ApiError, NotFound, aggregated
from pylet.api.object import Object, controller_of, uid_of
from pylet.cli.failure import Failure, warn
from pylet.cli.kubectl import flags, nodes, output, watching
from pylet.cli.kubectl.command import KubectlCommand, number, switch, text
from pylet.cli.kubectl.draining import Rules, Selection, select
from pylet.cli.kubectl.errors import HANDLED
from pylet.cli.kubectl.http import Api
from pylet.cli.kubectl.session import Session, duration_seconds
from pylet.cli.kubectl.targets import Target, pages, target_of

_RETRY_SECONDS = 5.0


class _Drain:
    def __init__(self, session: Session, options: dict[str, Any]) -> None:
        self.session = session
        self.options = options
        self.dry_run = output.dry_run_of(options["dry_run"])
        self.rules = Rules(
            force=options["force"],
            ignore_daemonsets=options["ignore_daemonsets"],
            delete_emptydir_data=options["delete_emptydir_data"],
            skip_deleted_after_seconds=options["skip_wait_for_delete_timeout"],
        )
        self.timeout: str = options["timeout"]
        self.deadline = time.monotonic() + (duration_seconds(self.timeout, "--timeout") or float("inf"))
        self.evicts = not options["disable_eviction"]

    def selection(self, node: str) -> Selection:
        query = {
            "fieldSelector": f"spec.nodeName={node}",
            "labelSelector": self.options["pod_selector"],
            "limit": self.options["chunk_size"],
        }
        found = pages(self.session.api, "/api/v1/pods", query)[1]
        return select(found, self.rules, self._daemon_sets(found), datetime.now(UTC))

    def _daemon_sets(self, pods: Sequence[Object]) -> set[tuple[str, str]]:
        owners = [(pod["metadata"]["namespace"], controller_of(pod)) for pod in pods]
        wanted = {(namespace, owner["name"]) for namespace, owner in owners if owner and owner["kind"] == "DaemonSet"}
        return {(ns, name) for ns, name in wanted if self._exists(f"/apis/apps/v1/namespaces/{ns}/daemonsets/{name}")}

    def _exists(self, path: str) -> bool:
        try:
            self.session.api.request("GET", path)
        except NotFound:
            return False
        return True

    def node(self, node: Target) -> None:
        """Raises: Failure with the bare reason."""
        found = self.selection(node.name)
        if refusal := found.refusal():
            raise Failure(refusal)
        if warning := found.warning():
            warn(warning)
        if self.dry_run == "client":
            for pod in found.leaving:
                print(f"evicting pod {_name(pod)}{output.rehearsed(self.dry_run)}")
            return
        failures: list[str] = []
        pods = self.session.catalog.find("pods")
        threads = [threading.Thread(target=self._pod, args=(target_of(pods, pod), failures)) for pod in found.leaving]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            reason = aggregated(failures)
            self._tell_pending(node, reason)
            raise Failure(reason)

    def _tell_pending(self, node: Target, reason: str) -> None:
        if pending := self.selection(node.name).leaving:
            print(
                f"There are pending pods in node {json.dumps(node.name)} when an error occurred: {reason}",
                file=sys.stderr,
            )
            for pod in pending:
                print(f"pod/{pod['metadata']['name']}", file=sys.stderr)

    def _pod(self, pod: Target, failures: list[str]) -> None:
        """Evicts until the pod is gone; on a connection of its own, because pods leave side by side."""
        api = Api(self.session.endpoint, self.session.api.timeout_seconds)
        try:
            self._evict(api, pod) if self.evicts else self._delete(api, pod)
            if self.dry_run == "none":
                self._wait(api, pod)
        except Failure as failure:
            failures.append(failure.message)
        except HANDLED as error:
            failures.append(f"error when {'evicting' if self.evicts else 'deleting'} {_where(pod)}: {error}")

    def _evict(self, api: Api, pod: Target) -> None:
        body: Object = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod.name, "namespace": pod.namespace},
            "deleteOptions": self._delete_options(),
        }
        while True:
            _say(f"evicting pod {_name(pod.obj)}{output.rehearsed(self.dry_run)}")
            try:
                api.request("POST", f"{pod.path}/eviction", body=body)
            except NotFound:
                return
            except ApiError as error:
                if error.code != 429:
                    raise
                print(f"error when evicting {_where(pod)} (will retry after 5s): {error}", file=sys.stderr)
                if time.monotonic() + _RETRY_SECONDS > self.deadline:
                    told = f"error when evicting {_where(pod)}: global timeout reached: {self.timeout}"
                    raise Failure(told) from None
                time.sleep(_RETRY_SECONDS)
            else:
                return

    def _delete(self, api: Api, pod: Target) -> None:
        api.request("DELETE", pod.path, body=self._delete_options())

    def _delete_options(self) -> Object:
        options: Object = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if self.options["grace_period"] >= 0:
            options["gracePeriodSeconds"] = self.options["grace_period"]
        if self.dry_run == "server":
            options["dryRun"] = ["All"]
        return options

    def _wait(self, api: Api, pod: Target) -> None:
        if self._is_gone(api, pod):
            _say(f"pod/{pod.name} {'evicted' if self.evicts else 'deleted'}")
        else:
            seconds = self.rules.skip_deleted_after_seconds
            _say(f'pod "{pod.name}" has DeletionTimestamp older than {seconds} seconds, skipping')

    def _is_gone(self, api: Api, pod: Target) -> bool:
        """True as soon as it is; False when its end is no longer waited for. Raises: Failure at the deadline."""
        last = pod.obj
        while (patience := self.rules.patience_seconds(last, datetime.now(UTC))) >= 0:
            until = min(self.deadline, time.monotonic() + patience)
            for found in watching.states(api, pod, until):
                if found is None or uid_of(found) != uid_of(pod.obj):
                    return True
                if found["metadata"].get("deletionTimestamp") != last["metadata"].get("deletionTimestamp"):
                    last = found
                    break
            else:
                if until == self.deadline:
                    where = f'pod "{pod.name}" in namespace "{pod.namespace}"'
                    told = f"global timeout reached: {self.timeout}"
                    raise Failure(f"error when waiting for {where} to terminate: {told}")
        return False


def _name(pod: Object) -> str:
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"


def _where(pod: Target) -> str:
    return f'pods/"{pod.name}" -n "{pod.namespace}"'


def _say(line: str) -> None:
    """In one write, because several threads say something."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _run(session: Session, args: tuple[str, ...], selector: str | None, **options: Any) -> None:
    found = nodes.chosen(session, args, selector, "drain", page=options["chunk_size"])
    drain = _Drain(session, options)
    nodes.mark(session, found, unschedulable=True, dry_run=drain.dry_run)
    failed: dict[str, str] = {}
    for node in found:
        try:
            drain.node(node)
        except Failure as failure:
            failed[node.name] = failure.message
            told = f"error: unable to drain node {json.dumps(node.name)} due to error: {failure.message}"
            print(f"{told}, continuing command...", file=sys.stderr)
        else:
            output.done(node.obj, "drained", dry_run=drain.dry_run)
    if failed:
        print("There are pending nodes to be drained:", *(f" {name}" for name in failed), sep="\n", file=sys.stderr)
        raise Failure("\n".join(dict.fromkeys(failed.values())))


VERB = KubectlCommand(
    "drain",
    _run,
    [
        *nodes.FLAGS,
        switch("force", help="Pods without a controller, too."),
        switch("ignore-daemonsets", help="Leave the pods of DaemonSets."),
        switch("delete-emptydir-data", help="Pods with emptyDir volumes, too."),
        switch("disable-eviction", help="Delete pods, whatever disruption budgets say."),
        number("grace-period", default=-1, help="Seconds to end in; -1 leaves it to the pods."),
        text("timeout", default="0s", help="How long to go on; 0 for ever."),
        text("pod-selector", help="Only pods with these labels."),
        number("skip-wait-for-delete-timeout", help="Don't wait for pods that were deleted longer ago, in seconds."),
        flags.CHUNK_SIZE,
    ],
    help="Empty nodes before their maintenance.",
)
