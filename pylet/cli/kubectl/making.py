"""Objects that a verb makes up from its flags, created or only shown: what `create`, `run`, `expose` share."""

from __future__ import annotations

from typing import Any

from pylet.api.object import Object
from pylet.cli.failure import Failure
from pylet.cli.kubectl import manifests, output, writing
from pylet.cli.kubectl.documents import annotated
from pylet.cli.kubectl.session import Session


def make(
    session: Session,
    obj: Object,
    options: dict[str, Any],
    *,
    manager: str,
    source: str = "",
    operation: str = "created",
    quiet: bool = False,
) -> Object:
    """The object as the server made it, told of unless `quiet`; as it is under a dry run of the client."""
    dry_run = writing.dry_run(options)
    if options.get("save_config"):
        obj = annotated(obj)
    if dry_run == "client":
        made = _placed(session, obj)
    else:
        made = writing.create(
            session,
            manifests.target(session, obj, source),
            manager=writing.manager_of(options, manager),
            dry_run=dry_run,
            validation=writing.validation_of(options.get("validate", "strict")),
        )
    if not quiet:
        tell(made, options, operation)
    return made


def tell(obj: Object, options: dict[str, Any], operation: str = "created") -> None:
    output.done(obj, operation, options["output"], dry_run=writing.dry_run(options))


def _placed(session: Session, obj: Object) -> Object:
    """The object in the namespace of `-n`, where that is given; the server is not asked for more than its kinds."""
    if not session.namespace_given:
        return obj
    resource = session.catalog.of_kind(obj["apiVersion"], obj["kind"])
    if resource is not None and not resource.namespaced:
        return obj
    return {**obj, "metadata": {**obj["metadata"], "namespace": session.namespace}}


def patched(obj: Object, patch: Object) -> Object:
    """The object with a strategic merge patch, as the server would apply it; a JSON merge where it has no schema."""
    from pylet.api import schema
    from pylet.api.kinds import by_kind
    from pylet.api.patch import merge, strategic

    group, _, version = obj["apiVersion"].rpartition("/")
    kind = by_kind(group, version, obj["kind"])
    return merge.apply(obj, patch) if kind is None else strategic.apply(obj, patch, schema.of(kind.definition))


def overridden(obj: Object, overrides: str, override_type: str) -> Object:
    """The object with what `--overrides` says. Raises: Failure."""
    import json

    from pylet.api.patch import json_patch, merge

    if not overrides:
        return obj
    try:
        patch = json.loads(overrides)
    except ValueError as error:
        raise Failure(f"error: Invalid JSON Patch: {error}") from None
    match override_type:
        case "merge":
            return merge.apply(obj, patch)
        case "strategic":
            return patched(obj, patch)
        case "json":
            return json_patch.apply(obj, patch)
    raise Failure(f"error: invalid override type: {override_type}")


def labels_of(text: str, what: str = "label") -> dict[str, str]:
    """`a=b,c=d`. Raises: Failure."""
    found = {}
    for pair in filter(None, text.split(",")):
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise Failure(f"error: unexpected {what} spec: {pair}")
        found[key] = value
    return found
