"""Deployments, Jobs and CronJobs out of images."""

from __future__ import annotations

import random

from pylet.api.names import SUFFIX_ALPHABET
from pylet.api.object import Object
from pylet.cli.failure import Failure
from pylet.cli.kubectl.command import many, number, text
from pylet.cli.kubectl.creating.maker import Maker, Request, obj, required, words


def _deployment(request: Request) -> Object:
    images = words(request.options["image"])
    required(request, "image")
    if len(images) > 1 and request.command:
        raise Failure("error: cannot specify multiple --image options and command")
    containers = [_container(image, _container_name(image), request) for image in images]
    if request.options["port"] >= 0:
        containers[0]["ports"] = [{"containerPort": request.options["port"]}]
    labels = {"app": request.name}
    spec = {
        "replicas": request.options["replicas"],
        "selector": {"matchLabels": labels},
        "strategy": {},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}},
    }
    return obj("apps/v1", "Deployment", request.name, labels=labels, spec=spec, status={})


def _container(image: str, name: str, request: Request) -> Object:
    container: Object = {"image": image, "name": name, "resources": {}}
    if request.command:
        container["command"] = list(request.command)
    return container


def _container_name(image: str) -> str:
    """The name of the image, with a suffix where it had to be altered, as two images may then have the same."""
    name = image.rsplit("/", 1)[-1].split(":")[0].split("@")[0]
    altered = name.replace("_", "-").replace(".", "-")
    return name if altered == name else f"{altered}-{''.join(random.choices(SUFFIX_ALPHABET, k=5))}"


def _pods(request: Request, restart: str) -> Object:
    container = _container(request.options["image"], request.name, request)
    return {"template": {"metadata": {}, "spec": {"containers": [container], "restartPolicy": restart}}}


def _job(request: Request) -> Object:
    if bool(request.options["image"]) == bool(request.options["from"]):
        raise Failure("error: either --image or --from must be specified")
    return obj("batch/v1", "Job", request.name, spec=_pods(request, "Never"), status={})


def _cron_job(request: Request) -> Object:
    required(request, "image", "schedule")
    template = {"metadata": {"name": request.name}, "spec": _pods(request, request.options["restart"] or "OnFailure")}
    spec = {"jobTemplate": template, "schedule": request.options["schedule"]}
    return obj("batch/v1", "CronJob", request.name, spec=spec, status={})


_IMAGE = text("image", help="Image to run.")

MAKERS = (
    Maker(
        ("deployment", "deploy"),
        _deployment,
        (
            many("image", help="Image to run."),
            number("replicas", "r", default=1, help="How many pods."),
            number("port", default=-1, help="Port of the container."),
        ),
        failing="failed to create deployment:",
    ),
    Maker(("job",), _job, (_IMAGE, text("from", help="cronjob/NAME to run now.")), failing="failed to create job:"),
    Maker(
        ("cronjob", "cj"),
        _cron_job,
        (_IMAGE, text("schedule", help="When, in cron's words."), text("restart", help="OnFailure or Never.")),
        failing="failed to create cronjob:",
    ),
)
