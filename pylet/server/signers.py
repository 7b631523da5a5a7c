"""Who signed a certificate, as Go sees it. What loads `cryptography` is computed elsewhere, so this loads nothing else.

Source: Go's crypto/x509 Certificate.CheckSignatureFrom.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from cryptography import x509


class Term(NamedTuple):
    start: datetime
    end: datetime


def signer(shown: bytes, bundle: str) -> Term | None:
    """For how long the CA of the bundle that signed the certificate (DER) is one; None: none did."""
    from cryptography import x509

    try:
        found = x509.load_der_x509_certificate(shown)
        for authority in x509.load_pem_x509_certificates(bundle.encode()):
            if _may_sign(authority) and _signed(authority, found):
                return Term(authority.not_valid_before_utc, authority.not_valid_after_utc)
    except (ValueError, x509.DuplicateExtension):
        return None  # broken ones
    return None


def _may_sign(authority: x509.Certificate) -> bool:
    from cryptography import x509

    extensions = authority.extensions
    try:
        if not extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            return False
        return extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    except x509.ExtensionNotFound as missing:
        return missing.oid == x509.KeyUsage.oid


def _signed(authority: x509.Certificate, found: x509.Certificate) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        found.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
