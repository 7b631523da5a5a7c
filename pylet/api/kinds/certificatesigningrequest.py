"""CertificateSigningRequests: immutable but through their subresources; admission writes down who asked."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Sequence
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
_BLOCK = re.compile(rb"-----BEGIN ([^\n-]*+)-----\n((?:(?!-----).)*+)-----END \1-----", re.DOTALL)
_DOMAIN_BYTES, _SIGNER_BYTES = 253, 571
_BEGIN = re.compile(rb"-----BEGIN CERTIFICATE REQUEST-----\s")
_END = b"-----END CERTIFICATE REQUEST-----"


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
            obj["status"] = {**obj["status"], "conditions": status.get("conditions")}
        elif subresource == "status":
            obj["status"] = {**status, "conditions": _kept(status.get("conditions") or [], _conditions_in(old))}
        if not obj["status"].get("conditions"):
            obj["status"] = {name: value for name, value in obj["status"].items() if name != "conditions"}

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
        return found

    def validate_update(self, obj: Object, old: Object, subresource: str) -> Sequence[Cause]:
        found = list(self.validate(obj))
        if _conditions_in(obj) != _conditions_in(old):
            found += _conditions(obj)
        before, after = (dig(one, "status", "certificate", default="") for one in (old, obj))
        if after and after != before and (problem := _certificate_problem(after)):
            found.append(causes.invalid("status.certificate", "<certificate data>", problem))
        for type_ in (*_DECIDED, "Failed"):
            had, has = (len(_of_type(_conditions_in(one), type_)) for one in (old, obj))
            if has < had:
                says = f"updates may not remove a condition of type {causes.quoted(type_)}"
                found.append(causes.forbidden("status.conditions", says))
            elif has > had and subresource != "approval" and type_ in _DECIDED:
                says = f"updates may not add a condition of type {causes.quoted(type_)}"
                found.append(causes.forbidden("status.conditions", says))
        if before and after != before:
            found.append(causes.forbidden("status.certificate", "updates may not modify existing certificate content"))
        return found


def _conditions_in(obj: Object) -> list[Object]:
    return list(conditions_of(obj))


def _of_type(conditions: Sequence[Object], type_: str) -> list[int]:
    """Where conditions of that type are."""
    return [at for at, condition in enumerate(conditions) if condition.get("type") == type_]


def _kept(conditions: list[Object], before: Sequence[Object]) -> list[Object]:
    """What a status says; decisions stay as they were unless there are more or fewer, which validation refuses."""
    kept = list(conditions)
    for type_ in _DECIDED:
        was, now = _of_type(before, type_), _of_type(conditions, type_)
        if len(was) == len(now):
            for old, new in zip(was, now, strict=True):
                kept[new] = before[old]
    return kept


def _certificate_problem(encoded: str) -> str:
    """What is wrong with the form of certificates in PEM; what they hold is admission's to read."""
    blocks = _BLOCK.findall(base64.b64decode(encoded))
    for type_, text in blocks:
        if type_ != b"CERTIFICATE":
            return f"only CERTIFICATE PEM blocks are allowed, found {causes.quoted(type_.decode())}"
        if b":" in text:
            return "no PEM block headers are permitted"
    return "" if blocks else "must contain at least one CERTIFICATE PEM block"


def _is_request(encoded: str) -> bool:
    try:
        raw = base64.b64decode(encoded)
    except ValueError:
        return False
    begun = _BEGIN.search(raw)
    return begun is not None and raw.rfind(_END) > begun.end()


def _signer(name: str) -> list[Cause]:
    if not name:
        return [causes.required("spec.signerName")]
    if name == "kubernetes.io/legacy-unknown":
        return [causes.invalid("spec.signerName", name, "the legacy signerName is not allowed via this API version")]
    domain, slash, path = name.partition("/")
    where = "spec.signerName"
    if not slash or "/" in path:
        says = "must be a fully qualified domain and path of the form 'example.com/signer-name'"
        return [causes.invalid(where, name, says)]
    found = [causes.too_long(where, _DOMAIN_BYTES)] if len(domain) > _DOMAIN_BYTES else []
    found += _labels(domain, where, names.dns_label)
    if "." not in domain:
        found.append(causes.invalid(where, domain, "should be a domain with at least two segments separated by dots"))
    found += _labels(path, where, names.dns_subdomain)
    return found + ([causes.too_long(where, _SIGNER_BYTES)] if len(name) > _SIGNER_BYTES else [])


def _labels(text: str, where: str, judge: Callable[[str], names.Problems]) -> list[Cause]:
    """What is wrong with the first bad part of a dotted text."""
    for label in text.split("."):
        if problems := judge(label):
            says = f"validating label {causes.quoted(label)}: "
            return causes.each(where, text, [says + problem for problem in problems])
    return []


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
