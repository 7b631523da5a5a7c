"""Kubernetes' own functions."""

from __future__ import annotations

import pytest

from pylet.api.cel.errors import EvaluationError
from tests.api.cel.expressions import value_of

TRUE = {
    "strings": "'Hello'.charAt(1) == 'e' && 'abcabc'.indexOf('b', 2) == 4 && 'abcabc'.lastIndexOf('a') == 3",
    "ascii case": "'TacoCÆt'.lowerAscii() == 'tacocÆt' && 'é'.upperAscii() == 'é'",
    "replace": "'aaa'.replace('a', 'b', 2) == 'bba' && 'ab'.replace('', '-') == '-a-b-'",
    "split and join": "'a,b,c'.split(',', 2) == ['a', 'b,c'] && ['a', 'b'].join('-') == 'a-b'",
    "substring and trim": "'tacocat'.substring(0, 4) == 'taco' && ' \\t a '.trim() == 'a'",
    "quote": r"""strings.quote('a"\n') == r'"a\"\n"' """,
    "format": "'%s %d %.2f %x %b'.format(['a', 1, 2.345, 255, 5]) == 'a 1 2.35 ff 101'",
    "format of lists": "'%s'.format([[1, 2]]) == '[1, 2]'",
    "lists": "[1, 3, 2].max() == 3 && [1, 2].sum() == 3 && [1, 2].isSorted() && [1, 2, 1].lastIndexOf(1) == 2",
    "more lists": "[3, 1, 2].sort() == [1, 2, 3] && [[1], [2]].flatten() == [1, 2] && [1, 1].distinct() == [1]",
    "sorting by a key": "[{'n': 2}, {'n': 1}].sortBy(x, x.n)[0].n == 1",
    "slices and ranges": "[1, 2, 3].slice(1, 2) == [2] && lists.range(3) == [0, 1, 2] && [1, 2].reverse() == [2, 1]",
    "first and last": "[1, 2].first().value() == 1 && !([].last().hasValue())",
    "sets": "sets.contains([1, 2], [2]) && sets.equivalent([1, 1], [1]) && !sets.intersects([1], [2])",
    "regular expressions": "'abc 123'.find('[0-9]+') == '123' && '1 2 3'.findAll('[0-9]', 2) == ['1', '2']",
    "urls": "url('https://u@h.com:80/p/a?b=1&b=2').getHost() == 'h.com:80' && !isURL('x')",
    "queries of urls": "url('https://h/?b=1&b=2').getQuery()['b'] == ['1', '2']",
    "hosts of urls": "url('https://[::1]:1/').getHostname() == '::1'",
    "addresses": "ip('127.0.0.1').isLoopback() && ip('::1').family() == 6 && !isIP('1.2.3') && isIP('fe80::1')",
    "canonical addresses": "ip.isCanonical('::1') && !ip.isCanonical('0:0::1') && string(ip('10.0.0.1')) == '10.0.0.1'",
    "networks": "cidr('10.1.2.3/8').masked() == cidr('10.0.0.0/8') && cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16')",
    "more networks": "cidr('10.0.0.0/8').containsIP(ip('10.1.1.1')) && !isCIDR('1.1.1.1')",
    "quantities": "quantity('1.5Gi').isGreaterThan(quantity('1Gi')) && quantity('1k') == quantity('1000')",
    "sums of quantities": "quantity('500m').add(quantity('500m')).asInteger() == 1",
    "versions": "semver('1.2.3-rc.1').isLessThan(semver('1.2.3')) && semver('v1.2', true).minor() == 2",
    "formats": "format.dns1123Label().validate('a-b') == optional.none() && format.named('uuid').hasValue()",
    "problems of a format": "format.dns1123Label().validate('A').value().size() == 1",
}


@pytest.mark.parametrize("source", TRUE.values(), ids=TRUE.keys())
def test_true(source: str) -> None:
    assert value_of(source) is True


FAILING = {
    "empty list": ("[1].filter(x, x > 1).min()", "min called on empty list"),
    "substring": ("'a'.substring(2)", "index out of range: 2"),
    "quantity": (
        "quantity('x')",
        "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
    ),
    "mapped address": ("ip('::ffff:1.2.3.4')", 'IPv4-mapped IPv6 address "::ffff:1.2.3.4" is not allowed'),
    "pattern": ("'a'.find(x)", "error parsing regexp: missing closing ): `(`"),
}


@pytest.mark.parametrize(("source", "message"), FAILING.values(), ids=FAILING.keys())
def test_failing(source: str, message: str) -> None:
    with pytest.raises(EvaluationError) as failed:
        value_of(source, x="(")
    assert str(failed.value) == message
