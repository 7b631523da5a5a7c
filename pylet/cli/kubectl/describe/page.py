"""A description being written: lines with tabs, and the blocks that most kinds have."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from pylet.api import timestamps
from pylet.api.columns import since
from pylet.api.object import Object, controller_of
from pylet.cli.kubectl.documents import LAST_APPLIED
from pylet.cli.kubectl.http import Api
from pylet.cli.kubectl.pods import selector_of
from pylet.cli.kubectl.tabs import align
from pylet.cli.kubectl.targets import pages

_LONGEST = 140


class Page:
    """`with_events` False leaves events out, wherever they are asked for; `page_size` is of the lists that are read."""

    def __init__(self, api: Api, now: datetime, *, with_events: bool = False, page_size: int = 500) -> None:
        self.api = api
        self.now = now
        self._with_events = with_events
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
        """Raises: ApiError, ConnectionFailed."""
        return pages(self.api, path, {**query, "limit": self._page_size})[1]

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

    def table(self, headers: Sequence[str], rows: Iterable[Sequence[str]], level: int = 1) -> None:
        """Rows of cells below their headers, which are underlined."""
        for cells in (headers, ["-" * len(header) for header in headers], *rows):
            self.write("\t".join(cells), level)

    def lines(self, title: str, values: Sequence[str]) -> None:
        for number, value in enumerate(values or ["<none>"]):
            self.write(f"{title}:\t{value}" if number == 0 else f"\t{value}")

    def annotations(self, title: str, annotations: Mapping[str, str] | None) -> None:
        shown: list[str] = []
        for key, value in sorted((annotations or {}).items()):
            if key == LAST_APPLIED:
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
        if rows := [(f"{c['type']} ", c["status"], c.get("reason", "")) for c in conditions]:
            self.write("Conditions:")
            self.table(("Type", "Status", "Reason"), rows)

    def events(self, obj: Object, *, uid: str | None = None) -> None:
        """The events of an object, or of all that had its name under another `uid`, "" for any."""
        if not self._with_events:
            return
        meta = obj["metadata"]
        fields = {
            "involvedObject.name": meta["name"],
            "involvedObject.namespace": meta.get("namespace", ""),
            "involvedObject.kind": obj.get("kind", ""),
            "involvedObject.uid": meta.get("uid", "") if uid is None else uid,
        }
        namespace = f"/namespaces/{meta['namespace']}" if meta.get("namespace") else ""
        selector = ",".join(f"{key}={value}" for key, value in fields.items() if value)
        events = self.listed(f"/api/v1{namespace}/events", fieldSelector=selector)
        if not events:
            self.write("Events:\t<none>")
            return
        self._blocks.append("")
        self.write("Events:")
        events.sort(key=lambda e: str(e.get("lastTimestamp") or e.get("eventTime") or ""))
        underlined = ("----", "------", "----", "----", "-------")  # as kubectl writes it: Age is longer by one
        for cells in (("Type", "Reason", "Age", "From", "Message"), underlined, *map(self._event, events)):
            self.write("\t".join(cells), level=1)

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


def pairs(found: Mapping[str, str] | None) -> str:
    """Labels or their like in one line."""
    return ",".join(f"{key}={value}" for key, value in sorted((found or {}).items())) or "<none>"


def _shortened(text: str, length: int) -> str:
    return text[:length] + "..." if len(text) > length else text


def selector_text(selector: Any) -> str:
    """A LabelSelector as people read it."""
    return selector_of({"spec": {"selector": selector}}) if selector else "<none>"
