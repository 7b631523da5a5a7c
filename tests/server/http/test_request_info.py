from __future__ import annotations

import pytest

from pylet.server.http.request_info import RequestInfo, request_info

# method, path and query; verb, group/version, namespace, resource[/subresource], name
RESOURCES = [
    ("GET /api/v1/pods", "list", "/v1", "", "pods", ""),
    ("HEAD /api/v1/pods/", "list", "/v1", "", "pods", ""),
    ("GET /api/v1/namespaces/a/pods", "list", "/v1", "a", "pods", ""),
    ("GET /api/v1/namespaces//pods", "list", "/v1", "", "pods", ""),
    ("GET /api/v1//pods", "get", "/v1", "", "", "pods"),
    ("GET /api/v1/namespaces/a/pods?watch=true", "watch", "/v1", "a", "pods", ""),
    ("GET /api/v1/namespaces/a/pods?watch=0", "list", "/v1", "a", "pods", ""),
    ("GET /api/v1/watch/namespaces/a/pods/b", "watch", "/v1", "a", "pods", "b"),
    ("GET /api/v1/namespaces/a/pods/b", "get", "/v1", "a", "pods", "b"),
    ("GET /api/v1/namespaces/a/pods/b?watch=1", "get", "/v1", "a", "pods", "b"),
    ("GET /api/v1/namespaces/a/pods/b/log", "get", "/v1", "a", "pods/log", "b"),
    ("POST /api/v1/namespaces/a/pods", "create", "/v1", "a", "pods", ""),
    ("POST /api/v1/namespaces/a/pods/b/exec", "create", "/v1", "a", "pods/exec", "b"),
    ("PUT /apis/apps/v1/namespaces/a/deployments/b/scale", "update", "apps/v1", "a", "deployments/scale", "b"),
    ("PATCH /api/v1/nodes/n/status", "patch", "/v1", "", "nodes/status", "n"),
    ("DELETE /api/v1/namespaces/a/pods", "deletecollection", "/v1", "a", "pods", ""),
    ("DELETE /api/v1/namespaces/a", "delete", "/v1", "a", "namespaces", "a"),
    ("GET /api/v1/namespaces", "list", "/v1", "", "namespaces", ""),
    ("GET /api/v1/namespaces/a", "get", "/v1", "a", "namespaces", "a"),
    ("PUT /api/v1/namespaces/a/finalize", "update", "/v1", "a", "namespaces/finalize", "a"),
    ("GET /api/v1/pods?fieldSelector=metadata.name%3Db", "list", "/v1", "", "pods", "b"),
]


def parsed(line: str) -> RequestInfo:
    method, target = line.split(" ")
    path, _, query = target.partition("?")
    pairs = dict(pair.split("=", 1) for pair in query.replace("%3D", "\0").split("&") if query)
    return request_info(method, path, {name: value.replace("\0", "=") for name, value in pairs.items()})


@pytest.mark.parametrize(("line", "verb", "version", "namespace", "resource", "name"), RESOURCES)
def test_a_resource_path_says_what_is_meant(
    line: str, verb: str, version: str, namespace: str, resource: str, name: str
) -> None:
    info = parsed(line)
    full = f"{info.resource}/{info.subresource}" if info.subresource else info.resource
    found = (info.verb, f"{info.group}/{info.version}", info.namespace, full, info.name)
    assert found == (verb, version, namespace, resource, name)


@pytest.mark.parametrize(
    "path", ["/", "/api", "/api/v1", "/apis", "/apis/apps", "/apis/apps/v1", "/healthz", "/version"]
)
def test_other_paths_name_no_resource(path: str) -> None:
    assert request_info("GET", path, {}) == RequestInfo(path, "get")


def test_what_follows_a_subresource_is_kept() -> None:
    assert parsed("GET /api/v1/nodes/n/proxy/metrics/cadvisor").rest == ("metrics", "cadvisor")
