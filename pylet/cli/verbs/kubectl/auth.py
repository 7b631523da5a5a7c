"""`kubectl auth`: can-i, whoami and reconcile. Source: cmd/auth."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Any

from pylet.api.errors import AlreadyExists, Conflict, Forbidden, NotFound
from pylet.api.object import Object
from pylet.cli.failure import Failure, warn
from pylet.cli.kubectl import deleting, flags, manifests, rules, writing
from pylet.cli.kubectl.command import KubectlCommand, KubectlGroup, arguments, switch, text
from pylet.cli.kubectl.errors import Collected
from pylet.cli.kubectl.output import done, dry_run_of, printer
from pylet.cli.kubectl.reconciling import Reconciled, grants_of, reconciled
from pylet.cli.kubectl.resources import Resource
from pylet.cli.kubectl.session import Session
from pylet.cli.kubectl.tabs import table
from pylet.cli.kubectl.targets import Target

_AUTHORIZATION = "/apis/authorization.k8s.io/v1"
_VERBS = frozenset(
    (
        *("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"),
        *("use", "bind", "impersonate", "*", "approve", "sign", "escalate", "attest"),
    )
)
_PATH_VERBS = frozenset(("get", "put", "post", "head", "options", "delete", "patch", "*"))
_UNDISCOVERED = {"users", "groups"}
_RBAC = "rbac.authorization.k8s.io"
_RECONCILED = ("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")
_ATTEMPTS = 3


def _can_i(session: Session, args: tuple[str, ...], **options: Any) -> int:
    if options["list"]:
        if args:
            raise Failure("error: list option must be specified with no arguments")
        if options["quiet"] or options["all_namespaces"] or options["subresource"]:
            told = "list option can't be specified with neither quiet, all-namespaces nor subresource options"
            raise Failure(f"error: {told}")
        _list(session, no_headers=options["no_headers"])
        return 0
    if len(args) != 2:
        raise Failure(
            "error: you must specify two arguments: verb resource or verb resource/resourceName.\n"
            "See 'kubectl auth can-i -h' for help and examples."
        )
    if options["no_headers"]:
        raise Failure("error: --no-headers cannot be set without --list specified")
    status = _review(session, _question(session, args[0], args[1], options))
    if not options["quiet"]:
        reasons = [status[field] for field in ("reason", "evaluationError") if status.get(field)]
        print("yes" if status.get("allowed") else " - ".join(["no", *reasons]))
    return 0 if status.get("allowed") else 1


def _question(session: Session, verb: str, what: str, options: dict[str, Any]) -> Object:
    if what.startswith("/"):
        if options["subresource"]:
            raise Failure("error: --subresource can not be used with NonResourceURL")
        if verb not in _PATH_VERBS:
            warn(f"verb '{verb}' is not a known verb\n")
        return {"nonResourceAttributes": {"verb": verb, "path": what}}
    type_, _, name = what.partition("/")
    resource = _resource(session, type_)
    namespace = "" if options["all_namespaces"] else session.namespace
    if resource is not None and namespace and not resource.namespaced:
        group = f" in group '{resource.group}'" if resource.group else ""
        warn(f"resource '{resource.plural}' is not namespace scoped{group}\n")
    if verb not in _VERBS and namespace:
        warn(f"verb '{verb}' is not a known verb\n")
    return {
        "resourceAttributes": {
            "namespace": namespace,
            "verb": verb,
            "group": resource.group if resource else "",
            "resource": resource.plural if resource else type_,
            "subresource": options["subresource"],
            "name": name,
        }
    }


def _resource(session: Session, type_: str) -> Resource | None:
    if type_ == "*":
        return None
    try:
        return session.catalog.find(type_)
    except Failure:
        if type_ not in _UNDISCOVERED:
            plural, _, group = type_.lower().partition(".")
            where = f" in group '{group}'" if group else ""
            warn(f"the server doesn't have a resource type '{plural}'{where}\n")
        return None


def _review(session: Session, spec: Object) -> Object:
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": spec}
    answer = session.api.request("POST", f"{_AUTHORIZATION}/selfsubjectaccessreviews", body=body)
    status: Object = answer.get("status") or {}
    return status


def _list(session: Session, *, no_headers: bool) -> None:
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": session.namespace},
    }
    status = session.api.request("POST", f"{_AUTHORIZATION}/selfsubjectrulesreviews", body=body)["status"]
    if status.get("incomplete"):
        warn(f"the list may be incomplete: {status.get('evaluationError', '')}")
    granted = [*(status.get("resourceRules") or ()), *(status.get("nonResourceRules") or ())]
    rows = [line.cells() for line in rules.lines(granted)]
    if not no_headers:
        rows.insert(0, list(rules.HEADERS))
    print(table(rows), end="")


def _whoami(session: Session, output: str) -> None:
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    try:
        review = session.api.request("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", body=body)
    except NotFound:
        raise Failure("error: the selfsubjectreviews API is not enabled in the cluster") from None
    except Forbidden:
        told = "the selfsubjectreviews API is not enabled in the cluster or you do not have permission to call it"
        raise Failure(f"error: {told}") from None
    if output:
        meta = {field: value for field, value in (review.get("metadata") or {}).items() if value is not None}
        print(printer(output)({**review, "metadata": meta}), end="")
        return
    user = review["status"].get("userInfo") or {}
    rows = [("ATTRIBUTE", "VALUE")]
    rows += [(title, user[field]) for title, field in (("Username", "username"), ("UID", "uid")) if user.get(field)]
    if user.get("groups"):
        rows.append(("Groups", f"[{' '.join(user['groups'])}]"))
    rows += [(f"Extra: {key}", f"[{' '.join(value)}]") for key, value in sorted((user.get("extra") or {}).items())]
    print(table(rows), end="")


def _reconcile(session: Session, filename: tuple[str, ...], recursive: bool, **options: Any) -> None:
    dry_run = dry_run_of(options["dry_run"])
    if dry_run == "server":
        raise Failure("error: --dry-run=server for command reconcile is not supported yet")
    failures = Collected()
    for source, obj in manifests.objects(filename, recursive=recursive):
        if isinstance(obj, Failure):
            failures.add(obj)
            continue
        group, _, version = obj["apiVersion"].partition("/")
        if group != _RBAC or obj["kind"] not in _RECONCILED:
            continue
        if version != "v1":
            told = f"only {_RBAC}/v1 is supported: not *{version}.{obj['kind']}"
            failures.add(Failure(f"error: {told}"))
            continue
        failures.attempt(_reconcile_one, session, manifests.target(session, obj, source), options, dry_run)
    failures.finish()


def _reconcile_one(session: Session, target: Target, options: dict[str, Any], dry_run: str) -> None:
    exactly = options["remove_extra_subjects" if grants_of(target.obj) == "subjects" else "remove_extra_permissions"]
    for attempts_left in reversed(range(_ATTEMPTS)):
        try:
            result = reconciled(target.obj, _current(session, target), exactly=exactly)
            obj = result.obj
            if dry_run == "none" and not result.is_protected:
                obj = _written(session, target, result)
            break
        except (AlreadyExists, Conflict, NotFound):  # somebody else was faster
            if not attempts_left:
                raise
    done(obj, "reconciled", options["output"], dry_run=dry_run)
    for line in result.told(exactly=exactly):
        print(line, file=sys.stderr)


def _current(session: Session, target: Target) -> Object | None:
    try:
        current: Object = session.api.request("GET", target.path)
    except NotFound:
        return None
    return current


def _written(session: Session, target: Target, result: Reconciled) -> Object:
    obj: Object = result.obj
    if result.operation == "update":
        obj = session.api.request("PUT", target.path, body=obj)
    if result.operation == "recreate":
        deleting.delete(session, target, {})
    if result.operation in ("create", "recreate"):
        _ensure_namespace(session, target.namespace)
        obj = writing.create(session, target, manager="")
    return obj


def _ensure_namespace(session: Session, name: str) -> None:
    """As far as one may."""
    if name:
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        with suppress(AlreadyExists, Forbidden):
            session.api.request("POST", "/api/v1/namespaces", body=body)


VERB = KubectlGroup("auth", help="Ask who you are and what you may do.")
VERB.add_command(
    KubectlCommand(
        "can-i",
        _can_i,
        [
            flags.ALL_NAMESPACES,
            switch("quiet", "q", help="Only the exit status."),
            switch("list", help="All that is allowed."),
            switch("no-headers", help="No line of headers."),
            text("subresource", help="log, scale, …"),
            arguments(),
        ],
        help="Ask whether you may do something: VERB TYPE[/NAME] or VERB /PATH.",
    )
)
VERB.add_command(
    KubectlCommand("whoami", _whoami, [text("output", "o", help="json, yaml, …")], help="Show who you are.")
)
VERB.add_command(
    KubectlCommand(
        "reconcile",
        _reconcile,
        [
            *flags.FILES,
            switch("remove-extra-permissions", help="Take away what roles grant beyond that."),
            switch("remove-extra-subjects", help="Take away whom bindings name beyond that."),
            flags.OUTPUT,
            text("dry-run", default="none", bare="unchanged", help="none or client."),
        ],
        help="Have roles and bindings grant what files say.",
    )
)
