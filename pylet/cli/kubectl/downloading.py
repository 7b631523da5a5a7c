"""Manifests behind URLs. Source: cli-runtime `pkg/resource/visitor.go`, readHttpWithRetries."""

from __future__ import annotations

import time
from http.client import HTTPException
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

from pylet.cli.failure import Failure
from pylet.cli.kubectl.http import ConnectionFailed, failed

_PAUSES_SECONDS = (0, 0.5, 0.5)


def downloaded(url: str) -> bytes:
    """Tried again where there is no answer, and where the server is to blame. Raises: Failure, ConnectionFailed."""
    place = urlsplit(url)
    failure: Failure | ConnectionFailed
    for pause in _PAUSES_SECONDS:
        time.sleep(pause)
        try:
            with urlopen(url) as response:
                data: bytes = response.read()
                return data
        except HTTPError as error:
            told = f"{error.code} {error.reason}, status code={error.code}"
            failure = Failure(f'error: unable to read URL "{url}", server reported {told}')
            if error.code < 500:
                break
        except (OSError, HTTPException) as error:
            cause = error.reason if isinstance(error, URLError) else error
            failure = failed(place.hostname or "", place.netloc, cause)
    raise failure
