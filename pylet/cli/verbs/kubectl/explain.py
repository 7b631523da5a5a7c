"""`kubectl explain`: what a kind and its fields mean. Source: cmd/explain."""

from __future__ import annotations

from pylet.api.errors import ApiError
from pylet.cli.failure import Failure
from pylet.cli.kubectl.command import KubectlCommand, arguments, switch, text
from pylet.cli.kubectl.explaining import Explanation
from pylet.cli.kubectl.resources import Resource
from pylet.cli.kubectl.session import Session


def _run(session: Session, args: tuple[str, ...], recursive: bool, api_version: str, output: str) -> None:
    if not args:
        raise Failure(
            'error: You must specify the type of resource to explain. Use "kubectl api-resources" for a complete list '
            "of supported resources."
        )
    if len(args) > 1:
        raise Failure("error: We accept only this format: explain RESOURCE")
    if output != "plaintext":
        raise Failure(f"error: --output {output} is not available: plaintext only")
    resource, path = _resource(session, args[0], api_version)
    root = f"apis/{resource.api_version}" if resource.group else f"api/{resource.version}"
    try:
        document = session.api.request("GET", f"/openapi/v3/{root}")
    except ApiError as error:
        if error.code != 404:
            raise
        raise Failure(f"error: couldn't find resource for {resource.api_version}, {resource.kind}") from None
    gvk = {"group": resource.group, "version": resource.version, "kind": resource.kind}
    print(Explanation(document, recursive=recursive).text(gvk, path), end="")


def _resource(session: Session, word: str, api_version: str) -> tuple[Resource, list[str]]:
    """The resource and the path into it: `deployments.apps.spec` may name a group first. Raises: Failure."""
    type_, *path = word.rstrip(".").split(".")
    if path and (named := _grouped(session, type_, path)):
        return named
    try:
        resource = session.catalog.find(type_)
    except Failure as failure:
        raise Failure(failure.message.removeprefix("error: ")) from None
    if not api_version:
        return resource, path
    found = session.catalog.of_kind(api_version, resource.kind)
    if found is None:
        raise Failure(f'error: couldn\'t find resource for "{api_version}, Resource={resource.plural}"')
    return found, path


def _grouped(session: Session, type_: str, path: list[str]) -> tuple[Resource, list[str]] | None:
    groups = {resource.group for resource in session.catalog.discovered if resource.group}
    for length in range(len(path), 0, -1):
        group = ".".join(path[:length])
        if group in groups:
            return session.catalog.find(f"{type_}.{group}"), path[length:]
    return None


VERB = KubectlCommand(
    "explain",
    _run,
    [
        switch("recursive", help="Fields of fields, too, without their descriptions."),
        text("api-version", help="Of one version."),
        text("output", "o", default="plaintext", help="plaintext"),
        arguments(),
    ],
    help="Explain a kind or a field: TYPE[.FIELD…]",
)
