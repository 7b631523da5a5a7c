"""`kubectl create KIND`: the golden file has what kubectl 1.36.2 answered, recorded with the same files around."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from tests.cli.kubectl.conftest import Kubectl

GOLDEN = (Path(__file__).parent / "golden" / "creating.txt").read_text()


def _files(folder: Path) -> None:
    (folder / "app.conf").write_text("listen 80\n")
    (folder / "blob").write_bytes(b"\xff\xfe")
    (folder / "docker.json").write_text('{"auths":{}}')
    (folder / "vars.env").write_text('\ufeff# a comment\n\nA=1\n  B= two \nHOME_OF_TESTS\nQ="quoted"\n')
    (folder / "folder" / "below").mkdir(parents=True)
    for name, text in (("one", "x\n"), ("two", "y\n")):
        (folder / "folder" / name).write_text(text)


async def test_objects_and_refusals_are_kubectls(
    kubectl: Kubectl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    _files(folder)
    monkeypatch.setenv("HOME_OF_TESTS", "here")
    for block in GOLDEN.removeprefix("$ ").split("\n$ "):
        line, _, answer = block.partition("\n")
        line, dash, command = line.partition(" -- ")
        words = shlex.split(line.replace("DIR", str(folder)))
        ended = await kubectl(*words, "--dry-run=client", "-o=yaml", *(["--", *command.split()] if dash else []))
        assert ended.out + ended.err == answer.replace("DIR", str(folder)).rstrip("\n") + "\n", line
        assert ended.status == (1 if "apiVersion" not in answer else 0), line


async def test_two_images_of_one_name_can_be_told_apart(kubectl: Kubectl) -> None:
    made = await kubectl(
        *("create", "deployment", "d", "--image=a/web_server:1", "--image=b/web_server", "--dry-run=client"),
        "-o=jsonpath={.spec.template.spec.containers[*].name}",
    )
    first, second = made.out.split()
    assert first.startswith("web-server-")
    assert second.startswith("web-server-")
    assert len(first) == len(second) == len("web-server-") + 5
