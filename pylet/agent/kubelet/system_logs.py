"""/var/log as the kubelet serves it: pages of links, and files.

Pods may be let write there: what is served was opened beneath it, and a link that leads out is not there
(the log symlink attack on `nodes/proxy` and `nodes/log`).
"""

from __future__ import annotations

import errno
import mimetypes
import os
import stat
from html import escape
from pathlib import Path
from urllib.parse import quote

from aiohttp import web

from pylet.agent.kubelet.beneath import directory, open_beneath

_LEADS_OUT = (errno.EXDEV, errno.ELOOP, errno.ENOTDIR)


def system_log(top: Path, path: str) -> web.StreamResponse:
    """Raises: OSError; FileNotFoundError also where a link leads out of `top`, or to what is no file."""
    try:
        with directory(top) as root:
            found = open_beneath(root, path or ".", os.O_RDONLY | os.O_NONBLOCK, follows_links=True)
    except OSError as failed:
        if failed.errno in _LEADS_OUT:
            raise FileNotFoundError(path) from failed
        raise
    mode = os.fstat(found).st_mode
    if stat.S_ISDIR(mode):
        try:
            return web.Response(text=f"<pre>\n{_links(found)}</pre>\n", content_type="text/html")
        finally:
            os.close(found)
    if not stat.S_ISREG(mode):
        os.close(found)
        raise FileNotFoundError(path)
    type_ = mimetypes.guess_type(path)[0] or "text/plain"
    return web.Response(body=os.fdopen(found, "rb"), content_type=type_)


def _links(opened: int) -> str:
    with os.scandir(opened) as entries:
        names = sorted(entry.name + "/" * entry.is_dir(follow_symlinks=False) for entry in entries)
    return "".join(f'<a href="{quote(name)}">{escape(name)}</a>\n' for name in names)
