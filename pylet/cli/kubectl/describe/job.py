"""The description of a Job."""

from pylet.api import timestamps
from pylet.api.columns import human_duration
from pylet.api.object import Object
from pylet.cli.kubectl.describe import podspec
from pylet.cli.kubectl.describe.page import Page, selector_text, when

_LONGEST_INDEXES = 50


def describe(page: Page, job: Object) -> None:
    spec, status = job["spec"], job.get("status") or {}
    page.head(job)
    page.write(f"Selector:\t{selector_text(spec.get('selector'))}")
    page.labelled(job)
    page.controlled_by(job)
    if "parallelism" in spec:
        page.write(f"Parallelism:\t{spec['parallelism']}")
    page.write(f"Completions:\t{spec.get('completions', '<unset>')}")
    page.fields(spec, ("Completion Mode", "completionMode"))
    if "suspend" in spec:
        page.write(f"Suspend:\t{str(spec['suspend']).lower()}")
    for title, field in (("Backoff Limit", "backoffLimit"), ("TTL Seconds After Finished", "ttlSecondsAfterFinished")):
        if field in spec:
            page.write(f"{title}:\t{spec[field]}")
    _times(page, status)
    if "activeDeadlineSeconds" in spec:
        page.write(f"Active Deadline Seconds:\t{spec['activeDeadlineSeconds']}s")
    ready = f" ({status['ready']} Ready)" if "ready" in status else ""
    ended = f"{status.get('succeeded', 0)} Succeeded / {status.get('failed', 0)} Failed"
    page.write(f"Pods Statuses:\t{status.get('active', 0)} Active{ready} / {ended}")
    if spec.get("completionMode") == "Indexed":
        indexes = status.get("completedIndexes") or "<none>"
        shown = indexes if len(indexes) <= _LONGEST_INDEXES else indexes[:_LONGEST_INDEXES].rpartition(",")[0] + ",..."
        page.write(f"Completed Indexes:\t{shown}")
    podspec.template(page, spec["template"])
    page.events(job)


def _times(page: Page, status: Object) -> None:
    started, completed = status.get("startTime"), status.get("completionTime")
    for title, time in (("Start Time", started), ("Completed At", completed)):
        if time:
            page.write(f"{title}:\t{when(time)}")
    if started and completed:
        page.write(
            f"Duration:\t{human_duration((timestamps.parse(completed) - timestamps.parse(started)).total_seconds())}"
        )
