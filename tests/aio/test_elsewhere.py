from __future__ import annotations

import json
import os
from functools import partial

import pytest

from pylet.aio.elsewhere import elsewhere


def test_another_process_computes_and_what_it_returns_comes_back() -> None:
    assert elsewhere(os.getpid) != os.getpid()
    assert elsewhere(partial(json.loads, '{"a": [1]}')) == {"a": [1]}


def test_what_it_raises_is_raised_here() -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        elsewhere(partial(os.listdir, "/nowhere"))
