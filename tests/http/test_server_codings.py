"""Compressed request bodies, decoded within the limit."""

from __future__ import annotations

import asyncio
import gzip
import sys
import tracemalloc
import zlib
from typing import TYPE_CHECKING

import pytest

from hydrallm.errors import RequestError
from hydrallm.http.limits import Limits
from hydrallm.http.server_stream import DECODE_STEP
from hydrallm.message import Response, header

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.http.conftest import Connect, Reply, Serve

    from hydrallm.http.server_stream import ServerStream

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LIMITS = Limits(max_body=1_000_000)


def raw_deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


async def decode(stream: ServerStream) -> None:
    try:
        body = await stream.decoded_body(header(stream.headers, b"content-encoding") or b"")
    except RequestError as error:
        stream.keep_alive = stream.keep_alive and not error.close
        stream.respond(Response(error.status, [], str(error).encode()))
        return
    stream.respond(Response(200, [], body))


async def post(serve: Serve, connect: Connect, coding: str, data: bytes, *, chunked: bool = False) -> Reply:
    peer = await connect((await serve(decode, LIMITS)).port)
    head = f"POST / HTTP/1.1\r\nHost: x\r\nContent-Encoding: {coding}\r\n"
    if chunked:
        await peer.send_apart(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        await peer.send_apart(*[b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces(data)], b"0\r\n\r\n")
    else:
        await peer.send(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
    return await peer.reply()


def pieces(data: bytes) -> list[bytes]:
    step = len(data) // 5 + 1
    return [data[at : at + step] for at in range(0, len(data), step)]


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(
    ("coding", "compress"),
    [
        ("gzip", gzip.compress),
        ("GZip", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", raw_deflate),
        ("zstd", zstd.compress),
        ("identity", bytes),
    ],
)
async def test_a_compressed_body_is_decoded(
    coding: str, compress: Callable[[bytes], bytes], chunked: bool, serve: Serve, connect: Connect
) -> None:
    body = b'{"messages": [' + b'"hello", ' * 1000 + b"]}"
    reply = await post(serve, connect, coding, compress(body), chunked=chunked)
    assert (reply.status, reply.body) == (200, body)
    assert "connection" not in reply.headers, "the connection can carry another request"


@pytest.mark.parametrize("compress", [gzip.compress, zstd.compress], ids=["gzip", "zstd"])
async def test_a_bomb_is_refused_within_bounded_memory(
    compress: Callable[[bytes], bytes], serve: Serve, connect: Connect
) -> None:
    bomb = compress(b"\x00" * 200_000_000)
    coding = "gzip" if compress is gzip.compress else "zstd"
    tracemalloc.start()
    reply = await post(serve, connect, coding, bomb)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (reply.status, reply.headers["connection"]) == (413, "close")
    assert b"decodes to more than" in reply.body
    assert peak < 8_000_000


@pytest.mark.parametrize("coding", ["br", "gzip, gzip", "nonsense"])
async def test_an_unknown_coding_is_named(coding: str, serve: Serve, connect: Connect) -> None:
    reply = await post(serve, connect, coding, b"x" * 500_000)
    assert (reply.status, reply.headers["connection"]) == (415, "close")
    assert repr(coding).encode() in reply.body
    assert b"gzip, deflate, zstd" in reply.body, "it says what can be sent"


@pytest.mark.parametrize(
    "data",
    [gzip.compress(b"hello" * 100)[:-9], b"not gzip at all", gzip.compress(b"x") + b"junk", b"\x1f"],
    ids=["truncated", "other", "junk-behind", "one-byte"],
)
async def test_a_damaged_body_is_refused(data: bytes, serve: Serve, connect: Connect) -> None:
    reply = await post(serve, connect, "gzip", data)
    assert (reply.status, reply.headers["connection"]) == (400, "close")
    assert reply.body.startswith(b"the request body is not valid gzip: ")


async def test_a_large_body_is_decoded_in_steps_between_which_others_have_their_turn(
    serve: Serve, connect: Connect
) -> None:
    size = 10 * DECODE_STEP
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async def handler(stream: ServerStream) -> None:
        nonlocal turns
        counting = asyncio.ensure_future(count())
        await site.until(lambda: stream.complete)
        turns = 0
        body = await stream.decoded_body(b"gzip")
        counting.cancel()
        stream.respond(Response(200, [], b"%d" % len(body)))

    data = gzip.compress(bytes(size))
    site = await serve(handler)
    peer = await connect(site.port)
    reply = await peer.ask(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(data) + data)
    assert reply.body == b"%d" % size
    assert turns >= 9
