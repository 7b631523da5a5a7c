"""How bodies leave: as they are or compressed, in one piece or, when they are long, piece by piece."""

from __future__ import annotations

from collections.abc import Iterable

from aiohttp import web

from pylet.server.http.answer import Answer, Stream, Streamed

_GZIPPED = (("Content-Encoding", "gzip"), ("Vary", "Accept-Encoding"))
_COMPRESS_BYTES = 128 << 10  # upstream's threshold


def whole(http: web.BaseRequest, body: bytes, code: int, type_: str) -> Answer:
    if len(body) > _COMPRESS_BYTES and _takes_gzip(http):
        import zlib

        packer = zlib.compressobj(1, zlib.DEFLATED, 31)
        return Answer(packer.compress(body) + packer.flush(), code, type_, _GZIPPED)
    return Answer(body, code, type_)


async def joined(http: web.BaseRequest, pieces: Iterable[bytes], size: int, type_: str) -> Answer | Streamed:
    """`size` is that of all pieces, in bytes."""
    if size > _COMPRESS_BYTES and _takes_gzip(http):
        return await _compressed(http, pieces, type_)
    if size < _COMPRESS_BYTES:
        return Answer(b"".join(pieces), type_=type_)
    rest = iter(pieces)
    stream = Stream(http, type_=type_, length=size, first=next(rest))
    try:
        for piece in rest:
            await stream.write(piece)
    except ConnectionResetError:
        return Streamed(keep_alive=False)
    return stream.end()


def _takes_gzip(http: web.BaseRequest) -> bool:
    """Whether compressing is wanted and pays: over loopback it costs 30 ms a megabyte and saves nothing."""
    if "gzip" not in http.headers.get("Accept-Encoding", ""):
        return False
    peer = http.transport.get_extra_info("peername") if http.transport is not None else None
    return not (isinstance(peer, tuple) and (peer[0].startswith("127.") or peer[0] == "::1"))


async def _compressed(http: web.BaseRequest, pieces: Iterable[bytes], type_: str) -> Streamed:
    import zlib

    stream = Stream(http, type_=type_, headers=_GZIPPED)
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    try:
        for piece in pieces:
            if packed := packer.compress(piece):
                await stream.write(packed)
        await stream.write(packer.flush())
    except ConnectionResetError:
        return Streamed(keep_alive=False)
    return stream.end()
