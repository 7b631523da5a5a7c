"""Links in what a proxied server answers, rewritten so that they lead through the proxy again. Pure.

Source: apimachinery pkg/util/proxy/transport.go.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit, urlunsplit

_ATTRIBUTES = {
    "a": ("href",),
    "applet": ("codebase",),
    "area": ("href",),
    "audio": ("src",),
    "base": ("href",),
    "blockquote": ("cite",),
    "body": ("background",),
    "button": ("formaction",),
    "command": ("icon",),
    "del": ("cite",),
    "embed": ("src",),
    "form": ("action",),
    "frame": ("longdesc", "src"),
    "head": ("profile",),
    "html": ("manifest",),
    "iframe": ("longdesc", "src"),
    "img": ("longdesc", "src", "usemap"),
    "input": ("src", "usemap", "formaction"),
    "ins": ("cite",),
    "link": ("href",),
    "object": ("classid", "codebase", "data", "usemap"),
    "q": ("cite",),
    "script": ("src",),
    "source": ("src",),
    "video": ("poster", "src"),
}
_TAG = re.compile(rb"<([a-zA-Z]+)(\s[^<>]*)>")
_ATTRIBUTE = re.compile(rb"""(?<![a-zA-Z-])([a-zA-Z-]++)(\s*+=\s*+)("[^"]*"|'[^']*'|[^\s"'<>]+)""")


@dataclass(frozen=True, slots=True)
class Links:
    """`prefix` is the proxy's path before the server's own; `hosts` are the names that mean the server."""

    prefix: str
    hosts: tuple[str, ...]

    def rewritten(self, url: str) -> str:
        """A link to another host, and one that is relative, stay as they are."""
        try:
            parts = urlsplit(url)
        except ValueError:
            return url
        if (parts.netloc and parts.netloc not in self.hosts) or not parts.path.startswith("/"):
            return url
        path = parts.path if parts.path.startswith(self.prefix) else self.prefix.rstrip("/") + parts.path
        return urlunsplit(SplitResult("", "", path, parts.query, parts.fragment))

    def in_html(self, page: bytes) -> bytes:
        """The page with the links of its tags rewritten."""

        def tag(found: re.Match[bytes]) -> bytes:
            names = _ATTRIBUTES.get(found[1].decode().lower())
            if names is None:
                return found[0]

            def attribute(found: re.Match[bytes]) -> bytes:
                if found[1].decode().lower() not in names:
                    return found[0]
                bare = found[3] if found[3][:1] not in b"\"'" else found[3][1:-1]
                link = self.rewritten(bare.decode(errors="surrogateescape"))
                return found[1] + found[2] + b'"' + link.encode(errors="surrogateescape") + b'"'

            return b"<" + found[1] + _ATTRIBUTE.sub(attribute, found[2]) + b">"

        return _TAG.sub(tag, page)
