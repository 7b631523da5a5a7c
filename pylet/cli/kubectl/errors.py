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


def text_of(error: Exception) -> str:
    """The line for one error among several."""
    if isinstance(error, ApiError):
        if error.reason == "Unauthorized":
            return f"error: You must be logged in to the server ({error.message})"
        return f"Error from server{f' ({error.reason})' if error.reason else ''}: {error.message}"
    if isinstance(error, Failure | ConnectionFailed):
        return str(error)
    if str(error).startswith("context was not found"):
        return f"Error in configuration: {error}"
    return f"error: {error}"


def as_failure(error: Exception) -> Failure:
    """The end of a command on that error alone."""
    if isinstance(error, Failure):
        return error
    if isinstance(error, ApiError) and error.reason == "Invalid":
        return Failure(_invalid(error))
    return Failure(text_of(error))


@contextmanager
def doing(what: str, source: str) -> Iterator[None]:
    """Has what the server refuses inside begin with `error when creating "x.yaml"`. Source: AddSourceToErr."""
    try:
        yield
    except ApiError as error:
        error.message = f'error when {what} "{source}": {error.message}'
        raise


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


def misused(command: str, told: str) -> Failure:
    """The end of a command line that asks for what can't be. Source: `pkg/cmd/util/helpers.go`, UsageErrorf."""
    return Failure(f"error: {told}\nSee '{command} -h' for help and examples")


class Collected:
    """Errors of several independent steps: all are tried, and all failures told at the end.

    Beside others a failure loses the `error: ` that it begins with alone, unless the messages are `prefixed` for good.
    """

    def __init__(self, *, prefixed: bool = False) -> None:
        self._prefix = "" if prefixed else "error: "
        self._errors: list[Exception] = []

    def __bool__(self) -> bool:
        return bool(self._errors)

    def attempt(self, step: Callable[..., T], *args: Any) -> T | None:
        """The step's result; None when it failed."""
        try:
            return step(*args)
        except (Failure, *HANDLED) as error:
            self.add(error)
            return None

    def add(self, error: Exception) -> None:
        self._errors.append(error)

    def finish(self) -> None:
        """Raises: Failure when there was any."""
        if len(self._errors) == 1:
            raise as_failure(self._errors[0])
        if self._errors:
            lines = [text_of(error).removeprefix(self._prefix).rstrip("\n") for error in self._errors]
            raise Failure("\n".join(lines))
