"""One audited request as it goes along, and the events (audit.k8s.io/v1) made of it stage by stage.

Unlike upstream, what Secrets and tokens say is never written down, at whatever level: `redacted`.
Source: apiserver pkg/audit/{context,request}.go.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from pylet.api import schema
from pylet.api.kind import Kind
from pylet.api.object import Object, dig
from pylet.api.timestamps import format_micro
from pylet.server.audit.policy import NAMES, Detail, Level
from pylet.server.auth.attributes import Attributes
from pylet.server.auth.authenticate import user_info
from pylet.server.registry import User

REDACTED = "REDACTED"
_PATCHES = "patch.webhook.admission.k8s.io/"
_AGENT_LENGTH = 1024
_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_BOUNDED = ("status", "message", "reason", "details", "code")
_TELLING = ("Secret", "TokenReview", "TokenRequest")


@dataclass(slots=True)
class Record:
    """`asked` names the user who authenticated; `acting` is whom he impersonates, `constraint` by which right."""

    id: str
    uri: str
    asked: Attributes
    detail: Detail
    received: datetime
    source_ips: list[str]
    agent: str
    annotations: dict[str, str]
    acting: User | None = None
    constraint: str = ""
    on_start: Callable[[int], None] | None = None
    """For requests that may go on for long: called when the answer begins."""
    request: Object | None = None

    def keep_request(self, kind: Kind, obj: Object) -> None:
        if self.detail.level >= Level.REQUEST:
            self.request = orjson.loads(orjson.dumps(obj))
            schema.default_kind(kind, self.request)

    def event(
        self, stage: str, now: datetime, status: int = 0, request: Any = None, response: Any = None
    ) -> Object | None:
        """What to write at a stage; None where the policy omits it. `request`, `response` are decoded bodies."""
        detail = self.detail
        if stage in detail.omit_stages:
            return None
        event: Object = {
            "kind": "Event",
            "apiVersion": "audit.k8s.io/v1",
            "level": NAMES[detail.level],
            "auditID": self.id,
            "stage": stage,
            "requestURI": self.uri,
            "verb": self.asked.verb,
            "user": user_info(self.asked.user) if self.asked.user.name else {},
        }
        if self.acting is not None:
            event["impersonatedUser"] = user_info(self.acting)
            if self.constraint:
                event["authenticationMetadata"] = {"impersonationConstraint": self.constraint}
        if self.source_ips:
            event["sourceIPs"] = self.source_ips
        if self.agent:
            longer = len(self.agent) > _AGENT_LENGTH
            event["userAgent"] = self.agent[:_AGENT_LENGTH] + "...TRUNCATED" if longer else self.agent
        if not self.asked.path:
            event["objectRef"] = self._reference(request)
        if status:
            event["responseStatus"] = _status(status, response)
        is_secret = self.asked.resource == "secrets" and not self.asked.group
        if detail.level >= Level.REQUEST and request is not None:
            event["requestObject"] = redacted(_trimmed(request, detail), is_secret=is_secret)
        if detail.level >= Level.REQUEST_RESPONSE and response is not None:
            event["responseObject"] = redacted(_trimmed(response, detail), is_secret=is_secret)
        event["requestReceivedTimestamp"] = format_micro(self.received)
        event["stageTimestamp"] = format_micro(now)
        told = sorted(self.annotations.items())
        if detail.level < Level.REQUEST:
            told = [(key, value) for key, value in told if not key.startswith(_PATCHES)]
        if told:
            event["annotations"] = dict(told)
        return event

    def _reference(self, request: Any) -> Object:
        asked = self.asked
        meta = (request.get("metadata") if isinstance(request, dict) else None) or {}
        reference = {
            "resource": asked.resource,
            "namespace": asked.namespace or meta.get("namespace"),
            "name": asked.name or meta.get("name"),
            "uid": meta.get("uid"),
            "apiGroup": asked.group,
            "apiVersion": asked.version,
            "resourceVersion": meta.get("resourceVersion"),
            "subresource": asked.subresource,
        }
        return {name: value for name, value in reference.items() if value}


def redacted(body: Any, *, is_secret: bool) -> Any:
    """A body without what Secrets and tokens say; `is_secret` where it is about the resource secrets."""
    if isinstance(body, list):  # a JSON patch
        return [{**step, "value": REDACTED} if is_secret and "value" in step else step for step in body]
    if not isinstance(body, dict) or not (is_secret or body.get("kind") in _TELLING):
        return body
    found = dict(body)
    if "items" in found:
        found["items"] = [redacted(item, is_secret=True) for item in found["items"] or ()]
    if "rows" in found:
        found["rows"] = [
            {**row, "object": redacted(row["object"], is_secret=True)} if "object" in row else row
            for row in found["rows"] or ()
        ]
    for name in ("data", "stringData"):
        if isinstance(found.get(name), dict):
            found[name] = dict.fromkeys(found[name], REDACTED)
    for name in ("spec", "status"):
        if dig(found, name, "token"):
            found[name] = {**found[name], "token": REDACTED}
    annotations = dig(found, "metadata", "annotations", default={})
    if _APPLIED in annotations:
        found["metadata"] = {**found["metadata"], "annotations": {**annotations, _APPLIED: REDACTED}}
    return found


def _trimmed(body: Any, detail: Detail) -> Any:
    if not detail.omit_managed_fields or not isinstance(body, dict):
        return body
    found = dict(body)
    if isinstance(found.get("metadata"), dict):
        found["metadata"] = {name: value for name, value in found["metadata"].items() if name != "managedFields"}
    if isinstance(found.get("items"), list):
        found["items"] = [_trimmed(item, detail) for item in found["items"]]
    return found


def _status(code: int, response: Any) -> Object:
    if isinstance(response, dict) and response.get("kind") == "Status" and response.get("apiVersion") == "v1":
        return {"metadata": {}, **{name: response[name] for name in _BOUNDED if name in response}, "code": code}
    return {"metadata": {}, "code": code}
