from collections.abc import Callable

import pytest

from pylet.api import names


@pytest.mark.parametrize(
    ("check", "text"),
    [
        pytest.param(names.dns_label, "a-1", id="a label"),
        pytest.param(names.dns_label, "1", id="a label may begin with a digit"),
        pytest.param(names.dns_subdomain, "a.b-c.1", id="a subdomain"),
        pytest.param(names.qualified_name, "example.com/My_name.1", id="a label key with its prefix"),
        pytest.param(names.label_value, "", id="an empty label value"),
        pytest.param(names.config_key, "..data"[2:], id="a config key"),
        pytest.param(names.path_segment, "system:node", id="an RBAC name"),
        pytest.param(names.env_var_name, "a.b-c d", id="an environment variable"),
        pytest.param(names.port_name, "http-2", id="a port's name"),
        pytest.param(names.port_number, 65535, id="the last port"),
    ],
)
def test_accepted(check: Callable[[str], tuple[str, ...]], text: str) -> None:
    assert check(text) == ()


@pytest.mark.parametrize(
    ("check", "text", "says"),
    [
        pytest.param(names.dns_label, "A", "a lowercase RFC 1123 label must consist of", id="upper case"),
        pytest.param(names.dns_label, "a.b", "must not contain dots", id="dots in a label"),
        pytest.param(names.dns_label, "a" * 64, "must be no more than 63 characters", id="a long label"),
        pytest.param(names.dns_subdomain, "a..b", "a lowercase RFC 1123 subdomain", id="two dots"),
        pytest.param(names.dns_subdomain, "a\n", "a lowercase RFC 1123 subdomain", id="a line end"),
        pytest.param(names.qualified_name, "a/b/c", "a valid label key must consist of", id="two slashes"),
        pytest.param(names.qualified_name, "/a", "prefix part must be non-empty", id="no prefix"),
        pytest.param(names.qualified_name, "a/", "name part must be non-empty", id="no name"),
        pytest.param(names.label_value, "-a", "a valid label must be an empty string or consist of", id="a dash first"),
        pytest.param(names.config_key, "..", "must not be '..'", id="a key that climbs"),
        pytest.param(names.path_segment, "a/b", "may not contain '/'", id="a slash in a name"),
        pytest.param(names.env_var_name, "a=b", "printable ASCII characters other than '='", id="an equals sign"),
        pytest.param(names.port_name, "1", "must contain at least one letter (a-z)", id="a port name of digits"),
        pytest.param(names.port_number, 0, "must be between 1 and 65535, inclusive", id="port zero"),
    ],
)
def test_refused(check: Callable[[str], tuple[str, ...]], text: str, says: str) -> None:
    assert any(says in problem for problem in check(text)), check(text)
