from __future__ import annotations

import pytest

from pylet.api.errors import NotAcceptable, UnsupportedMediaType
from pylet.server.http.negotiation import Media, Shape, accepted, content_type

JSON, YAML = "application/json", "application/yaml"
TABLE = f"{JSON};as=Table;v=v1;g=meta.k8s.io"


@pytest.mark.parametrize(
    ("header", "media"),
    [
        pytest.param("", Media(JSON), id="nothing said"),
        pytest.param("*/*", Media(JSON), id="anything"),
        pytest.param("application/*", Media(JSON), id="any application type"),
        pytest.param(YAML, Media(YAML), id="YAML"),
        pytest.param(f"{JSON};q=0.5, {YAML};q=0.9", Media(YAML), id="the better quality"),
        pytest.param(f"text/html, {JSON}", Media(JSON), id="the first that is served"),
        pytest.param(f"application/vnd.kubernetes.protobuf,{JSON}", Media(JSON), id="protobuf falls back"),
        pytest.param(f"{TABLE},{JSON}", Media(JSON, Shape.TABLE, "v1"), id="a table"),
        pytest.param(f"{JSON};as=Table;v=v9;g=meta.k8s.io,{JSON}", Media(JSON), id="an unknown table falls back"),
        pytest.param(
            f"{JSON};as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
            Media(JSON, Shape.METADATA_LIST, "v1"),
            id="metadata alone",
        ),
    ],
)
def test_the_best_form_the_client_takes_is_served(header: str, media: Media) -> None:
    assert accepted(header) == media


@pytest.mark.parametrize("header", ["text/html", f"{JSON};q=0", f"{JSON};as=Other;v=v1;g=meta.k8s.io"])
def test_a_client_that_takes_nothing_served_is_refused(header: str) -> None:
    with pytest.raises(NotAcceptable):
        accepted(header)


def test_a_body_without_a_type_is_json() -> None:
    assert content_type("") == JSON
    assert content_type("application/json; charset=utf-8") == JSON
    with pytest.raises(UnsupportedMediaType, match="accepted media types include: application/json"):
        content_type("text/xml")
