"""Container images made of plain files, as an OCI layout tar: what containerd's image import takes.

Pure and reproducible: the same files give the same bytes, so the same digest. A node without any registry gets its
sandbox image and the demonstration image from here, out of the machine's own statically linked busybox.
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

PAUSE_REFERENCE = "pylet.local/pause:1"
BUSYBOX_REFERENCE = "pylet.local/busybox:1"

# The first process of a sandbox: waits, leaves at once on SIGTERM, and reaps orphans where pods share a PID namespace.
_PAUSE_SCRIPT = "trap 'exit 0' TERM INT; while :; do sleep 2147483647 & wait; done"
_NAME_ANNOTATIONS = ("io.containerd.image.name", "org.opencontainers.image.ref.name")


@dataclass(frozen=True, slots=True)
class File:
    data: bytes = b""
    mode: int = 0o644


@dataclass(frozen=True, slots=True)
class Symlink:
    target: str


@dataclass(frozen=True, slots=True)
class Directory:
    mode: int = 0o755


Entry = File | Symlink | Directory


@dataclass(frozen=True, slots=True)
class Image:
    """`config` holds the members of the OCI image config: Entrypoint, Cmd, Env, User, WorkingDir, StopSignal, …"""

    reference: str
    files: Mapping[str, Entry]
    config: Mapping[str, Any] = field(default_factory=dict)
    architecture: str = "amd64"


def busybox_files(binary: bytes, applets: Iterable[str]) -> dict[str, Entry]:
    """A root file system in which every applet of a static busybox is a command; `applets` is `busybox --list`."""
    return {
        "bin/busybox": File(binary, 0o755),
        **{f"bin/{applet}": Symlink("busybox") for applet in sorted(applets) if applet != "busybox"},
        "etc/passwd": File(b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"),
        "etc/group": File(b"root:x:0:\nnogroup:x:65534:\n"),
        "root": Directory(0o700),
        "tmp": Directory(0o1777),
    }


def busybox_image(
    binary: bytes, applets: Iterable[str], *, reference: str = BUSYBOX_REFERENCE, architecture: str = "amd64"
) -> Image:
    config = {"Cmd": ["sh"], "Env": ["PATH=/bin"]}
    return Image(reference, busybox_files(binary, applets), config, architecture)


def pause_image(binary: bytes, *, reference: str = PAUSE_REFERENCE, architecture: str = "amd64") -> Image:
    config = {"Entrypoint": ["/bin/sh", "-c", _PAUSE_SCRIPT], "Env": ["PATH=/bin"]}
    return Image(reference, busybox_files(binary, ("sh", "sleep")), config, architecture)


def archive(*images: Image) -> bytes:
    """The OCI layout of all `images`; layers and configs they share are stored once."""
    blobs: dict[str, bytes] = {}
    manifests = [_add(image, blobs) for image in images]
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": manifests}
    return _tar(
        {
            "oci-layout": File(b'{"imageLayoutVersion":"1.0.0"}'),
            "index.json": File(_json(index)),
            **{f"blobs/sha256/{digest}": File(data) for digest, data in blobs.items()},
        }
    )


def _add(image: Image, blobs: dict[str, bytes]) -> dict[str, Any]:
    layer = _tar(image.files)
    layer_descriptor = _store(blobs, "application/vnd.oci.image.layer.v1.tar", layer)
    config = {
        "architecture": image.architecture,
        "os": "linux",
        "config": dict(image.config),
        "rootfs": {"type": "layers", "diff_ids": [layer_descriptor["digest"]]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": _store(blobs, "application/vnd.oci.image.config.v1+json", _json(config)),
        "layers": [layer_descriptor],
    }
    return {
        **_store(blobs, "application/vnd.oci.image.manifest.v1+json", _json(manifest)),
        "platform": {"architecture": image.architecture, "os": "linux"},
        "annotations": dict.fromkeys(_NAME_ANNOTATIONS, image.reference),
    }


def _store(blobs: dict[str, bytes], media_type: str, data: bytes) -> dict[str, Any]:
    digest = hashlib.sha256(data).hexdigest()
    blobs[digest] = data
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _tar(entries: Mapping[str, Entry]) -> bytes:
    """Parents come before their children; a directory nobody declared gets mode 755."""
    parents = {
        "/".join(path.split("/")[:depth]): Directory() for path in entries for depth in range(1, path.count("/") + 1)
    }
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path, entry in sorted({**parents, **entries}.items()):
            info = tarfile.TarInfo(path)
            match entry:
                case File(data, mode):
                    info.mode, info.size = mode, len(data)
                    tar.addfile(info, io.BytesIO(data))
                case Symlink(target):
                    info.type, info.linkname, info.mode = tarfile.SYMTYPE, target, 0o777
                    tar.addfile(info)
                case Directory(mode):
                    info.type, info.mode = tarfile.DIRTYPE, mode
                    tar.addfile(info)
    return buffer.getvalue()
