"""CertificateSigningRequests: immutable but through their subresources; admission writes down who asked."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pylet.api import causes, columns, names
from pylet.api.errors import Cause
from pylet.api.kind import Column, Kind, Strategy
from pylet.api.object import Object, conditions_of, dig

_LEAST_SECONDS = 600
_DECIDED = ("Approved", "Denied")
_USAGES = (
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
)
_PEM = re.compile(rb"-----BEGIN CERTIFICATE REQUEST-----\s.+-----END CERTIFICATE REQUEST-----\s*", re.DOTALL)


class CertificateSigningRequestStrategy(Strategy):
    """Source: pkg/registry/certificates/certificates/strategy.go.

    spec.username, uid, groups and extra are admission's to write: it knows who asks.
    """

    has_status = True

    def name_problems(self, name: str) -> Sequence[str]:
        return names.path_segment(name)

    def prepare_create(self, obj: Object) -> None:
        obj["status"] = {}

    def prepare_update(self, obj: Object, old: Object, subresource: str) -> None:
        status = obj.get("status") or {}
        obj["spec"], obj["status"] = old["spec"], old.get("status", {})
        if subresource == "approval":
            obj["status"] = {**obj["status"], "conditions": status.get("conditions") or []}
        elif subresource == "status":
            decided = [condition for condition in conditions_of(old) if condition.get("type") in _DECIDED]
            others = [one for one in status.get("conditions") or () if one.get("type") not in _DECIDED]
            obj["status"] = {**status, "conditions": [*decided, *others]}
            if not obj["status"]["conditions"]:
                del obj["status"]["conditions"]

    def validate(self, obj: Object) -> Sequence[Cause]:
        spec = obj["spec"]
        found: list[Cause] = []
        request = spec.get("request") or ""
        if not _is_request(request):
            says = "PEM block type must be CERTIFICATE REQUEST"
            found.append(causes.invalid("spec.request", request or None, says))
        usages = spec.get("usages") or []
        if not usages:
            found.append(causes.required("spec.usages"))
        for position, usage in enumerate(usages):
            where = f"spec.usages[{position}]"
            if usage not in _USAGES:
                found.append(causes.not_supported(where, usage, _USAGES))
            if usage in usages[:position]:
                found.append(causes.duplicate(where, usage))
        found += _signer(spec.get("signerName", ""))
        seconds = spec.get("expirationSeconds")
        if seconds is not None and seconds < _LEAST_SECONDS:
            says = "may not specify a duration less than 600 seconds (10 minutes)"
            found.append(causes.invalid("spec.expirationSeconds", seconds, says))
        return [*found, *_conditions(obj)]

    def validate_update(self, obj: Object, old: Object, subresource: str) -> Sequence[Cause]:
        found = list(self.validate(obj))
        for type_ in (*_DECIDED, "Failed"):
            had = any(condition.get("type") == type_ for condition in conditions_of(old))
            has = any(condition.get("type") == type_ for condition in conditions_of(obj))
            if had and not has:
                says = f"updates may not remove a condition of type {causes.quoted(type_)}"
                found.append(causes.forbidden("status.conditions", says))
            elif has and not had and subresource != "approval" and type_ in _DECIDED:
                says = f"updates may not add a condition of type {causes.quoted(type_)}"
                found.append(causes.forbidden("status.conditions", says))
        before = dig(old, "status", "certificate")
        if before and dig(obj, "status", "certificate") != before:
            found.append(causes.forbidden("status.certificate", "updates may not modify existing certificate content"))
        return found


def _is_request(encoded: str) -> bool:
    try:
        return _PEM.search(base64.b64decode(encoded)) is not None
    except ValueError:
        return False


def _signer(name: str) -> list[Cause]:
    if not name:
        return [causes.required("spec.signerName")]
    if name == "kubernetes.io/legacy-unknown":
        return [causes.invalid("spec.signerName", name, "the legacy signerName is not allowed via this API version")]
    domain, slash, path = name.partition("/")
    if not slash or not path:
        says = "must be a fully qualified domain and path of the form 'example.com/signer-name'"
        return [causes.invalid("spec.signerName", name, says)]
    found = causes.each("spec.signerName", domain, names.dns_subdomain(domain))
    if "." not in domain:
        says = "should be a domain with at least two segments separated by dots"
        found.append(causes.invalid("spec.signerName", domain, says))
    for part in path.split("."):
        found += causes.each("spec.signerName", path, names.dns_subdomain(part))
    return found


def _conditions(obj: Object) -> list[Cause]:
    found: list[Cause] = []
    seen: set[str] = set()
    for position, condition in enumerate(conditions_of(obj)):
        where = f"status.conditions[{position}]"
        type_, status = condition.get("type", ""), condition.get("status", "")
        allowed = ("True",) if type_ in (*_DECIDED, "Failed") else ("False", "True", "Unknown")
        if not type_:
            found.append(causes.required(f"{where}.type"))
        if not status:
            found.append(causes.required(f"{where}.status"))
        elif status not in allowed:
            found.append(causes.not_supported(f"{where}.status", status, allowed))
        if type_ in seen:
            found.append(causes.duplicate(f"{where}.type", type_))
        if type_ in _DECIDED and seen & set(_DECIDED) - {type_}:
            says = "Approved and Denied conditions are mutually exclusive"
            found.append(causes.invalid("status.conditions", type_, says))
        seen.add(type_)
    return found


def _cells(obj: Object, now: datetime) -> list[Any]:
    spec = obj["spec"]
    seconds = spec.get("expirationSeconds")
    return [
        obj["metadata"]["name"],
        columns.age(obj, now),
        spec.get("signerName") or "<none>",
        spec.get("username", ""),
        "<none>" if seconds is None else columns.human_duration(seconds),
        _state(obj),
    ]


def _state(obj: Object) -> str:
    types = {condition.get("type") for condition in conditions_of(obj)}
    state = "Denied" if "Denied" in types else "Approved" if "Approved" in types else "Pending"
    state += ",Failed" if "Failed" in types else ""
    return state + (",Issued" if dig(obj, "status", "certificate") else "")


KIND = Kind(
    group="certificates.k8s.io",
    version="v1",
    name="CertificateSigningRequest",
    plural="certificatesigningrequests",
    definition="io.k8s.api.certificates.v1.CertificateSigningRequest",
    namespaced=False,
    short_names=("csr",),
    subresources=("approval", "status"),
    strategy=CertificateSigningRequestStrategy(),
    columns=(
        columns.NAME,
        columns.AGE,
        Column("SignerName", description="The signer asked to issue the certificate."),
        Column("Requestor", description="Who asked."),
        Column("RequestedDuration", description="How long the certificate shall be valid."),
        Column("Condition", description="What became of the request."),
    ),
    cells=_cells,
    fields={"spec.signerName": lambda obj: obj["spec"].get("signerName", "")},
)
