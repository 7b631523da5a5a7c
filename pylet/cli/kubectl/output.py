"""What `-o` asks for, tables apart, and the line that says what was done to an object."""

from __future__ import annotations

from collections.abc import Callable

from pylet.api.object import Object
from pylet.cli.failure import Failure
from pylet.cli.kubectl.documents import to_json, to_yaml, without_managed_fields

_FORMATS = (
    "custom-columns,custom-columns-file,go-template,go-template-file,json,jsonpath,jsonpath-as-json,jsonpath-file,"
    "name,template,templatefile,wide,yaml"
)
Printer = Callable[[Object], str]


def label_of(obj: Object) -> str:
    """`deployment.apps/web`."""
    group, slash, _ = obj.get("apiVersion", "").partition("/")
    kind = obj.get("kind", "").lower()
    name = obj.get("metadata", {}).get("name") or "<unknown>"
    return f"{kind}.{group}/{name}" if slash else f"{kind}/{name}"


def printer(spec: str, *, managed_fields: bool = False, no_headers: bool = False, missing_keys: bool = True) -> Printer:
    """The printer for one object or List; documents of YAML are not yet separated. Raises: Failure.

    Without `missing_keys` a path of a template that leads nowhere is an error.
    """
    name, _, argument = spec.partition("=")
    shown = (lambda obj: obj) if managed_fields else without_managed_fields
    match name:
        case "json":
            return lambda obj: to_json(shown(obj))
        case "yaml":
            return lambda obj: to_yaml(shown(obj))
        case "name":
            return lambda obj: "".join(f"{label_of(item)}\n" for item in items_of(obj))
        case "jsonpath" | "jsonpath-file" | "jsonpath-as-json" | "custom-columns" | "custom-columns-file":
            from pylet.cli.kubectl import templates

            return templates.printer(name, argument, no_headers=no_headers, missing_keys=missing_keys)
        case "go-template" | "go-template-file" | "template" | "templatefile":
            if not argument:
                raise Failure("error: template format specified but no template given")
            raise Failure(f"error: -o {name}: Go templates are not run here: say it with -o jsonpath=, or use kubectl")
    raise Failure(
        f'error: unable to match a printer suitable for the output format "{name}", allowed formats are: {_FORMATS}'
    )


def items_of(obj: Object) -> list[Object]:
    return list(obj["items"]) if obj.get("kind", "").endswith("List") and "items" in obj else [obj]


def done(obj: Object, operation: str, output: str = "", *, dry_run: str = "none") -> None:
    """Prints `pod/x created`, or the object when -o says so."""
    if output:
        print(printer(output)(obj), end="")
        return
    print(f"{label_of(obj)} {operation}{rehearsed(dry_run)}")


def rehearsed(dry_run: str) -> str:
    """How a line ends that tells of what was not really done; "" for one of what was."""
    return {"client": " (dry run)", "server": " (server dry run)"}.get(dry_run, "")


def dry_run_of(value: str) -> str:
    """none, client or server. Raises: Failure."""
    match value:
        case "none" | "false" | "":
            return "none"
        case "client" | "unchanged" | "true":
            return "client"
        case "server":
            return "server"
    raise Failure(f'error: Invalid dry-run value ({value}). Must be "none", "server", or "client".')
