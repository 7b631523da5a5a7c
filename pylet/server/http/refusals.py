"""What goes wrong, told in a form the client takes; who takes none is told in indented JSON.

Source: apiserver pkg/endpoints/handlers/responsewriters/writers.go (ErrorNegotiated, WriteObjectNegotiated),
pkg/server/filters/timeout.go, pkg/endpoints/handlers/responsewriters/errors.go (Forbidden).
"""

from __future__ import annotations

import orjson
from aiohttp import web

from pylet.api.errors import ApiError, NotAcceptable
from pylet.server.admission.interface import OutOfTime
from pylet.server.http import representation
from pylet.server.http.answer import TEXT, Answer
from pylet.server.http.negotiation import JSON_TYPE, Media, accepted, wants_indent


def refusal(http: web.BaseRequest, error: ApiError) -> Answer:
    retry = (error.details or {}).get("retryAfterSeconds")
    headers = (("Retry-After", str(retry)),) if retry else ()
    if error.at_the_door:
        headers = (*headers, ("X-Content-Type-Options", "nosniff"))
    if isinstance(error, OutOfTime):  # told by who keeps the time, and knows no forms: Go's clients see no Status in it
        status = {name: value for name, value in error.status().items() if name not in ("kind", "apiVersion")}
        return Answer(orjson.dumps(status), error.code, TEXT)
    body = orjson.dumps(error.status())
    try:
        media = accepted(http.headers.get("Accept", ""), shapes=False)
    except NotAcceptable:
        media = Media(is_pretty=True)
    if media.type == JSON_TYPE and wants_indent(http.query.get("pretty", ""), http.headers.get("User-Agent", "")):
        media = Media(is_pretty=True)
    return Answer(representation.encoded(body, media), error.code, media.type, headers)
