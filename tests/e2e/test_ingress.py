"""Ingresses on real nodes: hosts, paths, certificates, addresses, and requests that go on while everything changes."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cluster import Cluster, eventually

pytestmark = pytest.mark.skipif(
    shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin") is None, reason="needs haproxy"
)


def _server(name: str) -> Any:
    command = f"mkdir -p /tmp/www/deep; echo {name} > /tmp/www/index.html; echo deep-{name} > /tmp/www/deep/index.html"
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name.split("-")[0]}},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "containers": [
                {
                    "name": "web",
                    "image": "pylet.local/busybox:1",
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["/bin/sh", "-c", f"{command}; exec httpd -f -p 8080 -h /tmp/www"],
                    "ports": [{"containerPort": 8080, "name": "http"}],
                }
            ],
        },
    }


def _service(name: str) -> Any:
    ports = [{"name": "web", "port": 80, "targetPort": "http"}]
    spec = {"selector": {"app": name}, "ports": ports}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def _path(service: str, path: str = "/", type_: str = "Prefix") -> Any:
    return {"path": path, "pathType": type_, "backend": {"service": {"name": service, "port": {"name": "web"}}}}


def _ingress(name: str, host: str, *paths: Any, tls: str = "", **annotations: str) -> Any:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": name, "annotations": {f"pylet.io/{key}": value for key, value in annotations.items()}},
        "spec": {
            "rules": [{"host": host, "http": {"paths": list(paths)}}],
            **({"tls": [{"hosts": [host], "secretName": tls}]} if tls else {}),
        },
    }


def _apply(cluster: Cluster, *objects: Any) -> None:
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))


@pytest.fixture(scope="module")
def served(cluster: Cluster) -> Iterator[Cluster]:
    _apply(
        cluster,
        _server("one-1"),
        _server("two-1"),
        _service("one"),
        _service("two"),
        _ingress("plain", "shop.test", _path("one"), _path("two", "/deep/")),
    )
    cluster.kubectl("wait", "--for=condition=Ready", "pod", "--all", "--timeout=180s")
    try:
        yield cluster
    finally:
        for node in cluster.nodes:
            with contextlib.suppress(OSError, ValueError):
                os.kill(int((node.directory / "data/agent/ingress/haproxy.pid").read_text()), signal.SIGTERM)


def _fetch(cluster: Cluster, url: str, *options: str, node: int = 0) -> str:
    host = url.split("/")[2].partition(":")[0]
    address = cluster.nodes[node].member.ip
    resolve = [item for port in (80, 443, 8088) for item in ("--resolve", f"{host}:{port}:{address}")]
    return cluster.client.run("curl", "-s", "-m", "20", *resolve, *options, url)


def _until(cluster: Cluster, url: str, answer: str, *options: str, node: int = 0) -> None:
    eventually(f"{url} answers {answer!r}", lambda: _fetch(cluster, url, *options, node=node) == answer)


@pytest.mark.parametrize("node", [0, 1])
def test_every_node_leads_by_host_and_path(served: Cluster, node: int) -> None:
    eventually("the node serves", lambda: _fetch(served, "http://shop.test/", node=node) == "one-1\n")
    _until(served, "http://shop.test/deep/", "deep-two-1\n", node=node)
    assert "no Ingress" in _fetch(served, "http://other.test/", node=node)


def test_the_status_names_the_nodes_that_serve(served: Cluster) -> None:
    addresses = [{"ip": node.member.ip} for node in served.nodes]
    eventually(
        "both nodes are named",
        lambda: served.get("ingress", "plain")["status"]["loadBalancer"].get("ingress") == addresses,
    )
    assert served.get("ingress", "plain")["spec"]["ingressClassName"] == "pylet"


def _certificate(directory: Path, host: str) -> tuple[Path, Path]:
    certificate, key = directory / "tls.crt", directory / "tls.key"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-subj", f"/CN={host}", "-addext", f"subjectAltName=DNS:{host}"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    return certificate, key


def test_certificates_come_from_secrets_and_change_with_them(served: Cluster, tmp_path: Path) -> None:
    _apply(served, _ingress("safe", "safe.test", _path("one"), tls="safe", **{"https-redirect": "true"}))
    eventually(
        "the missing Secret is told",
        lambda: "is not there" in served.kubectl("get", "events", "--field-selector", "reason=InvalidTLS"),
    )
    for serial in ("first", "second"):
        (tmp_path / serial).mkdir()
        certificate, key = _certificate(tmp_path / serial, "safe.test")
        served.kubectl("delete", "secret", "safe", "--ignore-not-found")
        served.kubectl("create", "secret", "tls", "safe", "--cert", str(certificate), "--key", str(key))
        for node in (0, 1):
            _until(served, "https://safe.test/", "one-1\n", "--cacert", str(certificate), node=node)
    answer = _fetch(served, "http://safe.test/deep/?q=1", "-o", "/dev/null", "-w", "%{http_code} %{redirect_url}")
    assert answer == "308 https://safe.test/deep/?q=1"


def test_no_request_is_lost_while_endpoints_and_ingresses_change(served: Cluster) -> None:
    eventually("the node serves", lambda: _fetch(served, "http://shop.test/") == "one-1\n")
    failed: list[str] = []
    answered: dict[str, int] = {}
    is_over = threading.Event()

    def load() -> None:
        while not is_over.is_set():
            try:
                said = _fetch(served, "http://shop.test/", "-f").strip()
                answered[said] = answered.get(said, 0) + 1
            except AssertionError as lost:
                failed.append(str(lost))

    thread = threading.Thread(target=load)
    thread.start()
    try:
        _apply(served, _server("one-2"))
        eventually("the new pod is asked", lambda: answered.get("one-2"))
        for number in range(3):
            _apply(served, _ingress(f"more-{number}", f"more-{number}.test", _path("two")))
            _until(served, f"http://more-{number}.test/", "two-1\n")
        served.server.kill()
        served.server.restart()
        eventually("the API is back", lambda: served.kubectl("get", "--raw", "/readyz") == "ok")
        before = answered["one-1"]
        eventually("requests go on", lambda: answered["one-1"] > before + 5)
    finally:
        is_over.set()
        thread.join()
    assert not failed, failed[:3]


def test_a_proxy_that_dies_comes_back(served: Cluster) -> None:
    pid = int((served.server.directory / "data/agent/ingress/haproxy.pid").read_text())
    os.kill(pid, signal.SIGKILL)
    eventually("another serves", lambda: _fetch(served, "http://shop.test/") in ("one-1\n", "one-2\n"))


def _gateway_objects(secret: str) -> tuple[Any, ...]:
    group, to = "gateway.networking.k8s.io/v1", {"parentRefs": [{"name": "gate"}]}
    tls = {"certificateRefs": [{"name": secret}]}
    listeners = [
        {"name": "http", "port": 80, "protocol": "HTTP"},
        {"name": "https", "port": 443, "protocol": "HTTPS", "hostname": "gate.test", "tls": tls},
        {"name": "alt", "port": 8088, "protocol": "HTTP"},
    ]
    new = {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/deep"}
    rules = [
        {"backendRefs": [{"name": "one", "port": 80}]},
        {
            "matches": [{"path": {"value": "/two"}, "headers": [{"name": "team", "value": "blue"}]}],
            "filters": [{"type": "URLRewrite", "urlRewrite": {"path": new}}],
            "backendRefs": [{"name": "two", "port": 80}],
        },
    ]
    return (
        {
            "apiVersion": group,
            "kind": "Gateway",
            "metadata": {"name": "gate"},
            "spec": {"gatewayClassName": "pylet", "listeners": listeners},
        },
        {
            "apiVersion": group,
            "kind": "HTTPRoute",
            "metadata": {"name": "gate"},
            "spec": {**to, "hostnames": ["gate.test"], "rules": rules},
        },
    )


def test_gateways_are_served_beside_ingresses_and_told_where(served: Cluster, tmp_path: Path) -> None:
    certificate, key = _certificate(tmp_path, "gate.test")
    served.kubectl("create", "secret", "tls", "gate", "--cert", str(certificate), "--key", str(key))
    _apply(served, *_gateway_objects("gate"))
    try:
        served.kubectl("wait", "--for=condition=Programmed", "gateway/gate", "--timeout=180s")
        for node in (0, 1):
            for url in ("http://gate.test/deep/", "https://gate.test/deep/"):
                answered = partial(_fetch, served, url, "--cacert", str(certificate), node=node)
                eventually(f"{url} is answered", lambda answered=answered: answered().startswith("deep-one-"))  # type: ignore[misc]
            _until(served, "http://gate.test:8088/two/", "deep-two-1\n", "-H", "Team: blue", node=node)
            _until(served, "http://shop.test/deep/", "deep-two-1\n", node=node)
        addresses = [{"type": "IPAddress", "value": node.member.ip} for node in served.nodes]
        eventually("both nodes are named", lambda: served.get("gateway", "gate")["status"]["addresses"] == addresses)

        def attached() -> list[int]:
            return [one["attachedRoutes"] for one in served.get("gateway", "gate")["status"]["listeners"]]

        eventually("its route is counted", lambda: attached() == [1, 1, 1])
    finally:
        served.kubectl("delete", "gateway/gate", "httproute/gate")
    eventually("it is gone", lambda: "no Ingress" in _fetch(served, "http://gate.test/"))


def test_nothing_runs_when_the_last_ingress_is_gone(served: Cluster) -> None:
    served.kubectl("delete", "ingress", "--all")
    eventually(
        "the proxies are gone",
        lambda: not any((node.directory / "data/agent/ingress").exists() for node in served.nodes),
    )
