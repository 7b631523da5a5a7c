"""Output by paths into objects: jsonpath, custom columns and `--sort-by`. Apart, because tables don't need it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from pylet.api.object import Object
from pylet.cli.failure import Failure
from pylet.cli.kubectl import jsonpath
from pylet.cli.kubectl.documents import to_json, to_text
from pylet.cli.kubectl.output import Printer, items_of
from pylet.cli.kubectl.tabs import align


def _file(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError as error:
        told = f"open {path}: {str(error.strerror).lower()}"
        raise Failure(f"error: error reading template {path}, {told}") from None


def printer(name: str, argument: str, *, no_headers: bool, missing_keys: bool = True) -> Printer:
    """Raises: Failure."""
    match name:
        case "custom-columns":
            columns = _columns(argument)
        case "custom-columns-file":
            columns = _columns_file(argument)
        case _:
            if not argument:
                raise Failure("error: template format specified but no template given")
            path = _file(argument) if name.endswith("file") else argument
            return _jsonpath(path, as_json=name.endswith("json"), missing_keys=missing_keys)
    return lambda obj: custom_columns(columns, items_of(obj), no_headers=no_headers)


def _jsonpath(text: str, *, as_json: bool, missing_keys: bool) -> Printer:
    try:
        template = jsonpath.parse(text)
    except jsonpath.BadPath as error:
        raise Failure(f"error: error parsing jsonpath {text}, {error}") from None

    def show(obj: Object) -> str:
        try:
            if as_json:
                return "".join(to_json(results) for results in jsonpath.find(template, obj, missing_keys=missing_keys))
            return jsonpath.render(template, obj, missing_keys=missing_keys)
        except jsonpath.BadPath as error:
            raise Failure(f'error: error executing jsonpath "{text}": {error}') from None

    return show


Column = tuple[str, jsonpath.Template]


def _column(header: str, path: str) -> Column:
    try:
        return header, jsonpath.parse(jsonpath.relaxed(path)) if path else ()
    except jsonpath.BadPath as error:
        raise Failure(f"error: {error}") from None


def _columns(spec: str) -> list[Column]:
    if not spec:
        raise Failure("error: custom-columns format specified but no custom columns given")
    columns = []
    for part in spec.split(","):
        header, colon, path = part.partition(":")
        if not colon:
            raise Failure(f"error: unexpected custom-columns spec: {part}, expected <header>:<json-path-expr>")
        columns.append(_column(header, path))
    return columns


def _columns_file(path: str) -> list[Column]:
    lines = _file(path).splitlines()
    if len(lines) < 2:
        raise Failure("error: invalid template, a line of headers and a line of column specs are expected")
    headers, specs = lines[0].split(), lines[1].split()
    if len(headers) != len(specs):
        raise Failure(f"error: number of headers ({len(headers)}) and field specifications ({len(specs)}) don't match")
    return [_column(header, spec) for header, spec in zip(headers, specs, strict=True)]


def custom_columns(columns: Sequence[Column], items: Sequence[Object], *, no_headers: bool) -> str:
    lines = [] if no_headers else ["\t".join(header for header, _ in columns)]
    for item in items:
        cells = []
        for _, template in columns:
            try:
                found = jsonpath.find(template, item)
            except jsonpath.BadPath as error:
                raise Failure(f"error: {error}") from None
            values = [_go_text(value) for results in found for value in results]
            cells.append(",".join(values) if found and found[0] else ",".join(["<none>", *values]))
        lines.append("\t".join(cells))
    return align("".join(f"{line}\n" for line in lines), least=6, padding=3)


def _go_text(value: object) -> str:
    """A value as Go's fmt prints an interface."""
    match value:
        case dict():
            return "map[" + " ".join(f"{k}:{_go_text(v)}" for k, v in sorted(value.items())) + "]"
        case list():
            return "[" + " ".join(map(_go_text, value)) + "]"
        case None:
            return "<nil>"
    return to_text(value)


def sort_key(path: str) -> Callable[[Sequence[Object]], list[int]]:
    """The order of objects by `--sort-by`, as their indexes. Raises: Failure."""
    try:
        text = jsonpath.relaxed(path)
        template = jsonpath.parse(text)
    except jsonpath.BadPath as error:
        raise Failure(f"error: {error}") from None

    def order(objects: Sequence[Object]) -> list[int]:
        found = [[value for results in jsonpath.find(template, obj) for value in results][:1] for obj in objects]
        if objects and not any(found):
            raise Failure(f'error: couldn\'t find any field with path "{text}" in the list of objects')
        return sorted(range(len(objects)), key=lambda i: _rank(found[i][0] if found[i] else None))

    return order


def _rank(value: object) -> tuple[int, float, str]:
    """Absent before numbers and quantities before text."""
    match value:
        case None:
            return 0, 0.0, ""
        case bool() | int() | float():
            return 1, float(value), ""
        case str():
            from pylet.api.quantity import parse

            try:
                return 1, float(parse(value).nanos) / 1e9, ""
            except (ValueError, AssertionError):
                return 2, 0.0, value
    raise Failure("error: unsortable type")
