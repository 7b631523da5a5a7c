"""Texts of megabytes that patterns could begin anew at every letter of: each of these took minutes to centuries."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Callable

import pytest

from pylet.api import cron, selector
from pylet.api.kinds.certificatesigningrequest import KIND as REQUEST
from pylet.server.http.links import Links

MANY = 300_000


def csr(status: str, pem: str) -> None:
    encoded = base64.b64encode(pem.encode()).decode()
    obj = {"metadata": {"name": "x"}, "spec": {"request": encoded}, "status": {"certificate": encoded}}
    list(REQUEST.strategy.validate(obj))
    list(REQUEST.strategy.validate_update(obj, {**obj, "status": {}}, status))


@pytest.mark.parametrize(
    ("read", "text"),
    [
        pytest.param(selector.parse_labels, "a" + " " * MANY, id="a label selector of spaces"),
        pytest.param(cron.parse, "@every " + "1" * MANY, id="a schedule of digits"),
        pytest.param(lambda text: Links("/p", ()).in_html(text.encode()), f"<a {'a' * MANY}>", id="a tag of letters"),
        pytest.param(lambda text: csr("", text), "-----BEGIN CERTIFICATE REQUEST-----\n" * MANY, id="requests begun"),
        pytest.param(lambda text: csr("status", text), "-----BEGIN A-----\n" * MANY, id="certificates begun"),
        pytest.param(lambda text: csr("status", text), "-----BEGIN " * MANY, id="one line of beginnings"),
    ],
)
def test_it_is_read_once(read: Callable[[str], object], text: str) -> None:
    with contextlib.suppress(ValueError):
        read(text)


@pytest.mark.parametrize("hours", ["9" * 400, "9999999999"])
def test_a_schedule_of_more_hours_than_there_are_is_refused(hours: str) -> None:
    with pytest.raises(ValueError, match="failed to parse duration"):
        cron.parse(f"@every {hours}h")


def test_links_between_long_names_are_rewritten() -> None:
    page = b"<a data-href=/x href = '/y' href='/z>" + b"<img src=/i>"
    assert Links("/p", ()).in_html(page) == b'<a data-href=/x href = "/p/y" href=\'/z><img src="/p/i">'
