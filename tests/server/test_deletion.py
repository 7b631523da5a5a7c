"""What goes with what: owners and dependents, namespaces and what is in them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.server.kit import gone
from tests.waiting import answered

DEFAULT = "/api/v1/namespaces/default"


async def made(cluster: Any, name: str, owner: Any = None, where: str = DEFAULT) -> Any:
    """A ConfigMap, owned by another one if given."""
    meta: dict[str, Any] = {"name": name}
    if owner is not None:
        reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": owner["metadata"]["name"]}
        meta["ownerReferences"] = [{**reference, "uid": owner["metadata"]["uid"], "blockOwnerDeletion": True}]
    answer = await cluster.ask("POST", f"{where}/configmaps", {"metadata": meta})
    assert answer.status == 201, answer.body
    return answer.json


@pytest.mark.parametrize("policy", ["Background", "Foreground"])
async def test_what_is_owned_goes_with_its_owner(cluster: Any, policy: str) -> None:
    child = await made(cluster, "child", await made(cluster, "owner"))
    await made(cluster, "grandchild", child)
    await cluster.ask("DELETE", f"{DEFAULT}/configmaps/owner", {"propagationPolicy": policy})
    for name in ("owner", "child", "grandchild"):
        await gone(cluster, f"{DEFAULT}/configmaps/{name}")


async def test_orphans_stay_without_their_owner(cluster: Any) -> None:
    await made(cluster, "child", await made(cluster, "owner"))
    await cluster.ask("DELETE", f"{DEFAULT}/configmaps/owner", {"propagationPolicy": "Orphan"})
    await gone(cluster, f"{DEFAULT}/configmaps/owner")
    child = (await cluster.ask("GET", f"{DEFAULT}/configmaps/child")).json
    assert "ownerReferences" not in child["metadata"]


async def test_an_object_keeps_the_owners_it_has_left(cluster: Any) -> None:
    first, second = await made(cluster, "first"), await made(cluster, "second")
    child = await made(cluster, "child", first)
    more = {**child["metadata"]["ownerReferences"][0], "name": "second", "uid": second["metadata"]["uid"]}
    child["metadata"]["ownerReferences"].append(more)
    assert (await cluster.ask("PUT", f"{DEFAULT}/configmaps/child", child)).status == 200
    await cluster.ask("DELETE", f"{DEFAULT}/configmaps/first")

    async def owners() -> list[str]:
        found = (await cluster.ask("GET", f"{DEFAULT}/configmaps/child")).json
        return [owner["name"] for owner in found["metadata"]["ownerReferences"]]

    await answered(owners, lambda names: names == ["second"])


async def test_a_namespace_goes_with_all_that_is_in_it(cluster: Any) -> None:
    assert (await cluster.ask("POST", "/api/v1/namespaces", {"metadata": {"name": "x"}})).status == 201
    await made(cluster, "a", where="/api/v1/namespaces/x")
    assert (await cluster.ask("DELETE", "/api/v1/namespaces/x")).json["status"]["phase"] == "Terminating"
    await gone(cluster, "/api/v1/namespaces/x")
    assert (await cluster.ask("GET", "/api/v1/namespaces/x/configmaps")).json["items"] == []
