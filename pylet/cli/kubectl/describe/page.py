"""A description being written: lines with tabs, and the blocks that most kinds have."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from pylet.api import timestamps
from pylet.api.columns import since
from pylet.api.object import Object, controller_of
from pylet.cli.kubectl.http import Api
from pylet.cli.kubectl.tabs import align

_LONGEST = 140
_HIDDEN = {"kubectl.kubernetes.io/last-applied-configuration"}


class Page:
    def __init__(self, api: Api, now: datetime, *, page_size: int = 500) -> None:
        self.api = api
        self.now = now
        self._page_size = page_size
        self._blocks = [""]

    def write(self, text: str, level: int = 0) -> None:
        """One line, or several, the first of them indented."""
        self._blocks[-1] += "  " * level + text + "\n"

    def raw(self) -> str:
        """Tabs left as they are."""
        return "".join(self._blocks)

    def text(self) -> str:
        return "".join(align(block) for block in self._blocks)

    def listed(self, path: str, **query: str) -> list[Object]:
        found: list[Object] = []
        more: str | None = ""
        while more is not None:
            answer = self.api.request("GET", path, query={**query, "limit": self._page_size, "continue": more})
            found += answer.get("items") or ()
            more = (answer.get("metadata") or {}).get("continue") or None
        return found

    def head(self, obj: Object, *, namespace: bool = True) -> None:
        self.write(f"Name:\t{obj['metadata']['name']}")
        if namespace:
            self.write(f"Namespace:\t{obj['metadata'].get('namespace', '')}")

    def fields(self, source: Object, *named: tuple[str, str], level: int = 0) -> None:
        """The fields that are set, of these: (title, name). A list is one line."""
        for title, name in named:
            if value := source.get(name):
                self.write(f"{title}:\t{','.join(value) if isinstance(value, list) else value}", level)

    def labelled(self, obj: Object) -> None:
        self.labels("Labels", obj["metadata"].get("labels"))
        self.annotations("Annotations", obj["metadata"].get("annotations"))

    def labels(self, title: str, labels: Mapping[str, str] | None, *, skip: Collection[str] = ()) -> None:
        self.lines(title, [f"{key}={value}" for key, value in sorted((labels or {}).items()) if key not in skip])

    def lines(self, title: str, values: Sequence[str]) -> None:
        for number, value in enumerate(values or ["<none>"]):
            self.write(f"{title}:\t{value}" if number == 0 else f"\t{value}")

    def annotations(self, title: str, annotations: Mapping[str, str] | None) -> None:
        shown: list[str] = []
        for key, value in sorted((annotations or {}).items()):
            if key in _HIDDEN:
                continue
            text = value.removesuffix("\n")
            if len(text) + len(key) + 2 > _LONGEST or "\n" in text:
                shown.append(f"{key}:")
                shown += [f"  {_shortened(line, _LONGEST - 2)}" for line in text.split("\n")]
            else:
                shown.append(f"{key}: {text}")
        self.lines(title, shown)

    def controlled_by(self, obj: Object) -> None:
        if owner := controller_of(obj):
            self.write(f"Controlled By:\t{owner['kind']}/{owner['name']}")

    def phase(self, obj: Object) -> None:
        if ended := obj["metadata"].get("deletionTimestamp"):
            self.write(f"Status:\tTerminating (lasts {self.age(ended)})")
        else:
            self.write(f"Status:\t{(obj.get('status') or {}).get('phase', '')}")

    def conditions(self, conditions: Iterable[Object]) -> None:
        rows = [f"{c['type']} \t{c['status']}\t{c.get('reason', '')}" for c in conditions]
        if rows:
            self.write("Conditions:\n  Type\tStatus\tReason")
            for row in ["----\t------\t------", *rows]:
                self.write(row, 1)

    def events(self, obj: Object, *, uid: str | None = None) -> None:
        meta = obj["metadata"]
        fields = {
            "involvedObject.name": meta["name"],
            "involvedObject.namespace": meta.get("namespace", ""),
            "involvedObject.kind": obj.get("kind", ""),
            "involvedObject.uid": meta.get("uid", "") if uid is None else uid,
        }
        namespace = f"/namespaces/{meta['namespace']}" if meta.get("namespace") else ""
        selector = ",".join(f"{key}={value}" for key, value in fields.items() if value)
        self.event_table(self.listed(f"/api/v1{namespace}/events", fieldSelector=selector))

    def event_table(self, events: Sequence[Object]) -> None:
        if not events:
            self.write("Events:\t<none>")
            return
        self._blocks.append("")
        self.write("Events:\n  Type\tReason\tAge\tFrom\tMessage")
        self.write("----\t------\t----\t----\t-------", 1)
        for event in sorted(events, key=lambda e: str(e.get("lastTimestamp") or e.get("eventTime") or "")):
            self.write("\t".join(self._event(event)), 1)

    def _event(self, event: Object) -> list[str]:
        source = (event.get("source") or {}).get("component") or event.get("reportingComponent", "")
        message = event.get("message", "").strip()
        if path := event.get("involvedObject", {}).get("fieldPath"):
            message = f"{path}: {message}"
        return [event.get("type", ""), event.get("reason", ""), seen(event, self.now), source, message]

    def age(self, time: str | None) -> str:
        return since(time, self.now)


def seen(event: Object, now: datetime) -> str:
    """How long ago an event was, and how often since when."""
    first = since(event.get("eventTime") or event.get("firstTimestamp"), now)
    series, count = event.get("series") or {}, event.get("count") or 0
    if series:
        return f"{since(series.get('lastObservedTime'), now)} (x{series.get('count', 0)} over {first})"
    return f"{since(event.get('lastTimestamp'), now)} (x{count} over {first})" if count > 1 else first


def when(time: str | None) -> str:
    """A time as RFC 1123 with the zone's offset, as Go prints it."""
    if not time:
        return "Mon, 01 Jan 0001 00:00:00 +0000"
    return timestamps.parse(time).astimezone().strftime("%a, %d %b %Y %H:%M:%S %z")


def _shortened(text: str, length: int) -> str:
    return text[:length] + "..." if len(text) > length else text


def selector_text(selector: Any) -> str:
    """A LabelSelector as people read it."""
    from pylet.cli.kubectl.pods import selector_of

    if not selector:
        return "<none>"
    return selector_of({"spec": {"selector": selector}})
