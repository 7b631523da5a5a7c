"""The API's errors, which are its `Status` answers: reasons, codes, details and causes as upstream words them.

Source: apimachinery `pkg/api/errors/errors.go`. An ApiError travels through client, registry and HTTP alike; only the
HTTP room turns it into bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from pylet.api.object import Object


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing wrong with one field: an entry of `Status.details.causes`.

    `reason` is upstream's field error type (FieldValueRequired, FieldValueInvalid, …); `message` is complete, as in
    `Invalid value: "x": must be …`; `field` is the path, as in `spec.containers[0].name`.
    """

    reason: str
    message: str
    field: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


def aggregated(messages: Iterable[str]) -> str:
    """Several messages as one, each told once; source: apimachinery pkg/util/errors, aggregate.Error."""
    unique = tuple(dict.fromkeys(messages))
    return unique[0] if len(unique) == 1 else f"[{', '.join(unique)}]"


class ApiError(Exception):
    """A request the API refuses or cannot serve; `status()` is what the client is told."""

    code: ClassVar[int] = 500
    reason: ClassVar[str] = ""

    warnings: Sequence[str] = ()
    """What the client is warned of beside: texts for `Warning` headers."""
    at_the_door = False
    """Whether the request was refused before anybody looked at what it is about."""

    def __init__(self, message: str, *, details: Object | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.details = details

    def status(self) -> Object:
        status: Object = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
        }
        if self.reason:
            status["reason"] = self.reason
        if self.details is not None:
            status["details"] = self.details
        status["code"] = self.code
        return status


class _OfResource(ApiError):
    """An error about one named object of one resource (`pods`, `deployments.apps`)."""

    wording: ClassVar[str] = '{resource} "{name}" failed'

    def __init__(self, group: str, plural: str, name: str, why: str = "") -> None:
        resource = f"{plural}.{group}" if group else plural
        details: Object = {"name": name, "group": group, "kind": plural}
        super().__init__(
            self.wording.format(resource=resource, name=name, why=why),
            details={k: v for k, v in details.items() if v},
        )


class NotFound(_OfResource):
    code, reason, wording = 404, "NotFound", '{resource} "{name}" not found'


class AlreadyExists(_OfResource):
    code, reason, wording = 409, "AlreadyExists", '{resource} "{name}" already exists'


class Conflict(_OfResource):
    code, reason = 409, "Conflict"
    wording = 'Operation cannot be fulfilled on {resource} "{name}": {why}'

    STALE = "the object has been modified; please apply your changes to the latest version and try again"


class Forbidden(_OfResource):
    code, reason, wording = 403, "Forbidden", '{resource} "{name}" is forbidden: {why}'


class Invalid(ApiError):
    """The object is well-formed and wrong: 422 with one cause per field."""

    code, reason = 422, "Invalid"

    def __init__(self, group: str, kind: str, name: str, causes: Sequence[Cause]) -> None:
        named = f"{kind}.{group}" if group else kind
        details: Object = {"name": name, "group": group, "kind": kind}
        details["causes"] = [{"reason": c.reason, "message": c.message, "field": c.field} for c in causes]
        message = f'{named} "{name}" is invalid: {aggregated(map(str, causes))}'
        super().__init__(message, details={k: v for k, v in details.items() if v})
        self.causes = tuple(causes)


class BadRequest(ApiError):
    code, reason = 400, "BadRequest"


class Unauthorized(ApiError):
    code, reason = 401, "Unauthorized"

    def __init__(self, message: str = "Unauthorized") -> None:
        super().__init__(message)


class MethodNotAllowed(ApiError):
    code, reason = 405, "MethodNotAllowed"


class NotAcceptable(ApiError):
    code, reason = 406, "NotAcceptable"


class Expired(ApiError):
    """The requested revision is no longer retained: list again."""

    code, reason = 410, "Expired"


class RequestEntityTooLarge(ApiError):
    code, reason = 413, "RequestEntityTooLarge"


class UnsupportedMediaType(ApiError):
    code, reason = 415, "UnsupportedMediaType"


class TooManyRequests(ApiError):
    code, reason = 429, "TooManyRequests"

    def __init__(self, message: str, *, retry_seconds: int = 1, details: Object | None = None) -> None:
        super().__init__(message, details={**(details or {}), "retryAfterSeconds": retry_seconds})


class InternalError(ApiError):
    code, reason = 500, "InternalError"


class ServiceUnavailable(ApiError):
    code, reason = 503, "ServiceUnavailable"


class Timeout(ApiError):
    code, reason = 504, "Timeout"


class RemoteError(ApiError):
    """A Status answered by a server with a code or reason no class here stands for."""

    def __init__(self, status: Object) -> None:
        super().__init__(str(status.get("message", "")), details=status.get("details"))
        self.code = int(status.get("code", 500))  # type: ignore[misc]
        self.reason = str(status.get("reason", ""))  # type: ignore[misc]


def _classes(base: type[ApiError]) -> dict[str, type[ApiError]]:
    found = {base.reason: base} if base.reason else {}
    for sub in base.__subclasses__():
        found |= _classes(sub)
    return found


_BY_REASON = _classes(ApiError)


def from_status(status: Any) -> ApiError:
    """The error a `Status` object stands for: what an HTTP client raises."""
    if not isinstance(status, dict):
        return RemoteError({"message": str(status)})
    cls = _BY_REASON.get(status.get("reason", ""))
    if cls is None:
        return RemoteError(status)
    error = cls.__new__(cls)
    ApiError.__init__(error, str(status.get("message", "")), details=status.get("details"))
    if isinstance(error, Invalid):
        causes = (status.get("details") or {}).get("causes") or ()
        error.causes = tuple(Cause(c.get("reason", ""), c.get("message", ""), c.get("field", "")) for c in causes)
    return error
