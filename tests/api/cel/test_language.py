"""The language itself: what expressions are worth, and how the wrong ones are refused."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pylet.api.cel import standard
from pylet.api.cel.errors import CompileError, CostExceeded, EvaluationError
from pylet.api.cel.program import Budget, OutOfBudget
from pylet.api.cel.values import Duration, UInt
from tests.api.cel.expressions import value_of

TRUE = {
    "numbers of different types compare by value": "dyn(1) == 1.0 && dyn(1u) == 1 && dyn(2) > 1.5",
    "booleans are no numbers": "dyn(true) != 1",
    "an error on one side of || is absorbed": "1 / 0 == 1 || true",
    "an error on one side of && is absorbed": "!(1 / 0 == 1 && false)",
    "exists outlives an error when another item fits": "[0, 2].exists(x, 4 / x == 2)",
    "all is false when one item is, whatever else fails": "![0, 2].all(x, 4 / x == 3)",
    "division goes towards zero": "-7 / 2 == -3 && -7 % 2 == -1",
    "has asks for a key": "has({'a': 1}.a) && !has({'a': 1}.b)",
    "what has no fields does not have one": "!has(dyn(null).a) && !has(dyn({'a': 'b'}).a.c)",
    "nor optionally": "dyn({'a': 'b'}).?a.?c.orValue('d') == 'd'",
    "exists_one wants exactly one": "[1, 2, 2].exists_one(x, x == 1) && ![1, 2, 2].exists_one(x, x == 2)",
    "map with a filter": "[1, 2, 3].map(x, x > 1, x * 2) == [4, 6]",
    "two variables over a list": "['a', 'b'].all(i, v, i < 2 && v != '')",
    "two variables over a map": "{'a': 1}.transformMap(k, v, v + 1) == {'a': 2}",
    "entries made anew": "{'a': 1}.transformMapEntry(k, v, {k + 'x': v}) == {'ax': 1}",
    "a list of a map": "{'a': 1}.transformList(k, v, k) == ['a']",
    "optional selection": "{'a': {'b': 1}}.?a.?b.orValue(2) == 1 && {'a': 1}.?c.orValue(2) == 2",
    "optional index": "[1][?3].orValue(7) == 7",
    "optional entries are left out": "{?'a': optional.none(), 'b': 1}.size() == 1 && [?optional.of(1)] == [1]",
    "optMap and optFlatMap": "optional.of(1).optMap(x, x + 1).optFlatMap(x, optional.of(x + 1)).value() == 3",
    "macros nest": "[[1, 2], [3]].all(xs, xs.exists(x, x > 1))",
    "raw strings keep backslashes": r"""r'\d' == '\\d' && R"\n".size() == 2""",
    "triple quotes span lines": "'''a\n'b''' == \"a\\n'b\"",
    "escapes": r"'\x41\u00e9\101' == 'AéA'",
    "bytes": r"b'\xff'.size() == 1 && bytes('é').size() == 2",
    "comments": "true // and no more",
    "times and durations": "timestamp('2020-01-01T00:00:00Z') + duration('1h') > timestamp('2020-01-01T00:30:00Z')",
    "timestamps in zones": "timestamp('2020-01-01T00:00:00Z').getHours('+02:30') == 2",
    "types are values": "type(1) == int && type([]) == list && type(type(1)) == type",
    "conversions": "int('-5') == -5 && string(1.5) == '1.5' && double('2') == 2.0 && uint(3) == 3u && bool('true')",
    "the largest negative number can be written": "-9223372036854775808 < 0",
    "precedence": "1 + 2 * 3 == 7 && !false || false ? true : false",
    "equality looks inside": "{'a': [{'b': 2.0}]} == {'a': [{'b': 2.0}]}",
}


@pytest.mark.parametrize("source", TRUE.values(), ids=TRUE.keys())
def test_true(source: str) -> None:
    assert value_of(source) is True


def test_time_zones_that_objects_name_are_not_remembered_for_ever() -> None:
    for minutes in range(1000):
        assert standard._zone(f"+{minutes // 60:02}:{minutes % 60:02}").utcoffset(None) == timedelta(minutes=minutes)
    assert standard._zone.__wrapped__.cache_info().currsize <= 256


REFUSED = {
    "undeclared": ("x + 1", "1:1: undeclared reference to 'x' (in container '')"),
    "undeclared function": ("f(1)", "1:2: undeclared reference to 'f' (in container '')"),
    "no overload": ("1 + 'a'", "1:3: found no matching overload for '_+_' applied to '(int, string)'"),
    "no method": ("'a'.startsWith(1)", "1:15: found no matching overload for 'startsWith' applied to 'string.(int)'"),
    "mixed list": ("[1, 'a']", "1:5: expected type 'int' but found 'string'"),
    "field of a scalar": ("'a'.b", "1:4: type 'string' does not support field selection"),
    "range of a macro": ("1.all(x, true)", "1:1: expression of type 'int' cannot be range of a comprehension"),
    "has of no field": ("has(1)", "1:5: invalid argument to has() macro"),
    "reserved word": ("for", "1:1: reserved identifier: for"),
    "bad duration": ("duration('x')", "1:10: invalid duration argument"),
    "bad pattern": ("'a'.matches('(')", "1:13: invalid matches argument"),
    "unfinished": ("1 +", "1:4: Syntax error: mismatched input '<EOF>' expecting"),
    "second line": ("true &&\n  y", "2:3: undeclared reference to 'y' (in container '')\n |   y\n | ..^"),
    "too deep": ("(" * 300 + "1" + ")" * 300, "expression recursion limit exceeded: 250"),
    "too large": ("1" * 100_001, "expression code point size exceeds limit: size: 100001, limit 100000"),
    "int overflow": ("9223372036854775808", "1:1: invalid int literal"),
}


@pytest.mark.parametrize(("source", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(source: str, message: str) -> None:
    with pytest.raises(CompileError) as refused:
        value_of(source)
    assert message in str(refused.value)


FAILING = {
    "overflow": ("9223372036854775807 + 1", "integer overflow"),
    "division": ("1 / 0", "division by zero"),
    "missing key": ("{'a': 1}.b", "no such key: b"),
    "index": ("[1][5]", "index out of bounds: 5"),
    "conversion": ("int('x')", "type conversion error from 'string' to 'int'"),
    "nothing there": ("optional.none().value()", "optional.none() dereference"),
    "types that only show at run time": ("dyn(1) + dyn('a')", "no such overload"),
    "functions that only show at run time": ("dyn(1).lowerAscii()", "no such overload: lowerAscii(int)"),
    "sizes that only show at run time": ("size(dyn(1))", "no such overload: size"),
    "null": ("dyn(null).x", "no such key: x"),
    "a field of a text": ("dyn({'a': 'b'}).a.c", "no such key: c"),
    "a place in a text": ("dyn('a')[0]", "no such key: 0"),
    "a field of a list": ("dyn([1]).a", "unsupported index type 'string' in list"),
    "all of a number": ("dyn(1).all(x, true)", "got 'types.Int', expected iterable type"),
    "no bool": ("!dyn('a')", "no such overload"),
}


@pytest.mark.parametrize(("source", "message"), FAILING.values(), ids=FAILING.keys())
def test_failing(source: str, message: str) -> None:
    with pytest.raises(EvaluationError) as failed:
        value_of(source)
    assert str(failed.value) == message


def test_values_are_python_values() -> None:
    assert value_of("{'a': [1, 2]}") == {"a": [1, 2]}
    assert type(value_of("1u + 1u")) is UInt
    assert value_of("duration('1m')") == Duration(60_000_000_000)


COSTS = {
    "a literal": ("1", 0),
    "a written list": ("[1, 2] == [1, 2]", 1),
    "a variable": ("x == 1", 2),
    "a selection": ("x.a.b == 1", 4),
    "an index": ("x['a'] == x", 3),
    "a loop": ("[1, 2, 3].all(e, e > 0)", 16),
    "a text is read": ("x.matches('abcd')", 1 + 2),
}


@pytest.mark.parametrize(("source", "cost"), COSTS.values(), ids=COSTS.keys())
def test_cost(source: str, cost: int) -> None:
    budget = Budget()
    start = budget.remaining
    values = {"x.matches('abcd')": "a" * 15, "x == 1": 1, "x['a'] == x": {"a": {}}}
    value_of(source, budget, x=values.get(source, {"a": {"b": 1}}))
    assert start - budget.remaining == cost


def test_a_rule_that_costs_too_much_is_cut_off() -> None:
    with pytest.raises(CostExceeded):
        value_of("x.all(a, x.all(b, a + b >= 0))", x=list(range(2000)))


def test_a_budget_is_shared() -> None:
    budget = Budget(20)
    value_of("x.all(a, a > 0)", budget, x=[1, 2])
    with pytest.raises(OutOfBudget):
        value_of("x.all(a, a > 0)", budget, x=[1, 2])
    assert budget.remaining < 0


BOMBS = {
    "replacement": "x.replace('', x)",
    "join": "x.split('').join(x)",
    "format": "'%.999999999f'.format([1.0])",
    "range": "lists.range(9223372036854775807)",
}


@pytest.mark.parametrize("source", BOMBS.values(), ids=BOMBS.keys())
def test_nothing_grows_without_bounds(source: str) -> None:
    with pytest.raises((CostExceeded, EvaluationError)):
        value_of(source, x="y" * 100_000)
