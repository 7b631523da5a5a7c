"""The dialect of `-o jsonpath`, against what client-go's engine answers."""

import pytest

from pylet.cli.kubectl import jsonpath

POD = {
    "metadata": {"name": "web", "labels": {"app": "x", "a.b/c": "y"}},
    "spec": {
        "replicas": 3,
        "paused": False,
        "containers": [
            {"name": "a", "image": "one", "ports": [{"port": 80}, {"port": 81}]},
            {"name": "b", "image": "two"},
        ],
    },
}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        pytest.param("{.metadata.name}", "web", id="a field"),
        pytest.param("name: {.metadata.name}!", "name: web!", id="text around it"),
        pytest.param("{$.metadata.name}{@.spec.replicas}", "web3", id="the root and the current value"),
        pytest.param("{.metadata.labels.a\\.b/c}", "y", id="a key with dots, escaped"),
        pytest.param("{.metadata.labels['a\\.b/c']}", "y", id="a key with dots, in brackets"),
        pytest.param("{.spec.containers[0].image}", "one", id="an index"),
        pytest.param("{.spec.containers[-1].image}", "two", id="an index from the end"),
        pytest.param("{.spec.containers[*].name}", "a b", id="everything in a list"),
        pytest.param("{.spec.containers[0:1].name}", "a", id="a slice"),
        pytest.param("{.spec.containers[0]['name','image']}", "a one", id="several keys"),
        pytest.param('{.spec.containers[?(@.name=="b")].image}', "two", id="a filter by text"),
        pytest.param("{.spec.containers[0].ports[?(@.port>80)].port}", "81", id="a filter by number"),
        pytest.param("{.spec.containers[?(@.ports)].name}", "a", id="a filter by presence"),
        pytest.param("{..port}", "80 81", id="at any depth"),
        pytest.param('{range .spec.containers[*]}{.name}{"\\n"}{end}', "a\nb\n", id="a range with a newline"),
        pytest.param("{.spec.nope}", "", id="what is not there"),
        pytest.param("{.spec.paused}", "false", id="a boolean"),
        pytest.param("{.metadata.labels}", '{"a.b/c":"y","app":"x"}', id="an object, as compact JSON"),
    ],
)
def test_it_renders(template: str, text: str) -> None:
    assert jsonpath.render(jsonpath.parse(template), POD) == text


@pytest.mark.parametrize("template", ["{.a", "{.a[", "{.a[-]}", "{.a[1:-]}", "{.a[?(@.b]}", "{.a}{end}"])
def test_what_can_not_be_read_is_refused(template: str) -> None:
    with pytest.raises(jsonpath.BadPath):
        jsonpath.render(jsonpath.parse(template), POD)


def test_an_index_beyond_the_end_says_how_long_the_list_is() -> None:
    with pytest.raises(jsonpath.BadPath, match="array index out of bounds: index 5, length 2"):
        jsonpath.render(jsonpath.parse("{.spec.containers[5].name}"), POD)


@pytest.mark.parametrize(("path", "whole"), [(".a.b", "{.a.b}"), ("a.b", "{.a.b}"), ("{a.b}", "{.a.b}")])
def test_columns_may_leave_out_braces_and_dot(path: str, whole: str) -> None:
    assert jsonpath.relaxed(path) == whole
