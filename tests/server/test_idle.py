"""What an idle server does without: each of these would stay resident for as long as it lives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_STARTED = """
import asyncio, sys
from pathlib import Path
from pylet.server.config import ServerConfig
from pylet.server.run import serve

async def main():
    ready = asyncio.get_running_loop().create_future()
    folder = Path(sys.argv[1])
    config = ServerConfig(
        data_dir=folder, bind_address="127.0.0.1", https_listen_port=0, write_kubeconfig=folder / "admin.yaml"
    )
    serving = asyncio.create_task(serve(config, ready.set_result))
    await asyncio.wait([ready, serving], return_when=asyncio.FIRST_COMPLETED)
    print(*sys.modules)
    serving.cancel()
    await asyncio.wait([serving])

asyncio.run(main())
"""
_NOT_NEEDED = {
    "cryptography",  # 10 MiB
    "grpc",  # 14 MiB
    "yaml",
    "multiprocessing",
    "pylet.agent",
    "pylet.api.schema.openapi",
    "pylet.api.wire.protobuf",
    "pylet.server.encryption.ciphers",
}


def test_a_first_start_loads_nothing_that_only_some_need(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _STARTED, str(tmp_path)], stdout=subprocess.PIPE, check=True, text=True, timeout=180
    )
    loaded = set(done.stdout.split())
    assert "pylet.server.registry" in loaded
    assert not loaded & _NOT_NEEDED
