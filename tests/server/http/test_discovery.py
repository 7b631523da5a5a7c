"""What discovery tells, and that it follows the kinds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import orjson

from pylet.api import kinds, schema
from pylet.api.kind import Kind
from pylet.server.http.discovery import Discovery

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_ANY = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
WIDGET = Kind(group="example.org", version="v1", name="Widget", plural="widgets", definition="")


class Kinds:
    generation = 0

    def __init__(self) -> None:
        self.all = list(kinds.all_kinds())

    def __iter__(self) -> Iterator[Kind]:
        return iter(self.all)

    def has_built_in(self, group: str) -> bool:
        return any(kind.group == group and kind.schema is None for kind in self.all)


def read(discovery: Discovery, path: str, accept: str = "") -> dict:  # type: ignore[type-arg]
    found = discovery.document(path, accept)
    assert found is not None
    return dict(orjson.loads(found[0]))


def test_groups_come_in_upstreams_order_and_the_newest_version_first() -> None:
    groups = read(Discovery(Kinds(), "h:1"), "/apis")["groups"]
    names = [group["name"] for group in groups]
    assert names[:4] == ["apiregistration.k8s.io", "apps", "events.k8s.io", "authentication.k8s.io"]
    scaling = next(group for group in groups if group["name"] == "autoscaling")
    assert [version["version"] for version in scaling["versions"]] == ["v2", "v1"]


def test_hashes_of_stored_versions_are_upstreams() -> None:
    pods = {resource["name"]: resource for resource in read(Discovery(Kinds(), "h:1"), "/api/v1")["resources"]}
    assert pods["pods"]["storageVersionHash"] == "xPOwRZ+Yhw8="
    assert "storageVersionHash" not in pods["componentstatuses"]
    assert (pods["pods/eviction"]["group"], pods["pods/eviction"]["version"]) == ("policy", "v1")


def test_the_aggregated_document_is_served_to_who_asks_for_it() -> None:
    discovery = Discovery(Kinds(), "h:1")
    groups = read(discovery, "/apis", f"{AGGREGATED},application/json")["items"]
    apps = next(group for group in groups if group["metadata"]["name"] == "apps")
    deployments = next(one for one in apps["versions"][0]["resources"] if one["resource"] == "deployments")
    assert deployments["responseKind"] == {"group": "", "version": "", "kind": "Deployment"}
    scale = next(sub for sub in deployments["subresources"] if sub["subresource"] == "scale")
    assert scale["responseKind"] == {"group": "autoscaling", "version": "v1", "kind": "Scale"}
    assert read(discovery, "/apis", "application/json")["kind"] == "APIGroupList"


def test_documents_follow_the_kinds_that_come() -> None:
    served = Kinds()
    discovery = Discovery(served, "h:1")
    assert not discovery.serves("example.org", "v1")
    served.all.append(WIDGET)
    served.generation += 1
    assert discovery.serves("example.org", "v1")
    assert read(discovery, "/apis/example.org/v1")["resources"][0]["name"] == "widgets"
    assert read(discovery, "/apis")["groups"][-1]["name"] == "example.org"


def test_what_definitions_add_to_a_built_in_group_is_told_by_its_own_versions_alone() -> None:
    served = Kinds()
    custom = Kind(group="apps", version="v1", name="Foo", plural="foos", definition="", schema=schema.of(_ANY))
    served.all += [custom, replace(custom, version="v1beta7")]
    discovery = Discovery(served, "h:1")
    assert "foos" not in [resource["name"] for resource in read(discovery, "/apis/apps/v1")["resources"]]
    assert discovery.document("/apis/apps/v1beta7", "") is None
    group = read(discovery, "/apis/apps")
    assert [version["version"] for version in group["versions"]] == ["v1beta7", "v1"]
    apps = next(item for item in read(discovery, "/apis", AGGREGATED)["items"] if item["metadata"]["name"] == "apps")
    resources = {version["version"]: [one["resource"] for one in version["resources"]] for version in apps["versions"]}
    assert resources["v1beta7"] == ["foos"]
    assert "foos" not in resources["v1"]


def test_a_document_is_kept_once_however_its_path_and_what_is_accepted_are_written() -> None:
    discovery = Discovery(Kinds(), "h:1")
    for number in range(1, 20):
        read(discovery, "/apis" + "/" * number, f"{AGGREGATED},application/json;q=0.{number}")
        read(discovery, "/apis" + "/" * number, f"application/json;as=APIGroup{number};v=v{number},application/json")
    assert len(discovery._made) == 2
