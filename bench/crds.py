"""What CustomResourceDefinitions cost a server: MiB each, defined and used, and the time to define them.

    python bench/crds.py [COUNT]

Each has two versions with a schema of some 300 lines, descriptions included, as operators bring them. The server is
`pylet server --disable-agent` in a process of its own, on SQLite in a temporary directory.
"""

from __future__ import annotations

import asyncio
import base64
import re
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import yaml

PORT = 17600
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
TEXT = "Says at some length what this field is for, who sets it, and what happens when nobody does."


def field(depth: int) -> dict[str, Any]:
    """An object of six fields of the usual types, and one more like it inside, `depth` deep."""
    properties: dict[str, Any] = {
        "name": {"type": "string", "description": TEXT, "maxLength": 63, "pattern": "^[a-z0-9-]+$"},
        "replicas": {"type": "integer", "format": "int32", "description": TEXT, "minimum": 0, "default": 1},
        "enabled": {"type": "boolean", "description": TEXT},
        "mode": {"type": "string", "description": TEXT, "enum": ["Fast", "Safe"]},
        "labels": {"type": "object", "description": TEXT, "additionalProperties": {"type": "string"}},
        "ports": {
            "type": "array",
            "description": TEXT,
            "items": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}},
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
        },
    }
    if depth:
        properties["inner"] = field(depth - 1)
    return {"type": "object", "description": TEXT, "properties": properties}


def definition(number: int) -> dict[str, Any]:
    properties = {"spec": field(5), "status": field(2)}
    schema = {"openAPIV3Schema": {"type": "object", "description": TEXT, "properties": properties}}
    versions: list[dict[str, Any]] = [
        {"name": name, "served": True, "storage": name == "v1", "schema": schema, "subresources": {"status": {}}}
        for name in ("v1", "v1beta1")
    ]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"things{number}s.bench.example.com"},
        "spec": {
            "group": "bench.example.com",
            "scope": "Namespaced",
            "names": {"plural": f"things{number}s", "kind": f"Thing{number}"},
            "versions": versions,
        },
    }


def resident_mib(process: int) -> float:
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{process}/status").read_text())
    return int(found[1]) / 1024 if found else 0


def cpu_seconds(process: int) -> float:
    return sum(map(int, Path(f"/proc/{process}/stat").read_text().rsplit(") ", 1)[1].split()[11:13])) / 100


async def measure(directory: Path, process: int, count: int) -> None:
    kubeconfig = directory / "admin.yaml"
    while not kubeconfig.exists():  # noqa: ASYNC110 - another process makes it
        await asyncio.sleep(0.1)
    user = yaml.safe_load(kubeconfig.read_text())["users"][0]["user"]
    pem = directory / "admin.pem"
    pem.write_bytes(b"".join(base64.b64decode(user[f"client-{part}-data"]) + b"\n" for part in ("certificate", "key")))
    context = ssl.create_default_context(cafile=str(directory / "server/tls/ca.crt"))
    context.load_cert_chain(pem)
    async with aiohttp.ClientSession(f"https://127.0.0.1:{PORT}", connector=aiohttp.TCPConnector(ssl=context)) as http:

        async def create(path: str, obj: Any) -> None:
            async with http.post(path, data=orjson.dumps(obj), headers={"Content-Type": "application/json"}) as made:
                assert made.status == 201, await made.read()

        await asyncio.sleep(2)
        size = len(orjson.dumps(definition(1)))
        before, busy, started = resident_mib(process), cpu_seconds(process), time.perf_counter()
        for number in range(count):
            await create(DEFINITIONS, definition(number))
        seconds = time.perf_counter() - started
        await asyncio.sleep(2)
        print(f"{count} definitions of {size / 1024:.0f} KiB: {seconds:.1f} s, {cpu_seconds(process) - busy:.1f} CPU s")
        report("defined", before, process, count)
        for number in range(count):
            thing = {
                "apiVersion": "bench.example.com/v1",
                "kind": f"Thing{number}",
                "metadata": {"name": "a"},
                "spec": {},
            }
            await create(f"/apis/bench.example.com/v1/namespaces/default/things{number}s", thing)
        report("used (an object of each)", before, process, count)
        async with http.get("/openapi/v3/apis/bench.example.com/v1") as document:
            await document.read()
        report("with their OpenAPI asked for", before, process, count)


def report(what: str, before: float, process: int, count: int) -> None:
    now = resident_mib(process)
    print(f"{what}: {now:.0f} MiB resident, {(now - before) / count:.3f} MiB a definition")


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-m", "pylet", "server", "--data-dir", directory, "--bind-address", "127.0.0.1"]
        command += ["--https-listen-port", str(PORT), "--disable-agent", "--advertise-address", "10.0.0.1"]
        command += ["--write-kubeconfig", f"{directory}/admin.yaml", "--log-level", "warning"]
        server = subprocess.Popen(command)
        try:
            asyncio.run(measure(Path(directory), server.pid, count))
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
