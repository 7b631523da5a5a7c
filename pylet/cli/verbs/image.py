"""`pylet image`: images without a registry, built from the machine's own busybox or imported from a file."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import click

from pylet.agent import image_archive
from pylet.cli.failure import Failure

_BUSYBOX = Path("/bin/busybox")
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"}
_SOCKETS = ("/run/pylet/containerd.sock", "/run/containerd/containerd.sock")


@click.group("image", help="Build, import and list images without a registry.")
def VERB() -> None:  # noqa: N802 (what a verb's file declares)
    pass


@VERB.command("build-pause", help=f"Write an archive of {image_archive.PAUSE_REFERENCE} to standard output.")
def _pause() -> None:
    _write(image_archive.pause_image(_busybox(), architecture=_architecture()))


@VERB.command("build-demo", help=f"Write an archive of {image_archive.BUSYBOX_REFERENCE} to standard output.")
def _demo() -> None:
    binary = _busybox()
    applets = subprocess.run([_BUSYBOX, "--list"], capture_output=True, check=True, text=True).stdout.split()
    _write(image_archive.busybox_image(binary, applets, architecture=_architecture()))


@VERB.command("import", help="Load an image archive (OCI or docker save) into this node's containerd.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def _import(file: Path) -> None:
    _ctr("images", "import", str(file))


@VERB.command("list", help="List the images this node has.")
def _list() -> None:
    _ctr("images", "list", "-q")


def _busybox() -> bytes:
    if not _BUSYBOX.exists():
        raise Failure(f"{_BUSYBOX} is missing: install the package busybox-static", 2)
    return _BUSYBOX.read_bytes()


def _architecture() -> str:
    return _ARCHITECTURES.get(platform.machine(), platform.machine())


def _write(image: image_archive.Image) -> None:
    if sys.stdout.isatty():
        raise Failure("the archive goes to standard output: redirect it into a file or to `ctr images import -`", 2)
    sys.stdout.buffer.write(image_archive.archive(image))


def _ctr(*arguments: str) -> None:
    socket = next((path for path in _SOCKETS if Path(path).exists()), None)
    if socket is None:
        raise Failure("containerd does not run here: none of its sockets is there: " + ", ".join(_SOCKETS), 1)
    done = subprocess.run(["ctr", "--address", socket, "--namespace", "k8s.io", *arguments], check=False)
    if done.returncode:
        raise Failure("", done.returncode)
