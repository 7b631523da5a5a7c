"""What /statusz and /flagz say, in which form."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import orjson
import pytest
import yaml

from pylet.api.errors import NotAcceptable
from pylet.api.zpages import Page, flagz, statusz

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
STRUCTURED = ";v=v1beta1;g=config.k8s.io;as=Statusz"


def status(accept: str) -> Page:
    return statusz("kubelet", ("/flagz", "/healthz"), accept, START, START + timedelta(hours=27, seconds=61))


@pytest.mark.parametrize(
    ("accept", "type_"),
    [
        pytest.param("", "text/plain; charset=utf-8", id="who asks for nothing is told in words"),
        pytest.param("*/*", "text/plain; charset=utf-8", id="who takes anything, too"),
        pytest.param("application/json, text/plain", "text/plain; charset=utf-8", id="bare JSON there is none"),
        pytest.param(f"*/*{STRUCTURED}", "application/json;g=config.k8s.io;v=v1beta1;as=Statusz", id="any that is so"),
        pytest.param(f"application/yaml{STRUCTURED}", "application/yaml;g=config.k8s.io;v=v1beta1;as=Statusz"),
    ],
)
def test_the_form_is_what_was_asked_for(accept: str, type_: str) -> None:
    assert status(accept).type == type_


@pytest.mark.parametrize(
    "accept",
    [
        "application/json",
        "application/*",
        f"text/plain{STRUCTURED}",
        "application/json;v=v1;g=config.k8s.io;as=Statusz",
        "application/json;v=v1beta1;g=config.k8s.io;as=Flagz",
    ],
)
def test_other_forms_there_are_none(accept: str) -> None:
    with pytest.raises(NotAcceptable, match="application/json, application/yaml, text/plain"):
        status(accept)


def test_status_is_told() -> None:
    words = status("").body.decode()
    assert words.startswith("\nkubelet statusz\nWarning: This endpoint is not meant to be machine parseable,")
    assert "\n\nStarted: Fri Jan  2 03:04:05 UTC 2026\nUp: 27 hr 01 min 01 sec\n" in words
    assert words.endswith("Paths: /flagz /healthz\n")
    told = orjson.loads(status(f"application/json{STRUCTURED}").body)
    assert {name: told[name] for name in ("kind", "metadata", "startTime", "uptimeSeconds", "paths")} == {
        "kind": "Statusz",
        "metadata": {"name": "kubelet"},
        "startTime": "2026-01-02T03:04:05Z",
        "uptimeSeconds": 27 * 3600 + 61,
        "paths": ["/flagz", "/healthz"],
    }


def test_an_old_version_warns() -> None:
    page = flagz("kubelet", "application/yaml;v=v1alpha1;g=config.k8s.io;as=Flagz", {"b": "1", "a": ""})
    assert yaml.safe_load(page.body)["flags"] == {"a": "", "b": "1"}
    old = '299 - "This version of the flagz endpoint is deprecated. Please use a newer version."'
    assert page.headers == (("Warning", old),)
    assert flagz("kubelet", "", {"b": "1", "a": ""}).body.endswith(b"debugging purposes only.\na=\nb=1\n")
