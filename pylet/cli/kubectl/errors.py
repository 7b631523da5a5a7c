"""What kubectl prints on stderr for an error. Source: kubectl `pkg/cmd/util/helpers.go`, checkErr."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from pylet.api.errors import ApiError
from pylet.cli.failure import Failure
from pylet.cli.kubectl.http import ConnectionFailed
from pylet.client.kubeconfig import KubeconfigError

T = TypeVar("T")
HANDLED = (ApiError, ConnectionFailed, KubeconfigError)


def text_of(error: Exception, *, context: str = "") -> str:
    """The line for one error; `context` is what was being done, as in `error when creating "x.yaml"`."""
    prefix = f"{context}: " if context else ""
    if isinstance(error, ApiError):
        if error.reason == "Unauthorized":
            return f"error: You must be logged in to the server ({prefix}{error})"
        return f"Error from server{f' ({error.reason})' if error.reason else ''}: {prefix}{error}"
    if isinstance(error, Failure | ConnectionFailed):
        return str(error)
    if str(error).startswith("context was not found"):
        return f"Error in configuration: {error}"
    return f"error: {prefix}{error}"


def as_failure(error: Exception, *, context: str = "") -> Failure:
    """The end of a command on that error alone."""
    if isinstance(error, Failure):
        return error
    if isinstance(error, ApiError) and error.reason == "Invalid" and not context:
        return Failure(_invalid(error))
    return Failure(text_of(error, context=context))


def _invalid(error: ApiError) -> str:
    details: dict[str, Any] = error.details or {}
    causes = list(dict.fromkeys(f"{c.get('field')}: {c.get('message')}" for c in details.get("causes") or ()))
    text = "The request is invalid"
    if details.get("kind") or details.get("name"):
        text = f"The {details.get('kind', '')} {json.dumps(details.get('name', ''))} is invalid"
    elif error.message and not causes:
        text += f": {error.message}"
    if len(causes) == 1:
        return f"{text}: {causes[0]}"
    return "\n".join([f"{text}: ", *(f"* {cause}" for cause in causes)]) if causes else text


@contextmanager
def as_kubectl() -> Iterator[None]:
    """What goes wrong inside ends the command the way kubectl ends it."""
    try:
        yield
    except HANDLED as error:
        raise as_failure(error) from None


class Collected:
    """Errors of several independent steps: all are tried, and all failures told at the end.

    Beside others a failure loses the `error: ` that it begins with alone, unless the messages are `prefixed` for good.
    """

    def __init__(self, *, prefixed: bool = False) -> None:
        self._prefix = "" if prefixed else "error: "
        self._errors: list[tuple[Exception, str]] = []

    def __bool__(self) -> bool:
        return bool(self._errors)

    def attempt(self, step: Callable[..., T], *args: Any, context: str = "") -> T | None:
        """The step's result; None when it failed."""
        try:
            return step(*args)
        except (Failure, *HANDLED) as error:
            self.add(error, context=context)
            return None

    def add(self, error: Exception, *, context: str = "") -> None:
        self._errors.append((error, context))

    def finish(self) -> None:
        """Raises: Failure when there was any."""
        if len(self._errors) == 1:
            ((error, context),) = self._errors
            raise as_failure(error, context=context)
        if self._errors:
            lines = [text_of(error, context=context) for error, context in self._errors]
            raise Failure("\n".join(line.removeprefix(self._prefix).rstrip("\n") for line in lines))
