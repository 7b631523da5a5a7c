"""Refusals that are told in no form of the client's."""

from __future__ import annotations

import orjson
from aiohttp.test_utils import make_mocked_request

from pylet.server.admission.interface import OutOfTime
from pylet.server.http.refusals import refusal


def test_that_time_is_over_is_told_as_text() -> None:
    told = refusal(make_mocked_request("POST", "/", {"Accept": "application/vnd.kubernetes.protobuf"}), OutOfTime())
    assert (told.status, told.type) == (504, "text/plain; charset=utf-8")
    assert orjson.loads(told.body) == {
        "metadata": {},
        "status": "Failure",
        "message": "Timeout: request did not complete within the allotted timeout",
        "reason": "Timeout",
        "details": {},
        "code": 504,
    }
