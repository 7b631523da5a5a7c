"""What Ingresses say, as routes, backends and problems, and as HAProxy's files (golden)."""

from __future__ import annotations

import os
from pathlib import Path, PurePath
from typing import Any

import pytest

from pylet.agent.ingress import haproxy
from pylet.agent.ingress import ingresses as of_ingresses
from pylet.agent.ingress.haproxy import Commands, Place, Reload
from pylet.agent.ingress.model import PREFIX, Backends, Certificate, Config, merge
from pylet.api.ingress import ours
from pylet.api.object import Key, Object

GOLDEN = Path(__file__).parents[2] / "golden"
CLASS: Object = {
    "metadata": {"name": "pylet", "annotations": {"ingressclass.kubernetes.io/is-default-class": "true"}},
    "spec": {"controller": "pylet.io/ingress"},
}


def _ingress(name: str = "web", *rules: Any, age: int = 1, notes: Any = None, **spec: Any) -> Object:
    created = f"2026-01-0{age}T00:00:00Z"
    meta = {"namespace": "a", "name": name, "creationTimestamp": created, "annotations": notes or {}}
    return {"metadata": meta, "spec": {"rules": list(rules), **spec}}


def _rule(host: str, *paths: tuple[str, str, Any]) -> Any:
    found = [{"path": path, "pathType": type_, "backend": backend} for path, type_, backend in paths]
    return {**({"host": host} if host else {}), "http": {"paths": found}}


def _to(service: str, port: str | int = 80) -> Any:
    return {"service": {"name": service, "port": {"name": port} if isinstance(port, str) else {"number": port}}}


def _service(name: str, **spec: Any) -> tuple[Key, Object]:
    ports = [{"name": "web", "port": 80, "targetPort": 8080}, {"name": "admin", "port": 81, "targetPort": 8081}]
    return Key("a", name), {"metadata": {"namespace": "a", "name": name}, "spec": {"ports": ports, **spec}}


def _slice(service: str, *endpoints: Any, type_: str = "IPv4") -> Object:
    labels = {"kubernetes.io/service-name": service}
    return {
        "metadata": {"namespace": "a", "name": f"{service}-{type_}", "labels": labels},
        "addressType": type_,
        "ports": [{"name": "web", "port": 8080}, {"name": "admin", "port": 8081}],
        "endpoints": [{"addresses": [address], "conditions": conditions} for address, conditions in endpoints],
    }


READY = {"ready": True}
SERVICES = dict([_service("x"), _service("y"), _service("far", type="ExternalName", externalName="far.test")])
SLICES = [_slice("x", ("10.42.0.2", READY), ("10.42.0.3", READY)), _slice("y", ("fd00::2", READY), type_="IPv6")]


def _build(*ingresses: Object, slices: Any = SLICES, pairs: Any = None) -> Config:
    backends = Backends.of(SERVICES, slices)
    return merge([of_ingresses.build(ours(ingresses, [CLASS]), backends, pairs or {}, [CLASS])], backends, pairs or {})


def _routes(config: Config) -> dict[tuple[str, str, str], str]:
    return {(one.host, one.path, one.kind): one.shares[0].to for one in config.ports[80].routes}


def test_the_oldest_ingress_has_a_path_that_two_ask_for() -> None:
    younger = _ingress("b", _rule("h.test", ("/", "Prefix", _to("x"))), age=2)
    older = _ingress("c", _rule("h.test", ("/", "Prefix", _to("y"))), age=1)
    assert _routes(_build(younger, older)) == {("h.test", "/", PREFIX): "a_y_80"}


@pytest.mark.parametrize(
    ("spec", "notes", "is_ours"),
    [
        ({"ingressClassName": "pylet"}, {}, True),
        ({"ingressClassName": "other"}, {}, False),
        ({}, {"kubernetes.io/ingress.class": "other"}, False),
        ({}, {"kubernetes.io/ingress.class": "pylet"}, True),
        ({}, {}, True),
    ],
)
def test_classes_say_whose_an_ingress_is(spec: Any, notes: Any, is_ours: bool) -> None:
    assert bool(ours([_ingress("i", notes=notes, **spec)], [CLASS])) == is_ours


@pytest.mark.parametrize(
    ("backend", "endpoints", "reason"),
    [
        (_to("x"), ("10.42.0.2:8080", "10.42.0.3:8080"), ""),
        (_to("x", "admin"), ("10.42.0.2:8081", "10.42.0.3:8081"), ""),
        (_to("y"), ("[fd00::2]:8080",), ""),
        (_to("x", 82), (), "PortNotFound"),
        (_to("gone"), (), "ServiceNotFound"),
        (_to("far"), (), "UnsupportedBackend"),
        ({"resource": {"kind": "Bucket", "name": "b"}}, (), "UnsupportedBackend"),
    ],
)
def test_a_backend_leads_to_endpoints_or_is_a_problem(backend: Any, endpoints: Any, reason: str) -> None:
    config = _build(_ingress("i", _rule("", ("/", "Prefix", backend))))
    (found,) = config.backends.values()
    assert found.endpoints == endpoints
    assert [problem.reason for problem in config.problems] == ([reason] if reason else [])


