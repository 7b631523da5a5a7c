"""Certificate requests: approved for whom, signed or failed, and forgotten."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pylet.api.kinds.certificatesigningrequest import KIND as CSR
from pylet.api.object import Key, Object
from pylet.client.view import Entry, Table, View
from pylet.server.controllers import certificates
from pylet.server.reconcile.plan import NOTHING, Delete, Patch, Plan, Update

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
NODE, NODES = "system:node:n", ("system:nodes",)
CLIENT_USAGES = ["digital signature", "key encipherment", "client auth"]
SERVER_USAGES = ["digital signature", "key encipherment", "server auth"]
HOURS = {hours: (NOW - timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ") for hours in (0, 2, 25)}


@dataclass
class Asked:
    name: str = NODE
    organizations: tuple[str, ...] = NODES
    dns: tuple[str, ...] = ()
    ips: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()
    uris: tuple[str, ...] = ()


class Authority:
    def __init__(self, asked: Asked) -> None:
        self.asked = asked

    def subject(self, request: bytes) -> Any:
        return self.asked

    def sign(self, request: bytes, usages: Iterable[str], life: timedelta) -> bytes:
        return f"{int(life.total_seconds())}".encode()


def request(signer: str, usages: list[str], *conditions: str, hours: int = 0, **spec: Any) -> Object:
    found = [{"type": type_, "status": "True", "lastUpdateTime": HOURS[hours]} for type_ in conditions]
    return {
        "metadata": {"name": "r", "uid": "1", "creationTimestamp": HOURS[hours]},
        "spec": {"signerName": signer, "usages": usages, "request": "", "username": "u", **spec},
        "status": {"conditions": found, "certificate": spec.pop("certificate", None)},
    }


def plan(obj: Object, asked: Asked | None = None, *rights: str) -> Plan:
    table = Table(CSR)
    table.put(Entry.of(CSR, obj))
    made = certificates.controller(Authority(asked or Asked()), lambda spec, subresource: subresource in rights)
    return made.plan(Key("", "r"), View({CSR: table}), NOW)


@pytest.mark.parametrize(
    ("user", "rights", "approved"),
    [
        ("u", ["nodeclient"], "Auto approving kubelet client certificate after SubjectAccessReview."),
        (NODE, ["selfnodeclient"], "Auto approving self kubelet client certificate after SubjectAccessReview."),
        ("u", ["selfnodeclient"], ""),
        ("u", [], ""),
    ],
)
def test_a_nodes_client_certificate_is_approved_by_right(user: str, rights: list[str], approved: str) -> None:
    obj = request(certificates.KUBELET_CLIENT, CLIENT_USAGES, username=user)
    found = [action for action in plan(obj, None, *rights).actions if isinstance(action, Update)]
    assert [action.object["status"]["conditions"][0]["message"] for action in found] == ([approved] if approved else [])


def test_other_signers_wait_for_a_person() -> None:
    assert plan(request(certificates.CLIENT, CLIENT_USAGES), None, "nodeclient").actions == ()


@pytest.mark.parametrize(
    ("signer", "usages", "asked", "why"),
    [
        (certificates.CLIENT, ["client auth"], Asked(), ""),
        (
            certificates.CLIENT,
            ["digital signature"],
            Asked(),
            "missing required usage for client certificate: client auth",
        ),
        (certificates.CLIENT, SERVER_USAGES, Asked(), "invalid usage for client certificate: server auth"),
        (certificates.KUBELET_CLIENT, CLIENT_USAGES, Asked(), ""),
        (certificates.KUBELET_CLIENT, ["digital signature", "client auth"], Asked(), ""),
        (
            certificates.KUBELET_CLIENT,
            SERVER_USAGES,
            Asked(),
            "usages did not match [client auth digital signature key encipherment]",
        ),
        (certificates.KUBELET_CLIENT, CLIENT_USAGES, Asked(dns=("a",)), "DNS subjectAltNames are not allowed"),
        (certificates.KUBELET_CLIENT, CLIENT_USAGES, Asked(ips=("1.1.1.1",)), "IP subjectAltNames are not allowed"),
        (
            certificates.KUBELET_CLIENT,
            CLIENT_USAGES,
            Asked(organizations=()),
            "subject organization is not system:nodes",
        ),
        (
            certificates.KUBELET_CLIENT,
            CLIENT_USAGES,
            Asked(name="bob"),
            "subject common name does not begin with system:node:",
        ),
        (certificates.KUBELET_SERVING, SERVER_USAGES, Asked(dns=("n",)), ""),
        (certificates.KUBELET_SERVING, SERVER_USAGES, Asked(), "DNS or IP subjectAltName is required"),
        (
            certificates.KUBELET_SERVING,
            SERVER_USAGES,
            Asked(dns=("n",), emails=("a@b",)),
            "Email subjectAltNames are not allowed",
        ),
        (
            certificates.KUBELET_SERVING,
            SERVER_USAGES,
            Asked(dns=("n",), uris=("a://b",)),
            "URI subjectAltNames are not allowed",
        ),
        (certificates.LEGACY, ["any"], Asked(name="bob"), ""),
    ],
)
def test_a_signer_judges_what_it_signs(signer: str, usages: list[str], asked: Asked, why: str) -> None:
    (action,) = plan(request(signer, usages, "Approved"), asked).actions
    if why:
        assert isinstance(action, Update)
        failed = action.object["status"]["conditions"][-1]
        assert (failed["type"], failed["reason"], failed["message"]) == ("Failed", "SignerValidationFailure", why)
    else:
        assert isinstance(action, Patch)
        assert action.patch["status"]["certificate"]


@pytest.mark.parametrize(("asked_for", "given"), [(None, 31536000), (60, 600), (3600, 3600), (1 << 30, 31536000)])
def test_a_certificate_lives_between_ten_minutes_and_a_year(asked_for: int | None, given: int) -> None:
    obj = request(certificates.CLIENT, ["client auth"], "Approved", expirationSeconds=asked_for)
    (action,) = plan(obj).actions
    assert isinstance(action, Patch)
    assert base64.b64decode(action.patch["status"]["certificate"]) == str(given).encode()


def test_an_unknown_signer_is_somebody_elses() -> None:
    assert plan(request("example.com/mine", ["client auth"], "Approved")).actions == ()


@pytest.mark.parametrize(
    ("conditions", "certificate", "hours", "forgotten"),
    [
        ((), None, 2, False),
        ((), None, 25, True),
        (("Denied",), None, 2, True),
        (("Approved", "Failed"), None, 2, True),
        (("Approved",), "YQ==", 2, True),
        (("Approved",), "YQ==", 0, False),
        (("Approved",), None, 2, False),
        (("Approved",), None, 25, True),
    ],
)
def test_old_requests_are_forgotten(
    conditions: tuple[str, ...], certificate: str | None, hours: int, forgotten: bool
) -> None:
    obj = request("example.com/mine", [], *conditions, hours=hours)
    obj["status"]["certificate"] = certificate
    assert (plan(obj).actions == (Delete(CSR, Key("", "r"), "1"),)) is forgotten


def test_what_is_gone_needs_nothing() -> None:
    made = certificates.controller(Authority(Asked()), lambda spec, subresource: True)
    assert made.plan(Key("", "r"), View({CSR: Table(CSR)}), NOW) == NOTHING


@pytest.mark.parametrize(
    ("name", "issued", "waits"),
    [("n", None, True), ("n", "aXQ=", False), ("m", None, False)],
    ids=["its own", "has its certificate", "another's"],
)
def test_a_node_that_changes_wakes_its_own_requests(name: str, issued: str | None, waits: bool) -> None:
    asked = request(certificates.KUBELET_SERVING, SERVER_USAGES, username=NODE, certificate=issued)
    table = Table(CSR)
    table.put(Entry.of(CSR, asked))
    controller = certificates.controller(Authority(Asked()), lambda spec, subresource: True)
    watch = next(watch for watch in controller.watches if watch.kind is not CSR)
    changed = Entry.of(watch.kind, {"metadata": {"name": name}, "spec": {}})
    assert list(watch.keys(changed, View({CSR: table}))) == ([Key("", "r")] if waits else [])
