"""Applying one manifest: by a three-way merge with the configuration applied last, or on the server. Source: cmd/apply.

`apply` does it, `diff` does it as a dry run.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from pylet.api.errors import ApiError, Conflict, Invalid, NotFound
from pylet.api.object import Object, annotations_of
from pylet.cli.failure import Failure, warn
from pylet.cli.kubectl import deleting, migrating, writing
from pylet.cli.kubectl.documents import LAST_APPLIED, annotated, to_compact_json
from pylet.cli.kubectl.errors import doing
from pylet.cli.kubectl.session import Session
from pylet.cli.kubectl.targets import Target

_SERVER_MANAGER = "kubectl"
_CONFLICT = """
Please review the fields above--they currently have other managers. Here
are the ways you can resolve this warning:
* If you intend to manage all of these fields, please re-run the apply
  command with the `--force-conflicts` flag.
* If you do not intend to manage all of the fields, please edit your
  manifest to remove references to the fields that should keep their
  current managers.
* You may co-own fields by updating your manifest to match the existing
  value; in this case, you'll become the manager if the other manager(s)
  stop managing the field (remove it from their configuration).
See https://kubernetes.io/docs/reference/using-api/server-side-apply/#conflicts"""


class Applier:
    """A `preview` leaves the annotation of the last applied configuration as it is."""

    def __init__(self, session: Session, options: dict[str, Any], *, preview: bool = False) -> None:
        self.session = session
        self.options = options
        self.preview = preview
        self.dry_run = writing.dry_run(options)
        self.validation = writing.validation_of(options["validate"])
        server_side = options["server_side"]
        self.manager = writing.manager_of(options, _SERVER_MANAGER if server_side else "kubectl-client-side-apply")

    def one(self, target: Target) -> tuple[Object, str]:
        """The object as it is now, and what was done to it."""
        if not target.name:
            generated = target.obj["metadata"].get("generateName")
            what = (
                f"from {generated}: cannot use generate name with apply"
                if generated
                else "resource name may not be empty"
            )
            raise Failure(f"error: {what}")
        if self.options["server_side"]:
            return self._server_side(target), "serverside-applied"
        if annotation := writing.cause(self.session, self.options):
            meta = target.obj["metadata"]
            meta["annotations"] = {**(meta.get("annotations") or {}), **annotation}
        wanted = _as_last(target.obj) if self.preview else annotated(target.obj)
        try:
            current = self.session.api.request("GET", target.path)
        except NotFound:
            return self._create(target, wanted), "created"
        return self._patch(target, current, wanted)

    def _create(self, target: Target, wanted: Object) -> Object:
        made = replace(target, obj=_without_nulls(wanted))
        with doing("creating", target.source):
            return writing.create(
                self.session, made, manager=self.manager, dry_run=self.dry_run, validation=self.validation
            )

    def _patch(self, target: Target, current: Object, wanted: Object) -> tuple[Object, str]:
        annotations = current["metadata"].get("annotations") or {}
        if LAST_APPLIED not in annotations and not self.preview:
            warn(
                f"resource {target.resource.plural}/{target.name} is missing the {LAST_APPLIED} annotation "
                "which is required by kubectl apply. kubectl apply should only be used on resources created "
                "declaratively by either kubectl create --save-config or kubectl apply. The missing annotation will be "
                "patched automatically."
            )
        last = json.loads(annotations.get(LAST_APPLIED) or "{}")
        difference, type_ = three_way(last, wanted, current)
        if not difference:
            return current, "unchanged"
        if current["metadata"].get("deletionTimestamp"):
            warn(f"Detected changes to resource {target.name} which is currently being deleted.")
        if self.dry_run == "client":
            return current, "configured"
        try:
            with doing(_described(difference, target), target.source), doing("patching", target.source):
                patched = writing.patch(
                    self.session,
                    target,
                    difference,
                    type_=type_,
                    manager=self.manager,
                    dry_run=self.dry_run,
                    fieldValidation=self.validation,
                )
        except (Conflict, Invalid):
            if not self.options.get("force"):
                raise
            return self._recreate(target, current, wanted), "configured"
        same = patched["metadata"].get("resourceVersion") == current["metadata"].get("resourceVersion")
        return patched, "unchanged" if same and self.dry_run == "none" else "configured"

    def _recreate(self, target: Target, current: Object, wanted: Object) -> Object:
        """The object made anew, or the old one again where that can not be."""
        grace = self.options["grace_period"]
        body: Object = {"propagationPolicy": deleting.policy(self.options["cascade"])}
        uid = deleting.delete(self.session, target, body | ({"gracePeriodSeconds": grace} if grace >= 0 else {}))
        deleting.wait(self.session, target, uid, deleting.deadline(self.options["timeout"]))
        try:
            return self._create(target, wanted)
        except ApiError:
            writing.create(self.session, replace(target, obj=current), manager=self.manager)
            raise

    def _server_side(self, target: Target) -> Object:
        """What was applied by the client once counts as applied by the server from now on, if that can be had."""
        applied = self._applied(target)
        if self.preview:
            return applied
        failed = f"failed to migrate {LAST_APPLIED} for Server-Side Apply"
        try:
            applied = self._annotation_kept(target, applied)
            meta = applied["metadata"]
            managed = meta.get("managedFields") or ()
            clients = migrating.owners(managed, "Update")
            if not clients:
                return applied
            failed = "server rejected managed fields migration to Server-Side Apply"
            value = migrating.migrated(managed, clients, self.manager)
            upgrade = [
                {"op": "replace", "path": "/metadata/managedFields", "value": value},
                {"op": "replace", "path": "/metadata/resourceVersion", "value": meta["resourceVersion"]},
            ]
            self._patched(target, upgrade, writing.JSON_PATCH, self.manager)
        except ApiError as error:
            warn(f"{failed}. This is non-fatal and will be retried next time you apply. Error: {error}")
            return applied
        return self._applied(target)

    def _annotation_kept(self, target: Target, applied: Object) -> Object:
        """The object with the annotation of what the client applied last made the server's."""
        meta = applied["metadata"]
        is_kept = self.manager == _SERVER_MANAGER and LAST_APPLIED in annotations_of(applied)
        if not is_kept or migrating.owners(meta.get("managedFields") or (), "Apply"):
            return applied
        annotations = {LAST_APPLIED: annotations_of(applied)[LAST_APPLIED]}
        named = {field: meta[field] for field in ("name", "namespace") if field in meta}
        kind = {field: applied[field] for field in ("apiVersion", "kind")}
        body = {**kind, "metadata": {**named, "annotations": annotations}}
        return self._patched(target, body, writing.APPLY, "kubectl-last-applied")

    def _patched(self, target: Target, body: Any, type_: str, manager: str) -> Object:
        return writing.patch(self.session, target, body, type_=type_, manager=manager, dry_run=self.dry_run)

    def _applied(self, target: Target) -> Object:
        force = "true" if self.options["force_conflicts"] else "false"
        try:
            return writing.patch(
                self.session,
                target,
                target.obj,
                type_=writing.APPLY,
                manager=self.manager,
                dry_run=self.dry_run,
                subresource=self.options.get("subresource", ""),
                force=force,
                fieldValidation=self.validation,
            )
        except Conflict as error:
            raise Failure(f"error: {error}{_CONFLICT}") from None


