"""A CertificateSigningRequest says who made it and when it was decided, and what it holds can be read.

Nobody asks for membership in system:masters. Source: pkg/registry/certificates/certificates/strategy.go
(PrepareForCreate, populateConditionTimestamps), plugin/pkg/admission/certificates/subjectrestriction.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import TYPE_CHECKING

from pylet.api import causes
from pylet.api.errors import Invalid
from pylet.api.object import Object, conditions_of, dig
from pylet.api.timestamps import format_time
from pylet.server.admission.interface import CREATE, UPDATE, Attributes, Plugin

if TYPE_CHECKING:
    from cryptography.x509 import CertificateSigningRequest

_CLIENT_SIGNER = "kubernetes.io/kube-apiserver-client"
_MASTERS = "system:masters"


async def admit(write: Attributes) -> None:
    assert write.obj is not None
    if write.old is not None:
        _date(conditions_of(write.obj), conditions_of(write.old), format_time(write.now()))
        return
    spec = write.obj.setdefault("spec", {})
    user = write.user
    said = {
        "username": user.name,
        "uid": user.uid,
        "groups": list(user.groups),
        "extra": {name: list(values) for name, values in user.extra.items()},
    }
    for field, value in said.items():
        if value:
            spec[field] = value
        else:
            spec.pop(field, None)


def _date(conditions: Iterable[Object], before: Iterable[Object], now: str) -> None:
    """Fill in when conditions were written and when they came about."""
    began = {(was.get("type"), was.get("status")): was.get("lastTransitionTime") for was in before}
    for condition in conditions:
        condition["lastUpdateTime"] = condition.get("lastUpdateTime") or now
        key = condition.get("type"), condition.get("status")
        condition["lastTransitionTime"] = condition.get("lastTransitionTime") or began.get(key) or now


async def validate(write: Attributes) -> None:
    assert write.obj is not None
    spec, certificate = write.obj["spec"], dig(write.obj, "status", "certificate", default="")
    if write.old is not None:
        if certificate and certificate != dig(write.old, "status", "certificate"):
            _check_certificates(write, certificate)
        return
    organizations = _organizations(write, spec["request"])
    if spec.get("signerName") == _CLIENT_SIGNER and _MASTERS in organizations:
        raise write.forbidden(f"use of {_CLIENT_SIGNER} signer with {_MASTERS} group is not allowed")


def _check_certificates(write: Attributes, encoded: str) -> None:
    """Raises: Invalid."""
    from cryptography import x509

    try:
        x509.load_pem_x509_certificates(base64.b64decode(encoded))
    except ValueError as bad:
        why = causes.invalid("status.certificate", "<certificate data>", "x509: malformed certificate")
        raise Invalid(write.kind.group, write.kind.name, write.name, (why,)) from bad


def _organizations(write: Attributes, request: str) -> list[str]:
    """Raises: Invalid."""
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.x509.oid import NameOID

    try:
        parsed = x509.load_pem_x509_csr(base64.b64decode(request))
        is_signed = _is_signed(parsed)
    except (ValueError, TypeError, UnsupportedAlgorithm) as bad:
        raise _bad_request(write, request, "asn1: structure error") from bad
    if not is_signed:
        raise _bad_request(write, request, "x509: signature verification failed")
    return [str(name.value) for name in parsed.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]


def _is_signed(request: CertificateSigningRequest) -> bool:
    """By its own key; with SHA-1 too, which `is_signature_valid` never finds valid and Go allows in requests.

    Source: crypto/x509 checkSignature (allowSHA1).
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.hashes import SHA1

    key, hashed = request.public_key(), request.signature_hash_algorithm
    if not isinstance(hashed, SHA1):
        return request.is_signature_valid
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(request.signature, request.tbs_certrequest_bytes, PKCS1v15(), hashed)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(request.signature, request.tbs_certrequest_bytes, ec.ECDSA(hashed))
        else:
            return False
    except InvalidSignature:
        return False
    return True


def _bad_request(write: Attributes, request: str, why: str) -> Invalid:
    cause = causes.invalid("spec.request", request, why)
    return Invalid(write.kind.group, write.kind.name, write.name, (cause,))


_DECIDED = frozenset((UPDATE,))
_RESOURCES = {
    "certificatesigningrequests": frozenset((CREATE,)),
    "certificatesigningrequests/approval": _DECIDED,
    "certificatesigningrequests/status": _DECIDED,
}
RESTRICTION = Plugin("CertificateSubjectRestriction", _RESOURCES, validate=validate)
REQUESTER = Plugin("CertificateRequester", _RESOURCES, admit=admit)
"""The last to change a request: whom it names is nobody else's to say."""
