"""What Go says of a connection that did not come about or broke off, as far as it can be told."""

from __future__ import annotations

import os

from pylet.api.ip import in_url


def said(failed: BaseException) -> str:
    """For what aiohttp, or the system, raised."""
    import aiohttp

    match failed:
        case aiohttp.ClientConnectorCertificateError():
            return f"tls: failed to verify certificate: {failed.certificate_error}"
        case aiohttp.ClientConnectorError() if failed.os_error.errno:
            why = os.strerror(failed.os_error.errno).lower()
            return f"dial tcp {in_url(failed.host)}:{failed.port}: connect: {why}"
        case TimeoutError():
            return "context deadline exceeded"
        case _:
            return str(failed)
