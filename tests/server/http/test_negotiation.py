from __future__ import annotations

import pytest

from pylet.api.errors import NotAcceptable, UnsupportedMediaType
from pylet.server.http.negotiation import Media, Shape, accepted, content_type

JSON, YAML, PROTOBUF = "application/json", "application/yaml", "application/vnd.kubernetes.protobuf"
TABLE = f"{JSON};as=Table;v=v1;g=meta.k8s.io"


@pytest.mark.parametrize(
    ("header", "media"),
    [
        pytest.param("", Media(JSON), id="nothing said"),
        pytest.param("*/*", Media(JSON), id="anything"),
        pytest.param(YAML, Media(YAML), id="YAML"),
        pytest.param(f"{JSON};q=0.5, {YAML};q=0.9", Media(YAML), id="the better quality"),
        pytest.param(f"text/html, {JSON}", Media(JSON), id="the first that is served"),
        pytest.param(f"{PROTOBUF},{JSON}", Media(PROTOBUF), id="protobuf"),
        pytest.param(f"{JSON};pretty=1", Media(JSON, is_pretty=True), id="indented"),
        pytest.param(f"{PROTOBUF};as=Table;v=v1;g=meta.k8s.io,{JSON}", Media(JSON), id="a table has no protobuf"),
        pytest.param(f"{JSON};stream=other,{YAML}", Media(YAML), id="a stream nobody knows"),
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


@pytest.mark.parametrize("header", ["text/html", "application/*", f"{JSON};as=Other;v=v1;g=meta.k8s.io"])
def test_a_client_that_takes_nothing_served_is_refused(header: str) -> None:
    with pytest.raises(NotAcceptable):
        accepted(header)


def test_what_has_no_protobuf_is_served_as_the_next_best() -> None:
    assert accepted(f"{PROTOBUF},{JSON}", has_protobuf=False) == Media(JSON)
    metadata = f"{PROTOBUF};as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
    assert accepted(metadata, has_protobuf=False) == Media(PROTOBUF, Shape.METADATA, "v1")
    with pytest.raises(NotAcceptable):
        accepted(PROTOBUF, has_protobuf=False)


def test_a_watch_is_no_yaml() -> None:
    with pytest.raises(NotAcceptable, match=r"application/json;stream=watch, application/vnd\.kubernetes\.protobuf;"):
        accepted(YAML, streams=True)


def test_a_body_without_a_type_is_json() -> None:
    assert content_type("") == JSON
    assert content_type("application/json; charset=utf-8") == JSON
    with pytest.raises(UnsupportedMediaType, match="accepted media types include: application/json"):
        content_type("text/xml")
