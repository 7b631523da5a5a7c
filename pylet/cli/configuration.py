"""Where configuration comes from: flags over environment over `/etc/pylet/config.yaml` and its drop-ins.

Drop-ins (`config.yaml.d/*.yaml`) follow k3s's rules: read after the file in the order of their names; a key of a later
file replaces the earlier value, `key+` appends to it.
"""

from __future__ import annotations

import difflib
import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from pylet.agent.config import AgentConfig
from pylet.cli.options import BY_NAME, BadOption, Given, Option, Shape, from_environment
from pylet.cli.options import split as split_values
from pylet.cli.settling import agent_config, server_config, settle
from pylet.server.config import ServerConfig

DEFAULT_FILE = Path("/etc/pylet/config.yaml")
Document: TypeAlias = Mapping[str, Any]


def load_server(flags: Mapping[str, tuple[str, ...]], file: Path | None, environ: Mapping[str, str]) -> ServerConfig:
    """Raises: BadOption."""
    return server_config(_load("server", flags, file, environ), hostname=socket.gethostname())


def load_agent(flags: Mapping[str, tuple[str, ...]], file: Path | None, environ: Mapping[str, str]) -> AgentConfig:
    """Raises: BadOption."""
    return agent_config(_load("agent", flags, file, environ), hostname=socket.gethostname())


def _load(
    command: str, flags: Mapping[str, tuple[str, ...]], file: Path | None, environ: Mapping[str, str]
) -> dict[str, Any]:
    """`file` None means the default one, which may be absent."""
    chosen = file or Path(environ.get("PYLET_CONFIG_FILE") or DEFAULT_FILE)
    required = file is not None or bool(environ.get("PYLET_CONFIG_FILE"))
    settled = settle(command, Given(flags), from_environment(command, environ), read_files(chosen, required=required))
    if (token_file := settled.get("token_file")) and "token" not in settled:
        settled["token"] = _token_in(token_file)
    return settled


def _token_in(path: Path) -> str:
    try:
        token = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadOption(f"--token-file: can't read {path}: {_why(error)}") from None
    if not token:
        raise BadOption(f"--token-file: {path} is empty")
    return token


def read_files(file: Path, *, required: bool) -> Given:
    """The options in the configuration file and its drop-ins. Raises: BadOption."""
    drop_ins = file.with_name(f"{file.name}.d")
    found = [file] if required or file.exists() else []
    if drop_ins.is_dir():
        found += sorted(path for path in drop_ins.iterdir() if path.suffix in (".yaml", ".yml"))
    return merge([(str(path), _document(path)) for path in found])


def _document(path: Path) -> Document:
    import yaml

    try:
        # No scalar is interpreted: 0644 stays the text a flag would have brought.
        document = yaml.load(path.read_bytes(), yaml.CBaseLoader)
    except OSError as error:
        raise BadOption(f"can't read {path}: {_why(error)}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise BadOption(f"{path}{where}: not YAML: {getattr(error, 'problem', None) or error}") from None
    if document is None or document == "":
        return {}
    if not isinstance(document, dict):
        raise BadOption(f"{path}: must hold keys and values, as in: data-dir: /var/lib/pylet")
    return document


def merge(documents: Sequence[tuple[str, Document]]) -> Given:
    """Raises: BadOption, for a key no option has and a value of the wrong shape."""
    values: dict[str, tuple[str, ...]] = {}
    origins: dict[str, str] = {}
    for path, document in documents:
        for key, value in document.items():
            name = key.removesuffix("+")
            if name not in BY_NAME:
                raise BadOption(f'{path}: unknown key "{key}"{_suggestion(name)}')
            texts = _texts(BY_NAME[name], value, f"{path}: {key}")
            values[name] = values.get(name, ()) + texts if key.endswith("+") else texts
            origins[name] = path
    return Given(values, lambda option: f"{origins[option.name]}: {option.name}")


def _texts(option: Option, value: Any, where: str) -> tuple[str, ...]:
    items = value if isinstance(value, list) else [value]
    if not all(isinstance(item, str) for item in items):
        raise BadOption(f"{where}: must be a text or a list of texts")
    if isinstance(value, list) and option.shape is not Shape.MANY:
        raise BadOption(f"{where}: takes one value, not a list")
    return split_values(option, items)


def _suggestion(name: str) -> str:
    close = difflib.get_close_matches(name, BY_NAME, 1)
    return f', did you mean "{close[0]}"?' if close else ""


def _why(error: Exception) -> str:
    return os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
