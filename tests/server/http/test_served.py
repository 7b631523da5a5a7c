"""Everything v1.36 serves by default is served, and nothing else.

`golden/discovery.txt` holds what the aggregated discovery documents of kube-apiserver v1.36.2 with its default flags
say: group (`-` for the core), version, resource, kind of its bodies, scope, verbs, short names, categories.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import orjson

from pylet.server.http.discovery import Discovery
from pylet.server.registry.served import Served

_ACCEPT = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


def test_the_same_resources_as_upstream() -> None:
    golden = (Path(__file__).parent / "golden/discovery.txt").read_text().splitlines()
    assert sorted(_served()) == golden


def _served() -> Iterator[str]:
    discovery = Discovery(Served(), "127.0.0.1:6443")
    for path in ("/api", "/apis"):
        document = discovery.document(path, _ACCEPT)
        assert document is not None
        for group in orjson.loads(document[0])["items"]:
            for version in group["versions"]:
                where = f"{group['metadata'].get('name', '-')} {version['version']}"
                for resource in version["resources"]:
                    plural, scope = resource["resource"], resource["scope"]
                    short, categories = (",".join(resource.get(name, ())) for name in ("shortNames", "categories"))
                    verbs = ",".join(sorted(resource["verbs"]))
                    kind = resource["responseKind"]["kind"]
                    yield f"{where} {plural} {kind} {scope} {verbs} short={short} categories={categories}"
                    for sub in resource.get("subresources", ()):
                        of, verbs = sub["responseKind"], ",".join(sorted(sub["verbs"]))
                        name = "/".join(of[part] for part in ("group", "version", "kind") if of.get(part))
                        yield f"{where} {plural}/{sub['subresource']} {name} {scope} {verbs} short= categories="
