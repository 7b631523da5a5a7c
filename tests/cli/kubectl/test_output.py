"""The printers behind `-o`, and the layout of columns."""

import pytest

from pylet.cli.failure import Failure
from pylet.cli.kubectl.documents import to_json, to_yaml
from pylet.cli.kubectl.output import dry_run_of, printer
from pylet.cli.kubectl.tables import TablePrinter
from pylet.cli.kubectl.tabs import Columns, align
from pylet.cli.kubectl.templates import sort_key

POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "labels": {"x": "y"}, "managedFields": [{}]}}
WEB = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {"replicas": 2}}
LIST = {"apiVersion": "v1", "kind": "List", "items": [POD, WEB]}


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        pytest.param("name", "pod/a\ndeployment.apps/web\n", id="names"),
        pytest.param("jsonpath={.items[*].metadata.name}", "a web", id="jsonpath"),
        pytest.param(
            "custom-columns=N:.metadata.name,R:.spec.replicas", "N     R\na     <none>\nweb   2\n", id="columns"
        ),
    ],
)
def test_a_list_is_printed(spec: str, text: str) -> None:
    assert printer(spec)(LIST) == text


def test_documents_hide_managed_fields_unless_asked_for() -> None:
    assert "managedFields" not in printer("yaml")(POD)
    assert "managedFields" in printer("yaml", managed_fields=True)(POD)


@pytest.mark.parametrize("spec", ["nope", "jsonpath", "custom-columns=", "custom-columns=X", "jsonpath={.a"])
def test_what_is_no_output_format_is_refused(spec: str) -> None:
    with pytest.raises(Failure):
        printer(spec)(POD)


def test_yaml_quotes_what_would_be_read_as_something_else() -> None:
    text = to_yaml({"a": "1", "b": "yes", "c": "x: y", "d": "line\nline\n", "e": None, "f": 1.5, "g": "2020-01-01"})
    assert text == 'a: "1"\nb: "yes"\nc: \'x: y\'\nd: |\n  line\n  line\ne: null\nf: 1.5\ng: "2020-01-01"\n'


def test_json_escapes_as_go_does() -> None:
    assert to_json({"b": "<&>", "a": []}) == '{\n    "a": [],\n    "b": "\\u003c\\u0026\\u003e"\n}\n'


def test_objects_are_sorted_by_a_path_absent_first() -> None:
    assert sort_key(".spec.replicas")([WEB, POD]) == [1, 0]
    assert sort_key("{.metadata.name}")([WEB, POD]) == [1, 0]


def test_cells_stand_below_their_headers_until_a_line_without_the_column() -> None:
    assert align("a\tb\nlong\tc\n\nx\ty") == "a     b\nlong  c\n\nx  y"


def test_columns_never_get_narrower_while_watching() -> None:
    columns = Columns()
    assert columns.lines([["NAME", "AGE"], ["a-long-name", "1s"]]) == "NAME          AGE\na-long-name   1s\n"
    assert columns.lines([["b", "2s"]]) == "b             2s\n"


def _table(*rows: list[str]) -> dict[str, object]:
    definitions = [
        {"name": "Name", "format": "name"},
        {"name": "Age"},
        {"name": "Node", "priority": 1},
    ]
    meta = {"namespace": "ns", "labels": {"app": "x"}}
    objects = [{"cells": row, "object": {"metadata": meta}} for row in rows]
    return {"kind": "Table", "columnDefinitions": definitions, "rows": objects}


def test_a_table_shows_what_its_options_ask_for() -> None:
    printer_ = TablePrinter(wide=True, with_namespace=True, prefix="pod", show_labels=True, label_columns=["app"])
    assert printer_.lines(_table(["a", "1s", "n1"])) == (
        "NAMESPACE   NAME    AGE   NODE   APP   LABELS\nns          pod/a   1s    n1     x     app=x\n"
    )
    assert TablePrinter(no_headers=True).lines(_table(["a", "1s", "n1"])) == "a     1s\n"


def test_control_characters_in_cells_can_not_move_the_cursor() -> None:
    assert TablePrinter(no_headers=True).lines(_table(["a\x1b[2J", "1s\nx", ""])) == "a^[[2J   1s...\n"


@pytest.mark.parametrize(
    ("value", "kind"), [("none", "none"), ("unchanged", "client"), ("client", "client"), ("server", "server")]
)
def test_a_dry_run_is_the_clients_or_the_servers(value: str, kind: str) -> None:
    assert dry_run_of(value) == kind
