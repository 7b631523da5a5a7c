"""What Gateways and routes say, as ports and routes, as HAProxy's files (golden), and as a real HAProxy does it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path, PurePath
from typing import Any

import pytest
from aiohttp import web

from pylet.agent.ingress import gateways, haproxy, process
from pylet.agent.ingress.gateways import Asked
from pylet.agent.ingress.haproxy import Place
from pylet.agent.ingress.model import ANY_HOST, Backends, Config, merge
from pylet.aio.clock import SystemClock
from pylet.api.object import Key, Object
from tests.agent.ingress.gateway_objects import (
    asked,
    gateway,
    listener,
    match,
    prefix,
    redirect,
    rewrite,
    route,
    rule,
    secure,
)
from tests.netns import Lab, needs_netns

GOLDEN = Path(__file__).parents[2] / "golden"
PEMS: dict[Key, bytes | str] = {Key("a", "good"): b"PEM", Key("a", "other"): b"OTHER", Key("a", "bad"): "broken"}


def _service(name: str, **port: Any) -> tuple[Key, Object]:
    return Key("a", name), {"metadata": {"namespace": "a", "name": name}, "spec": {"ports": [{"port": 80, **port}]}}


def _slice(service: str, address: str, port: int = 8080) -> Object:
    labels = {"kubernetes.io/service-name": service}
    return {
        "metadata": {"namespace": "a", "name": f"{service}-1", "labels": labels},
        "addressType": "IPv4",
        "ports": [{"port": port}],
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
    }


SERVICES = dict([_service("x"), _service("y"), _service("z", appProtocol="kubernetes.io/h2c")])
SLICES = [_slice("x", "10.42.0.2"), _slice("y", "10.42.0.3"), _slice("z", "10.42.0.4")]


def _build(wanted: Asked, slices: Sequence[Object] = SLICES) -> Config:
    backends = Backends.of(SERVICES, slices)
    return merge([gateways.build(wanted, backends, PEMS)], backends, PEMS)


def _led(config: Config, port: int = 80) -> dict[tuple[str, str], str]:
    return {(one.host, one.path): one.shares[0].to for one in config.ports[port].routes}


def test_a_host_is_its_best_listeners_and_no_others() -> None:
    wide, narrow = listener("wide", hostname="*.w.test"), listener("narrow", hostname="a.w.test")
    everywhere = route("r", rule("x"), to=[{"name": "gw", "sectionName": "wide"}])
    config = _build(asked([gateway(wide, narrow, listener("any"))], everywhere))
    assert _led(config) == {("*.w.test", "/"): "a_x_80", ("**.w.test", "/"): "a_x_80"}
    assert config.ports[80].hosts == {"*.w.test", "**.w.test", "a.w.test", ANY_HOST}
    stolen = route("s", rule("x"), to=[{"name": "gw", "sectionName": "wide"}], hostnames=["a.w.test"])
    assert not _build(asked([gateway(wide, narrow)], stolen)).ports[80].routes


def test_a_port_without_a_certificate_is_not_opened() -> None:
    config = _build(asked([gateway(secure("tls", "bad"), secure("late", "gone", hostname="h.test"))], route("r")))
    assert not config.ports


@pytest.mark.parametrize(
    ("timeouts", "ms"),
    [
        ({}, 0),
        ({"request": "1m2s3ms"}, 62_003),
        ({"request": "10s", "backendRequest": "1h"}, 10_000),
        ({"request": "0s", "backendRequest": "500ms"}, 500),
    ],
)
def test_the_shortest_timeout_counts_and_zero_is_none(timeouts: Any, ms: int) -> None:
    config = _build(asked([gateway(listener())], route("r", rule("x", timeouts=timeouts))))
    assert [backend.handling.timeout_ms for backend in config.backends.values()] == [ms]


HEADERS = {
    "set": [{"name": "X-Set", "value": "50% of 'it'"}],
    "add": [{"name": "X-Add", "value": "b"}],
    "remove": ["X-Gone"],
}
LISTENERS = [
    listener(),
    listener("alt", 8080, hostname="*.w.test"),
    secure("tls", "good", hostname="h.test"),
    secure("rest", "other"),
]
ROUTES = [
    route(
        "paths",
        rule("x", match("/")),
        rule("y", match("/deep"), match("/deep/", "Exact")),
        rule("z", match("/(a|b)[0-9]+", "RegularExpression")),
        rule("x=9 y=1", match("/split")),
        rule("gone=1 x=1", match("/half")),
        rule("gone", match("/gone")),
        hostnames=["h.test", "a.w.test"],
    ),
    route(
        "tests",
        rule("y", match("/deep", color="red")),
        rule("x", match("/deep", method="POST", color="red")),
        rule("x", match("/deep", q_animal="whale", color="blue")),
        rule("z", match("/deep", "Exact", q_animal="whale")),
        rule("y", match("/only/some", color="red")),
        age=2,
        hostnames=["h.test"],
    ),
    route(
        "changes",
        rule("x", match("/head"), filters=[{"type": "RequestHeaderModifier", "requestHeaderModifier": HEADERS}]),
        rule("x", match("/back"), filters=[{"type": "ResponseHeaderModifier", "responseHeaderModifier": HEADERS}]),
        rule("x", match("/pre"), filters=[rewrite(hostname="new.test", path=prefix("/new/"))]),
        rule("x", match("/cut.it"), filters=[rewrite(path=prefix("/"))]),
        rule("x", match("/full"), filters=[rewrite(path={"type": "ReplaceFullPath", "replaceFullPath": "/one"})]),
        rule("", match("/to"), filters=[redirect(path=prefix("/there"), statusCode=301)]),
        rule("", match("/away"), filters=[redirect(scheme="https", hostname="far.test", port=8443)]),
        rule("x", match("/slow"), timeouts={"request": "250ms"}),
        hostnames=["*.w.test"],
    ),
]
PLACE = Place(PurePath("/d"), families=(4,))


def test_all_that_gateways_can_say_has_its_golden_files() -> None:
    files = haproxy.files(_build(asked([gateway(*LISTENERS)], *ROUTES)), PLACE)
    text = "".join(f"==> {name}\n{files[name].decode()}\n" for name in sorted(files))
    if os.environ.get("PYLET_GOLDEN") == "write":
        (GOLDEN / "gateway.haproxy").write_text(text)
    assert text == (GOLDEN / "gateway.haproxy").read_text()


# ---- on a real one

REQUESTS = [
    # where to, with what, the answer: who, what it saw
    ("h.test/", [], "x /"),
    ("h.test/deep", [], "y /deep"),
    ("h.test/deep/er", [], "y /deep/er"),
    ("h.test/deeper", [], "x /deeper"),
    ("H.TEST/a12", [], "z /a12"),
    ("h.test/a12/b", [], "x /a12/b"),
    ("h.test/deep", ["-H", "Color: red"], "y /deep"),
    ("h.test/deep", ["-H", "Color: red", "-XPOST"], "x /deep"),
    ("h.test/deep?animal=whale", [], "z /deep?animal=whale"),
    ("h.test/deep/x?animal=whale", ["-H", "Color: blue"], "x /deep/x?animal=whale"),
    ("h.test/deep/x?animal=w%68ale", ["-H", "Color: blue"], "x /deep/x?animal=w%68ale"),
    ("h.test/deep/x?animal=whales", ["-H", "Color: blue"], "y /deep/x?animal=whales"),
    ("h.test/only/some", ["-H", "Color: red"], "y /only/some"),
    ("h.test/only/some", [], "x /only/some"),
    ("h.test/gone", [], "500"),
    ("other.test/", [], "404"),
    ("h.test:8080/", [], "404"),
    ("a.w.test/deep", [], "y /deep"),
    ("a.w.test/full", [], "x /full"),  # not the wider name's
    ("b.c.w.test:8080/full/x?q=1", [], "x /one?q=1"),
    ("b.w.test/pre", [], "x /new host=new.test"),
    ("b.w.test/pre/x?q=1", [], "x /new/x?q=1 host=new.test"),
    ("b.w.test/cut.it/x", [], "x /x"),
    ("b.w.test/cut.it", [], "x /"),
    ("b.w.test/cutxit", [], "404"),
    ("b.w.test/head", ["-H", "X-Gone: a", "-H", "X-Add: a"], "x /head X-Set=50% of 'it' X-Add=a,b"),
    ("b.w.test/back", [], "x /back < X-Set=50% of 'it' X-Add=b"),
    ("b.w.test/to/x?q=1", [], "301 http://b.w.test/there/x?q=1"),
    ("b.w.test:8080/to", [], "301 http://b.w.test:8080/there"),
    ("b.w.test/away", [], "302 https://far.test:8443/away"),
    ("b.w.test/slow", [], "504"),
]


async def _answer(request: web.BaseRequest, name: str) -> web.StreamResponse:
    if request.path == "/slow":
        await asyncio.sleep(60)
    host = request.headers["Host"]
    seen = {
        name: ",".join(request.headers.getall(name)) for name in ("X-Set", "X-Add", "X-Gone") if name in request.headers
    }
    if host == "new.test":
        seen["host"] = host
    words = [name, request.raw_path, *(f"{key}={value}" for key, value in seen.items())]
    return web.Response(text=" ".join(words), headers={"X-Gone": "yes"})


@asynccontextmanager
async def _running(directory: Path) -> AsyncIterator[Lab]:
    """A node with all these routes, where every Service is a server of this process."""
    with Lab(nodes=1, client=True) as lab, lab.nodes[0].entered():
        slices, loop = [], asyncio.get_running_loop()
        for name in ("x", "y", "z"):

            async def answer(request: web.BaseRequest, name: str = name) -> web.StreamResponse:
                return await _answer(request, name)

            server = await loop.create_server(web.Server(answer), "127.0.0.1", 0)
            slices.append(_slice(name, "127.0.0.1", server.sockets[0].getsockname()[1]))
        services = {key: {**obj, "spec": {"ports": [{"port": 80}]}} for key, obj in SERVICES.items()}
        backends = Backends.of(services, slices)
        part = gateways.build(asked([gateway(*LISTENERS[:2])], *ROUTES), backends, {})
        config, proxy = merge([part], backends, {}), process.Haproxy(directory, SystemClock())
        files = haproxy.files(config, Place(directory, user=""))
        await proxy.apply(files, haproxy.generation(config))
        try:
            yield lab
        finally:
            proxy.stop()


@needs_netns
@pytest.mark.skipif(shutil.which("haproxy", path=process.SEARCHED) is None, reason="needs haproxy")
async def test_a_real_proxy_does_what_the_routes_say(tmp_path: Path) -> None:
    async with _running(tmp_path / "i") as lab:
        said = await asyncio.gather(*(asyncio.to_thread(_ask, lab, url, options) for url, options, _ in REQUESTS))
        assert dict(zip((f"{url} {options}" for url, options, _ in REQUESTS), said, strict=True)) == {
            f"{url} {options}": answer for url, options, answer in REQUESTS
        }
        split = await asyncio.to_thread(_drawn, lab, "h.test/split")
        assert 5 <= split <= 100, split  # of 400, 40 on average: beyond is less likely than 1e-10


def _drawn(lab: Lab, url: str) -> int:
    """How many of 400 are answered by `y`."""
    assert lab.client is not None
    resolve = f"h.test:80:{lab.nodes[0].ip}"
    return lab.client.run("curl", "-s", "--resolve", resolve, "-w", "\n", f"http://{url}?[1-400]").count("y /split")


def _ask(lab: Lab, url: str, options: Sequence[str]) -> str:
    assert lab.client is not None
    host = re.split("[:/]", url)[0]
    resolve = [word for port in (80, 8080) for word in ("--resolve", f"{host}:{port}:{lab.nodes[0].ip}")]
    form = '\n{"code": %{http_code}, "to": "%{redirect_url}", "headers": %{header_json}}'
    said = lab.client.run("curl", "-s", "-m", "30", *resolve, *options, "-w", form, f"http://{url}")
    body, _, about = said.partition('\n{"code"')
    told = json.loads('{"code"' + about)
    if told["code"] != 200:
        return f"{told['code']} {told['to']}".rstrip()
    changed = [
        f"{name}={','.join(told['headers'][key])}"
        for name in ("X-Set", "X-Add")
        if (key := name.lower()) in told["headers"]
    ]
    assert bool(changed) != ("x-gone" in told["headers"])
    return " <".join([body, *([" " + " ".join(changed)] if changed else [])])
