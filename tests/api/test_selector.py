import pytest

from pylet.api import selector

LABELS = {"app": "web", "tier": "front", "n": "7"}


@pytest.mark.parametrize(
    ("text", "selects"),
    [
        pytest.param("", True, id="nothing asked selects all"),
        pytest.param("app=web", True, id="equal"),
        pytest.param("app==db", False, id="not equal to"),
        pytest.param("app!=db,tier", True, id="unequal and present"),
        pytest.param("other!=x", True, id="an absent label is unequal"),
        pytest.param("app in (db, web)", True, id="one of"),
        pytest.param("app notin (db,web)", False, id="none of"),
        pytest.param("other notin (a)", True, id="an absent label is none of them"),
        pytest.param("!other", True, id="absent"),
        pytest.param("!app", False, id="absent, but present"),
        pytest.param("n>6", True, id="greater"),
        pytest.param("n<7", False, id="less"),
        pytest.param("app>6", False, id="a word is no number"),
        pytest.param("n>5,n>6,n<8", True, id="between"),
        pytest.param("n>5,n>7", False, id="above the one, not the other"),
        pytest.param("n<8,n<7", False, id="below the one, not the other"),
        pytest.param("app in (db,web),app in (web,x)", True, id="one of each"),
        pytest.param("app in (db,web),app in (db,x)", False, id="one of the first alone"),
        pytest.param("app notin (a,b),app!=web", False, id="one of the last it must not be"),
        pytest.param("app,tier,!x,!y,!z", True, id="present, and absent"),
        pytest.param("!a,!b,!c,!d,!tier", False, id="of many one is there"),
        pytest.param(",".join(f"!x{n},app!=y{n},z{n}!=a" for n in range(50)), True, id="a great many"),
        pytest.param("app=web,app=web,tier in (front)", True, id="the same twice"),
    ],
)
def test_label_selector_selects(text: str, selects: bool) -> None:
    assert selector.parse_labels(text)(LABELS) is selects


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("a,", "found '', expected: identifier after ','", id="a trailing comma"),
        pytest.param("=a", "found '=', expected: !, identifier, or 'end of string'", id="no key"),
        pytest.param("a b", "found 'b', expected: in, notin, =, ==, !=, gt, lt", id="no operator"),
        pytest.param("a in b", r"found 'b' expected: '\('", id="no parenthesis"),
        pytest.param("a in (b", r"found '', expected: ',' or '\)'", id="no closing parenthesis"),
        pytest.param("a=b=c", "found '=', expected: ',' or 'end of string'", id="two operators"),
        pytest.param("a/b/c=d", 'Invalid value: "a/b/c"', id="a bad key"),
        pytest.param("a=-", 'Invalid value: "-"', id="a bad value"),
        pytest.param("a>b", "the value must be an integer", id="greater than a word"),
    ],
)
def test_label_selector_refused(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        selector.parse_labels(text)


def test_selector_object() -> None:
    chosen = selector.from_object(
        {"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "tier", "operator": "In", "values": ["front"]}]}
    )
    assert chosen(LABELS)
    assert str(chosen) == "app=web,tier in (front)"
    assert selector.from_object({})(LABELS)
    assert not selector.from_object(None)(LABELS)


def test_selector_object_causes() -> None:
    found = selector.validate_object({"matchExpressions": [{"key": "a", "operator": "In"}]}, "spec.selector")
    assert [str(cause) for cause in found] == [
        "spec.selector.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'"
    ]


def test_field_selector() -> None:
    chosen = selector.parse_fields(r"metadata.name=a\,b,status.phase!=Running")
    assert chosen.value_of("metadata.name") == "a,b"
    assert chosen.matches({"metadata.name": "a,b", "status.phase": "Pending"}.__getitem__)
    assert str(chosen) == r"metadata.name=a\,b,status.phase!=Running"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("foo", "invalid selector: 'foo'; can't understand 'foo'", id="no operator"),
        pytest.param("a=b=c", "unescaped character in value: =", id="an equals sign in the value"),
        pytest.param(r"a=\x", r"invalid escape sequence: \\x", id="an unknown escape"),
    ],
)
def test_field_selector_refused(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        selector.parse_fields(text)
