"""Arguments of the form `RESOURCE… KEY=VALUE…`. Source: kubectl `pkg/cmd/util/helpers.go`, GetResourcesAndPairs."""

from __future__ import annotations

from collections.abc import Sequence

from pylet.cli.failure import Failure


def split(args: Sequence[str], what: str, *, removing: bool = False) -> tuple[list[str], dict[str, str], list[str]]:
    """Resources, pairs and, where `KEY-` removes, the keys removed. Raises: Failure."""
    words: list[str] = []
    put: dict[str, str] = {}
    gone: list[str] = []
    for arg in args:
        key, equals, value = arg.partition("=")
        if equals and key:
            put[key] = value
        elif removing and arg.endswith("-") and len(arg) > 1:
            gone.append(arg[:-1])
        elif put or gone:
            raise Failure(f"error: all resources must be specified before {what} changes: {arg}")
        else:
            words.append(arg)
    return words, put, gone
