"""Which resource a name means."""

from __future__ import annotations

from typing import Any, cast

import pytest

from pylet.cli.failure import Failure
from pylet.cli.kubectl.http import Api
from pylet.cli.kubectl.resources import Catalog, Resource


def resource(plural: str, group: str, *short_names: str) -> Resource:
    return Resource(group, "v1", plural, plural.capitalize(), True, plural.rstrip("s"), short_names)


def test_a_short_name_of_several_resources_is_warned_of_once(capsys: pytest.CaptureFixture[str]) -> None:
    catalog = Catalog(cast("Any", Api))
    first, other = resource("foos", "a.example", "ex"), resource("bars", "b.example", "ex")
    catalog.__dict__["discovered"] = [first, other, resource("bars", "b.example", "ex")]
    assert catalog.find("ex") is catalog.find("ex") is first
    told = 'Warning: short name "ex" could also match lower priority resource bars.b.example\n'
    assert capsys.readouterr().err == told
    assert catalog.find("bar") is other
    assert capsys.readouterr().err == ""


def test_a_group_may_be_named_by_its_beginning() -> None:
    catalog = Catalog(cast("Any", Api))
    catalog.__dict__["discovered"] = [resource("foos", "a.example"), resource("foos", "b.example")]
    assert catalog.find("foos.b").group == "b.example"
    with pytest.raises(Failure, match='the server doesn\'t have a resource type "foos"'):
        catalog.find("foos.c")
