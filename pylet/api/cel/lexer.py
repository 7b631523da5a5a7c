"""Tokens of CEL source: doc/langdef.md of the CEL specification, section Syntax."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from pylet.api.cel.errors import CompileError, Issue

RESERVED = frozenset({
    "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop", "package",
    "namespace", "return", "var", "void", "while",
})  # fmt: skip
KEYWORDS = frozenset({"true", "false", "null", "in"})

_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n\f]+|//[^\n]*)
    |(?P<string>(?P<prefix>[rR][bB]?|[bB][rR]?|)(?:
        \"\"\"(?P<t2>(?:[^\\]|\\.)*?)\"\"\"|'''(?P<t1>(?:[^\\]|\\.)*?)'''
        |"(?P<s2>(?:[^\\"\r\n]|\\.)*)"|'(?P<s1>(?:[^\\'\r\n]|\\.)*)'))
    |(?P<float>(?:[0-9]+\.[0-9]+|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+)
    |(?P<uint>(?:0x[0-9a-fA-F]+|[0-9]+)[uU])
    |(?P<int>0x[0-9a-fA-F]+|[0-9]+)
    |(?P<ident>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<op>==|!=|<=|>=|&&|\|\||[-+*/%<>!?:.,()\[\]{}=])""",
    re.VERBOSE | re.DOTALL,
)
_RAW = re.compile(
    r'(?P<prefix>[rR][bB]?|[bB][rR])(?:"""(?P<t2>.*?)"""|' + r"'''(?P<t1>.*?)'''" + r'|"(?P<s2>[^"\r\n]*)"'
    r"|'(?P<s1>[^'\r\n]*)')",
    re.DOTALL,
)
_ESCAPE = re.compile(r"\\(?:[xX]([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2})|(.)|$)", re.DOTALL)
_SIMPLE = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"} | {c: c for c in "\\'\"`?"}


@dataclass(frozen=True, slots=True)
class Token:
    """`kind` is `ident`, `int`, `uint`, `float`, `string`, `bytes`, `end`, or the operator itself."""

    kind: str
    text: str
    pos: int
    value: Any = None


def tokens(source: str) -> list[Token]:
    """The tokens of `source`, ended by one of kind `end`. Raises: CompileError."""
    found: list[Token] = []
    pos = 0
    while pos < len(source):
        match = (_RAW.match(source, pos) if source[pos] in "rRbB" else None) or _TOKEN.match(source, pos)
        if match is None or (source[pos] in "\"'" and match.lastgroup != "string" and match.group("prefix") is None):
            raise CompileError(source, [_unrecognized(source, pos)])
        groups = match.groupdict()
        if groups.get("space") is None:
            found.append(_token(source, match, groups))
        pos = match.end()
    found.append(Token("end", "<EOF>", len(source)))
    return found


def _unrecognized(source: str, pos: int) -> Issue:
    if source[pos] == "`":
        return Issue(pos, "unsupported syntax: '`'")
    end = source.find("\n", pos) if source[pos] in "\"'" else pos + 1
    text = source[pos : end if end > 0 else None]
    return Issue(pos, f"Syntax error: token recognition error at: '{text}'")


def _token(source: str, match: re.Match[str], groups: dict[str, str | None]) -> Token:
    text, pos = match.group(), match.start()
    if groups["prefix"] is not None:
        body = next(groups[key] for key in ("t2", "t1", "s2", "s1") if groups[key] is not None) or ""
        prefix = groups["prefix"].lower()
        if "t2" in groups and (groups["t1"] is not None or groups["t2"] is not None):
            body = body.replace("\r\n", "\n").replace("\r", "\n")
        try:
            if "b" in prefix:
                return Token("bytes", text, pos, body.encode() if "r" in prefix else _unescape_bytes(body))
            return Token("string", text, pos, body if "r" in prefix else _unescape(body))
        except ValueError as bad:
            raise CompileError(source, [Issue(pos, str(bad))]) from bad
    for kind in ("float", "uint", "int", "ident"):
        if groups[kind] is not None:
            return Token(kind, text, pos)
    return Token(text, text, pos)


def _unescape(body: str) -> str:
    if "\\" not in body:
        return body

    def char(match: re.Match[str]) -> str:
        hex2, hex4, hex8, octal, simple = match.groups()
        if simple is not None or not any((hex2, hex4, hex8, octal)):
            return _simple(simple)
        code = int(octal, 8) if octal else int(hex2 or hex4 or hex8, 16)
        if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
            raise ValueError("invalid unicode code point")
        return chr(code)

    return _ESCAPE.sub(char, body)


def _unescape_bytes(body: str) -> bytes:
    parts: list[bytes] = []
    last = 0
    for match in _ESCAPE.finditer(body):
        parts.append(body[last : match.start()].encode())
        hex2, hex4, hex8, octal, simple = match.groups()
        if hex4 or hex8:
            raise ValueError("unable to unescape string")
        if hex2 or octal:
            parts.append(bytes([int(octal, 8) if octal else int(hex2, 16)]))
        else:
            parts.append(_simple(simple).encode())
        last = match.end()
    return b"".join([*parts, body[last:].encode()])


def _simple(char: str | None) -> str:
    if char is None or char not in _SIMPLE:
        raise ValueError("unable to unescape string")
    return _SIMPLE[char]