def _described(patch: Object, target: Target) -> str:
    """What apply was about where its patch is refused."""
    kind = f"{target.resource.group}/{target.resource.version}, Kind={target.resource.kind}"
    to = f'Resource: "{target.resource.shown}", GroupVersionKind: "{kind}"'
    place = f'Name: "{target.name}", Namespace: "{target.namespace}"'
    return f"applying patch:\n{to_compact_json(patch)}\nto:\n{to}\n{place}\nfor:"


def _as_last(obj: Object) -> Object:
    """The manifest as its own annotation would hold it: with annotations, if only none."""
    meta = obj["metadata"]
    return {**obj, "metadata": {**meta, "annotations": meta.get("annotations") or {}}}


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_nulls(v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value


def three_way(last: Object, wanted: Object, current: Object) -> tuple[Object, str]:
    """The patch from `current` to `wanted`, strategic where the schema knows the kind."""
    from pylet.api import schema
    from pylet.api.kinds import by_kind
    from pylet.api.patch import merge, strategic

    group, _, version = wanted["apiVersion"].rpartition("/")
    kind = by_kind(group, version, wanted["kind"])
    if kind is None:
        return merge.three_way(last, wanted, current), writing.MERGE
    return strategic.three_way(last, wanted, current, schema.of(kind.definition)), writing.STRATEGIC
