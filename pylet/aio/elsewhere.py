"""What is needed once and loads much, computed by an interpreter that ends with it: nothing of it stays resident."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import IO, TypeVar

T = TypeVar("T")

_ANSWER = (
    "import pickle, sys; "
    "sys.path = pickle.load(sys.stdin.buffer); "
    "from pylet.aio.elsewhere import answer; "
    "answer(sys.stdin.buffer, sys.stdout.buffer)"
)


def elsewhere(compute: Callable[[], T], *, unless_loaded: str = "") -> T:
    """What `compute` returns or raises; it blocks for 0.2 s and more. `compute`, and that, can be pickled.

    Where the module `unless_loaded` is resident anyway, it is computed here.
    """
    if unless_loaded in sys.modules:
        return compute()
    asked = pickle.dumps(sys.path) + pickle.dumps(compute)
    done = subprocess.run([sys.executable, "-P", "-c", _ANSWER], input=asked, stdout=subprocess.PIPE, check=True)
    is_raised, outcome = pickle.loads(done.stdout)
    if is_raised:
        raise outcome
    returned: T = outcome
    return returned


def answer(asked: IO[bytes], answered: IO[bytes]) -> None:
    """The other interpreter's part."""
    try:
        outcome = False, pickle.load(asked)()
    except Exception as failed:
        outcome = True, failed
    pickle.dump(outcome, answered)
