"""A folder has one holder at a time."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pylet.aio.folderlock import Held, hold


def test_one_holds_it_at_a_time(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    with hold(tmp_path):
        with pytest.raises(Held, match="in use"), hold(tmp_path):
            pass
        with hold(other):
            pass
    with hold(tmp_path):
        pass


def test_who_was_killed_holds_it_no_more(tmp_path: Path) -> None:
    code = "import sys, pathlib; from pylet.aio.folderlock import hold\n"
    code += "with hold(pathlib.Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(Held), hold(tmp_path):
            pass
        other.send_signal(signal.SIGKILL)
    with hold(tmp_path):
        pass