def test_endpoints_that_end_serve_while_there_are_no_others() -> None:
    ending = {"ready": False, "serving": True, "terminating": True}
    gone = {"ready": False, "serving": False, "terminating": True}
    ingress = _ingress("i", _rule("", ("/", "Prefix", _to("x"))))
    alone = _build(ingress, slices=[_slice("x", ("10.42.0.2", ending), ("10.42.0.3", gone))])
    both = _build(ingress, slices=[_slice("x", ("10.42.0.2", ending), ("10.42.0.4", READY))])
    assert alone.backends["a_x_80"].endpoints == ("10.42.0.2:8080",)
    assert both.backends["a_x_80"].endpoints == ("10.42.0.4:8080",)


def test_a_path_cannot_smuggle_lines_into_a_file() -> None:
    config = _build(_ingress("i", _rule("h.test", ("/a b_1\n-/ a_y_80", "ImplementationSpecific", _to("x")))))
    assert not config.ports[80].routes
    assert [problem.reason for problem in config.problems] == ["InvalidPath"]


def test_a_default_backend_takes_what_is_left_of_its_hosts_or_of_all() -> None:
    one = _ingress("i", _rule("h.test", ("/x", "Exact", _to("x"))), defaultBackend=_to("y"))
    assert _routes(_build(one))["h.test", "/", PREFIX] == "a_y_80"
    assert _build(one).ports[80].default == ""
    assert _build(_ingress("j", defaultBackend=_to("x"))).ports[80].default == "a_x_80"


def test_a_secret_without_a_certificate_is_a_problem_of_its_ingress() -> None:
    ingress = _ingress("i", tls=[{"secretName": "bad", "hosts": ["h.test"]}, {"secretName": "good"}])
    config = _build(ingress, pairs={Key("a", "bad"): "no certificate", Key("a", "good"): b"PEM"})
    assert config.ports[443].certificates == (Certificate(Key("a", "good")),)
    assert config.pems == {Key("a", "good"): b"PEM"}
    assert [problem.message for problem in config.problems] == ["no certificate"]


WHOLE = (
    _ingress(
        "all",
        _rule("h.test", ("/", "Prefix", _to("x")), ("/y/", "Prefix", _to("y")), ("/y", "Exact", _to("x", "admin"))),
        _rule("*.w.test", ("", "ImplementationSpecific", _to("y"))),
        tls=[{"secretName": "good", "hosts": ["h.test", "*.w.test"]}],
        notes={"pylet.io/https-redirect": "true"},
    ),
    _ingress("rest", _rule("", ("/any", "Prefix", _to("x"))), defaultBackend=_to("y"), age=2),
)
PLACE = Place(PurePath("/d"), families=(4, 6))


def _whole(slices: Any = SLICES, pem: bytes = b"PEM") -> Config:
    return _build(*WHOLE, slices=slices, pairs={Key("a", "good"): pem})


def test_all_that_ingresses_can_say_has_its_golden_files() -> None:
    files = haproxy.files(_whole(), PLACE)
    text = "".join(f"==> {name}\n{files[name].decode()}\n" for name in sorted(files))
    if os.environ.get("PYLET_GOLDEN") == "write":
        (GOLDEN / "ingress.haproxy").write_text(text)
    assert text == (GOLDEN / "ingress.haproxy").read_text()


def test_endpoints_change_by_commands_and_new_ones_come_first() -> None:
    after = _whole([_slice("x", ("10.42.0.3", READY), ("10.42.0.9", READY)), SLICES[1]])
    change = haproxy.change(_whole(), after)
    assert isinstance(change, Commands)
    of_one = [line for line in change.lines if "a_x_80/" in line]
    assert of_one == [
        "add server a_x_80/s10.42.0.9_8080 10.42.0.9:8080",
        "set server a_x_80/s10.42.0.9_8080 state ready",
        "set server a_x_80/s10.42.0.2_8080 state maint",
        "del server a_x_80/s10.42.0.2_8080",
    ]
    assert haproxy.change(after, after) == Commands(())


@pytest.mark.parametrize("before", [None, _build(WHOLE[0]), _whole(pem=b"OTHER")], ids=["start", "routes", "secret"])
def test_all_else_is_a_reload(before: Config | None) -> None:
    assert haproxy.change(before, _whole()) == Reload()
