"""The description of a CertificateSigningRequest, with what the request inside it asks for."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pylet.api.columns import human_duration
from pylet.api.object import Object, annotations_of, conditions_of, dig, labels_of
from pylet.cli.kubectl.describe.page import Page, pairs, when

if TYPE_CHECKING:
    from cryptography import x509


def describe(page: Page, csr: Object) -> None:
    from cryptography import x509

    spec = csr["spec"]
    page.head(csr, namespace=False)
    page.write(f"Labels:\t{pairs(labels_of(csr))}")
    page.write(f"Annotations:\t{pairs(annotations_of(csr))}")
    page.write(f"CreationTimestamp:\t{when(csr['metadata']['creationTimestamp'])}")
    page.write(f"Requesting User:\t{spec.get('username', '')}")
    page.write(f"Signer:\t{spec['signerName']}")
    if "expirationSeconds" in spec:
        page.write(f"Requested Duration:\t{human_duration(spec['expirationSeconds'])}")
    page.write(f"Status:\t{status(csr)}")
    _subject(page, x509.load_pem_x509_csr(base64.b64decode(spec["request"])))
    page.events(csr)


def status(csr: Object) -> str:
    """As `kubectl get` shows it: `Approved,Issued`."""
    types = {condition["type"] for condition in conditions_of(csr)}
    words = "Denied" if "Denied" in types else "Approved" if "Approved" in types else "Pending"
    if "Failed" in types:
        words += ",Failed"
    return words + (",Issued" if dig(csr, "status", "certificate") else "")


def _subject(page: Page, request: x509.CertificateSigningRequest) -> None:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    def values(oid: x509.ObjectIdentifier) -> list[str]:
        return [str(attribute.value) for attribute in request.subject.get_attributes_for_oid(oid)]

    page.write("Subject:")
    page.write(f"\tCommon Name:\t{''.join(values(NameOID.COMMON_NAME))}")
    page.write(f"\tSerial Number:\t{''.join(values(NameOID.SERIAL_NUMBER))}")
    for title, oid in (
        ("Organization", NameOID.ORGANIZATION_NAME),
        ("Organizational Unit", NameOID.ORGANIZATIONAL_UNIT_NAME),
        ("Country", NameOID.COUNTRY_NAME),
        ("Locality", NameOID.LOCALITY_NAME),
        ("Province", NameOID.STATE_OR_PROVINCE_NAME),
    ):
        _list(page, title, values(oid))
    try:
        names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return
    page.write("Subject Alternative Names:")
    _list(page, "DNS Names", names.get_values_for_type(x509.DNSName))
    _list(page, "IP Addresses", [str(address) for address in names.get_values_for_type(x509.IPAddress)])


def _list(page: Page, title: str, values: Sequence[str]) -> None:
    if values:
        page.write(f"\t{title}:\t" + "\n\t\t".join(values))
