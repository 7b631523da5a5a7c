"""Whether a CustomResourceDefinition makes sense."""

from __future__ import annotations

from collections.abc import Sequence

from pylet.api.errors import Cause
from pylet.api.object import Object


def validate(crd: Object) -> Sequence[Cause]:
    return ()


def validate_update(crd: Object, old: Object) -> Sequence[Cause]:
    return ()


def validate_status(crd: Object, old: Object) -> Sequence[Cause]:
    return ()


def warnings(crd: Object) -> Sequence[str]:
    return ()
