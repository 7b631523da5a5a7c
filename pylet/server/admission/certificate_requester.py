"""A CertificateSigningRequest says who made it, and nobody asks for membership in system:masters.

Source: pkg/registry/certificates/certificates/strategy.go (PrepareForCreate), plugin/pkg/admission/certificates/
subjectrestriction.
"""

from __future__ import annotations

import base64
import binascii

from pylet.server.admission.interface import CREATE, Attributes, Plugin

_CLIENT_SIGNER = "kubernetes.io/kube-apiserver-client"
_MASTERS = "system:masters"


async def admit(write: Attributes) -> None:
    assert write.obj is not None
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


async def validate(write: Attributes) -> None:
    assert write.obj is not None
    spec = write.obj["spec"]
    if spec.get("signerName") == _CLIENT_SIGNER and _MASTERS in _organizations(spec.get("request") or ""):
        raise write.forbidden(f"use of {_CLIENT_SIGNER} signer with {_MASTERS} group is not allowed")


def _organizations(request: str) -> list[str]:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    try:
        parsed = x509.load_pem_x509_csr(base64.b64decode(request))
    except (ValueError, binascii.Error):
        return []  # the kind's own validation says what is wrong with it
    return [str(name.value) for name in parsed.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]


PLUGIN = Plugin("CertificateSubjectRestriction", {"certificatesigningrequests": frozenset((CREATE,))}, admit, validate)
