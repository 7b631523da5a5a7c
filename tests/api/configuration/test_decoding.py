from datetime import timedelta

import pytest

from pylet.api.configuration.decoding import BadConfiguration, configuration, duration

KIND = "AuthorizationConfiguration"
VERSION = "apiserver.config.k8s.io/v1"
HEAD = f'"apiVersion": "{VERSION}", "kind": "{KIND}"'


def decoded(text: str) -> tuple[object, str]:
    return configuration(text.encode(), {KIND: (VERSION,)})


@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param("{}", "Object 'Kind' is missing in '{}'", id="no kind"),
        pytest.param('{"kind": "x"}', """Object 'apiVersion' is missing in '{"kind": "x"}'""", id="no version"),
        pytest.param(f'{{"apiVersion": "{VERSION}", "kind": "Foo"}}', 'no kind "Foo" is registered for', id="another"),
        pytest.param("a: [", "yaml: line 1: did not find expected node content", id="no YAML"),
        pytest.param("hello", "json: cannot unmarshal string into Go value of type struct", id="no object"),
        pytest.param(
            f'{{{HEAD}, "authorizers": {{}}}}',
            "json: cannot unmarshal object into Go struct field AuthorizationConfiguration.authorizers of type "
            "[]v1.AuthorizerConfiguration",
            id="a wrong type",
        ),
        pytest.param(
            f'{{{HEAD}, "authorizers": [{{"webhook": {{"timeout": 3}}}}]}}',
            "json: cannot unmarshal number into Go struct field WebhookConfiguration.authorizers.webhook.timeout of "
            "type string",
            id="a number for a duration",
        ),
        pytest.param(
            f'{{{HEAD}, "authorizers": [{{"webhook": {{"timeout": "x"}}}}]}}',
            'time: invalid duration "x"',
            id="no duration",
        ),
    ],
)
def test_what_is_no_configuration_is_refused(text: str, why: str) -> None:
    with pytest.raises(BadConfiguration) as refused:
        decoded(text)
    assert why in str(refused.value)


@pytest.mark.parametrize(
    ("text", "odd"),
    [
        pytest.param(f"{{{HEAD}}}", "", id="nothing"),
        pytest.param(
            f'{{{HEAD}, "foo": 1, "authorizers": [{{"name": "a", "name": "b", "bar": 1}}]}}',
            'strict decoding error: unknown field "foo", duplicate field "authorizers[0].name", '
            'unknown field "authorizers[0].bar"',
            id="in JSON",
        ),
        pytest.param(
            f"apiVersion: {VERSION}\nkind: {KIND}\nkind: {KIND}\nfoo: 1\n",
            'strict decoding error: yaml: unmarshal errors:\n  line 3: key "kind" already set in map, '
            'unknown field "foo"',
            id="in YAML",
        ),
    ],
)
def test_what_is_odd_is_told(text: str, odd: str) -> None:
    assert decoded(text)[1] == odd


def test_durations_are_goes() -> None:
    assert duration({"timeout": "1m0.5s"}, "timeout") == timedelta(seconds=60.5)
    assert not duration({}, "timeout")
