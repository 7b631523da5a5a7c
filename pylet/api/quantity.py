"""Resource quantities (`100m`, `1.5Gi`, `1e3`): exact numbers of 10⁻⁹ with one canonical spelling each.

Source: apimachinery pkg/api/resource/quantity.go, ParseQuantity and CanonicalizeBytes. What is finer than a nano rounds
away from zero; Go caps at 2⁶³-1, which here only matters to somebody asking for eight exbibytes, so it isn't repeated.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Any, NamedTuple

from pylet.api.remembered import remembered

NANOS = 10**9
_PATTERN = r"^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$"
_SHAPE = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?(.*)", re.DOTALL)
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_DECIMAL_SUFFIX = {power: suffix for suffix, power in _DECIMAL.items()}
_BINARY_SUFFIX = ["", *_BINARY]


class Format(Enum):
    """How a quantity was written, and so how it is written again."""

    DECIMAL_SI = "k"
    BINARY_SI = "Ki"
    EXPONENT = "e"


class Quantity(NamedTuple):
    nanos: int
    format: Format = Format.DECIMAL_SI

    def __str__(self) -> str:
        if self.format is Format.BINARY_SI and abs(self.nanos) >= 1024 * NANOS and self.nanos % NANOS == 0:
            value, power = self.nanos // NANOS, 0
            while value % 1024 == 0 and power < 6:
                value, power = value // 1024, power + 1
            return f"{value}{_BINARY_SUFFIX[power]}"
        value, power = self.nanos, -9
        if not value:
            return "0"
        while value % 1000 == 0 and power < 18:
            value, power = value // 1000, power + 3
        if self.format is Format.EXPONENT:
            return f"{value}e{power}" if power else str(value)
        return f"{value}{_DECIMAL_SUFFIX[power]}"


@remembered(4096)
def parse(text: str) -> Quantity:
    """Raises: ValueError, worded as upstream."""
    match = _SHAPE.fullmatch(text)
    assert match
    sign, whole, fraction, suffix = match[1], match[2], match[3] or "", match[4]
    if not whole and not fraction:
        raise ValueError(f"quantities must match the regular expression '{_PATTERN}'")
    digits = int(whole + fraction)
    if suffix in _BINARY:
        scaled, form = digits * NANOS << 10 * _BINARY[suffix], Format.BINARY_SI
        power = -len(fraction)
    else:
        exponent = _DECIMAL.get(suffix)
        form = Format.DECIMAL_SI
        if exponent is None:
            if not re.fullmatch(r"[eE][+-]?[0-9]{1,3}", suffix):
                wrong_shape = re.fullmatch(r"[eEinumkKMGTP]*[-+]?[0-9]*", suffix) is None
                raise ValueError(
                    f"quantities must match the regular expression '{_PATTERN}'"
                    if wrong_shape
                    else "unable to parse quantity's suffix"
                )
            exponent, form = int(suffix[1:]), Format.EXPONENT
        scaled, power = digits, exponent + 9 - len(fraction)
    nanos = scaled * 10**power if power >= 0 else -(-scaled // 10**-power)
    return Quantity(-nanos if sign == "-" else nanos, form)


def canonical(value: Any) -> str:
    """The one spelling of a JSON string or number. Raises: ValueError."""
    return _canonical(value.strip() if value.__class__ is str else _text_of(value))


def canonical_milli(value: Any) -> str:
    """As `canonical`, rounded up to thousandths: how amounts in a ResourceList are kept. Raises: ValueError."""
    return _canonical_milli(value.strip() if value.__class__ is str else _text_of(value))


def _text_of(value: Any) -> str:
    if value.__class__ is int or value.__class__ is float:
        return str(value)
    raise ValueError(f"quantities must match the regular expression '{_PATTERN}'")


@remembered(4096)
def _canonical(text: str) -> str:
    return str(parse(text))


@remembered(4096)
def _canonical_milli(text: str) -> str:
    quantity = parse(text)
    milli = NANOS // 1000
    return str(quantity._replace(nanos=_rounded(quantity.nanos, milli) * milli))


def value_of(text: Any) -> int:
    """Whole units, rounded away from zero: bytes of memory, pods. Raises: ValueError."""
    return _rounded(parse(str(text)).nanos, NANOS)


def milli_of(text: Any) -> int:
    """Thousandths, rounded away from zero: millicores. Raises: ValueError."""
    return _rounded(parse(str(text)).nanos, NANOS // 1000)


def _rounded(nanos: int, unit: int) -> int:
    return -(-nanos // unit) if nanos >= 0 else nanos // unit
