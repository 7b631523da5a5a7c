"""What authorization is asked: one user, one verb, one resource or one path."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import orjson

from pylet.api.errors import Forbidden, aggregated
from pylet.api.object import Object
from pylet.server.registry import User

HTML = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


class Attributes(NamedTuple):
    """Either a resource request or, when `path` is set, one for a URL that is no resource.

    `fields` and `labels` are the selectors of a list or watch, as text.
    """

    user: User
    verb: str
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""
    fields: str = ""
    labels: str = ""

    @property
    def full_resource(self) -> str:
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource

    def question(self) -> str:
        """What is asked, as messages word it. Source: apiserver responsewriters.forbiddenMessage."""
        text = f"User {_quoted(self.user.name)} cannot {self.verb} "
        if self.path:
            return text + f"path {_quoted(self.path)}"
        text += f"resource {_quoted(self.full_resource)} in API group {_quoted(self.group)} "
        return text + (f"in the namespace {_quoted(self.namespace)}" if self.namespace else "at the cluster scope")

    def forbidden(self, reason: str = "") -> Forbidden:
        """The 403 a client gets for this question. Source: ForbiddenStatusError, apierrors.NewForbidden."""
        why = self.question().translate(HTML) + (f": {reason}" if reason else "")
        error = Forbidden(self.group, self.resource, self.name, why)
        if not self.resource:
            error.message = f"forbidden: {why}"
        elif not self.name:
            error.message = f"{f'{self.resource}.{self.group}' if self.group else self.resource} is forbidden: {why}"
        if error.details is None or not self.path:
            return error
        error.details = _without_empty(error.details)
        return error


class Decision(NamedTuple):
    """`reason` explains an allowance, or adds to a refusal what is worth knowing.

    Who neither allows nor denies leaves it to the next one. `error` is what kept somebody from deciding.
    """

    allowed: bool
    reason: str = ""
    denied: bool = False
    error: str = ""


def undecided(passed: Sequence[Decision]) -> Decision:
    """What is told where nobody allowed or denied. Source: apiserver pkg/authorization/union/union.go."""
    reasons = [each.reason for each in passed if each.reason]
    errors = [each.error for each in passed if each.error]
    return Decision(False, "\n".join(reasons), error=aggregated(errors) if errors else "")


def covers_path(pattern: str, path: str) -> bool:
    """Whether a rule's pattern of non-resource paths, maybe with a `*` at its end, is about that path."""
    return pattern in ("*", path) or (pattern.endswith("*") and path.startswith(pattern.rstrip("*")))


def _quoted(text: str) -> str:
    return orjson.dumps(text).decode()


def _without_empty(details: Object) -> Object:
    return {name: value for name, value in details.items() if value}
