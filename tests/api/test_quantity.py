import pytest

from pylet.api import quantity


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        pytest.param("0", "0", id="zero"),
        pytest.param("1000m", "1", id="a thousand milli are one"),
        pytest.param("0.1", "100m", id="fractions become milli"),
        pytest.param("1.5", "1500m", id="what is not whole stays milli"),
        pytest.param("10000", "10k", id="thousands become kilo"),
        pytest.param("1e3", "1e3", id="an exponent stays one"),
        pytest.param("1.5e3", "1500", id="an exponent that is no multiple of three is written out"),
        pytest.param("1024Mi", "1Gi", id="binary units grow"),
        pytest.param("1.5Gi", "1536Mi", id="binary units shrink to be whole"),
        pytest.param("0.5Ki", "512", id="below 1024 a binary quantity is plain"),
        pytest.param("1025", "1025", id="plain numbers stay plain"),
        pytest.param("-5Mi", "-5Mi", id="negative"),
        pytest.param("+5", "5", id="a plus sign goes"),
        pytest.param(".5", "500m", id="a leading dot"),
        pytest.param("100n", "100n", id="nano"),
        pytest.param("0.5n", "1n", id="finer than nano rounds up"),
        pytest.param("1Ei", "1Ei", id="exbi"),
        pytest.param(2, "2", id="a JSON number"),
        pytest.param(0.25, "250m", id="a JSON fraction"),
    ],
)
def test_one_spelling(written: str | float, canonical: str) -> None:
    assert quantity.canonical(written) == canonical
    assert quantity.canonical(canonical) == canonical


@pytest.mark.parametrize(
    ("written", "says"),
    [
        pytest.param("", "must match the regular expression", id="empty"),
        pytest.param("1.2.3", "must match the regular expression", id="two dots"),
        pytest.param("1 Gi", "must match the regular expression", id="a space"),
        pytest.param("1GiB", "must match the regular expression", id="a B"),
        pytest.param("1ki", "unable to parse quantity's suffix", id="no such suffix"),
        pytest.param(True, "must match the regular expression", id="a bool"),
    ],
)
def test_refused(written: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        quantity.canonical(written)


def test_numbers_round_up() -> None:
    assert quantity.milli_of("1500u") == 2
    assert quantity.milli_of("2") == 2000
    assert quantity.value_of("1500m") == 2
    assert quantity.value_of("1Ki") == 1024
    assert quantity.canonical_milli("100u") == "1m"
