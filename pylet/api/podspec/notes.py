"""Annotations that mean something to pods, or once did; source: core validation, ValidatePodSpecificAnnotations."""

from __future__ import annotations

import re

from pylet.api import causes
from pylet.api.causes import quoted
from pylet.api.containers import every
from pylet.api.errors import Cause
from pylet.api.object import Object, annotations_of
from pylet.api.podspec.paths import validate_descending

MIRROR = "kubernetes.io/config.mirror"
APP_ARMOR = "container.apparmor.security.beta.kubernetes.io/"
SECCOMP = "seccomp.security.alpha.kubernetes.io/pod"
CONTAINER_SECCOMP = "container.seccomp.security.alpha.kubernetes.io/"
_COST = "controller.kubernetes.io/pod-deletion-cost"
_DIGITS = re.compile("0|-?[1-9][0-9]{0,9}")
_LOCAL = "localhost/"
_NAMED = ("runtime/default", "unconfined")


def validate(notes: Object, spec: Object, field: str) -> list[Cause]:
    """Those of a pod or a template, which lie in `field`."""
    found: list[Cause] = []
    if MIRROR in notes and not spec.get("nodeName"):
        says = "must set spec.nodeName if mirror pod annotation is set"
        found.append(causes.invalid(f"{field}[{MIRROR}]", notes[MIRROR], says))
    if not _is_cost(notes):
        found.append(causes.invalid(f"{field}[{_COST}]", notes[_COST], "must be a 32bit integer"))
    for key, profile in notes.items():
        if key == SECCOMP or key.startswith(CONTAINER_SECCOMP):
            found += _seccomp(profile, f"{field}.{key}")
        elif key.startswith(APP_ARMOR):
            found += _app_armor(key, profile, spec, field)
    return found


def validate_changes(pod: Object, old: Object) -> list[Cause]:
    now, was = annotations_of(pod), annotations_of(old)
    if now == was:
        return []
    found: list[Cause] = []
    for key in {**was, **now}:
        what = "AppArmor annotations" if key.startswith(APP_ARMOR) else "mirror pod annotation" if key == MIRROR else ""
        if what and now.get(key) != was.get(key):
            says = f"may not {'remove or update' if key in was else 'add'} {what}"
            found.append(causes.forbidden(f"metadata.annotations[{key}]", says))
    if not _is_cost(was):
        now = {key: value for key, value in now.items() if key != _COST}
    return [*found, *validate(now, pod["spec"], "metadata.annotations")]


def _is_cost(notes: Object) -> bool:
    cost = notes.get(_COST, "0")
    return _DIGITS.fullmatch(cost) is not None and -(2**31) <= int(cost) < 2**31


def _seccomp(profile: str, field: str) -> list[Cause]:
    if profile in (*_NAMED, "docker/default"):
        return []
    if profile.startswith(_LOCAL):
        return validate_descending(profile.removeprefix(_LOCAL), field)
    return [causes.invalid(field, profile, "must be a valid seccomp profile")]


def _app_armor(key: str, profile: str, spec: Object, field: str) -> list[Cause]:
    found: list[Cause] = []
    name = key.removeprefix(APP_ARMOR)
    if all(container.get("name") != name for container in every(spec)):
        found.append(causes.invalid(f"{field}[{key}]", name, "container not found"))
    if profile not in ("", *_NAMED) and not profile.startswith(_LOCAL):
        says = f"invalid AppArmor profile name: {quoted(profile)}"
        found.append(causes.invalid(f"{field}[{key}]", profile, says))
    return found
