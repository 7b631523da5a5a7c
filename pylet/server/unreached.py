"""What Go says of a connection that did not come about or broke off, as far as it can be told."""

from __future__ import annotations

import os

from pylet.api.ip import in_url

_NO_TLS = "tls: first record does not look like a TLS handshake"
_NOT_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST")
_UNKNOWN, _OLD = (18, 19, 20, 21), (9, 10)  # X509_V_ERR_…


def said(failed: BaseException) -> str:
    """For what aiohttp, or the system, raised."""
    import aiohttp

    match failed:
        case aiohttp.ClientConnectorCertificateError():
            return f"tls: failed to verify certificate: {_distrust(failed.certificate_error)}"
        case aiohttp.ClientConnectorSSLError():
            return _NO_TLS if getattr(failed.os_error, "reason", "") in _NOT_TLS else f"tls: {failed.os_error}"
        case aiohttp.ClientConnectorDNSError():
            return f"dial tcp: lookup {failed.host}: no such host"
        case aiohttp.ClientConnectorError() if failed.os_error.errno:
            return refused(failed.host, failed.port, failed.os_error)
        case TimeoutError():
            return "context deadline exceeded"
        case aiohttp.ServerDisconnectedError():
            return "EOF"
        case aiohttp.ClientResponseError():
            return "net/http: HTTP/1.x transport connection broken: malformed HTTP response"
        case _:
            return str(failed)


def refused(host: str, port: int | None, failed: OSError) -> str:
    """For what the system raised of a connection there."""
    why = os.strerror(failed.errno).lower() if failed.errno else said(failed)
    return f"dial tcp {in_url(host)}:{port}: connect: {why}"


def _distrust(bad: BaseException) -> str:
    code = getattr(bad, "verify_code", 0)
    if code in _UNKNOWN:
        return "x509: certificate signed by unknown authority"
    if code in _OLD:
        return "x509: certificate has expired or is not yet valid"
    return f"x509: {getattr(bad, 'verify_message', '') or bad}"
