"""Relayed bodies: the small ones are held, the others stream through."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
from typing import TYPE_CHECKING

import pytest

from hydrallm.faults.script import Raw

if TYPE_CHECKING:
    from tests.exchange.conftest import Provide, Serve


UPLOAD = 30 * 1024 * 1024


async def test_an_upload_streams_through(provide: Provide, serve: Serve) -> None:
    """Half of the upload is sent, and the rest only when the upstream has got that half."""
    half = asyncio.Event()
    got = 0

    async def upstream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal got
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"content-length: %d\r\n" % UPLOAD in head
        while got < UPLOAD:
            got += len(await reader.read(1 << 16))
            if got >= UPLOAD // 2:
                half.set()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(upstream, "127.0.0.1")
    async with server:
        gateway = await serve({"url": f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"})
        client = gateway.client
        client.writer.write(
            b"POST /v1/files HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\n"
            b"Content-Length: %d\r\n\r\n" % UPLOAD
        )
        client.writer.write(b"x" * (UPLOAD // 2))
        await asyncio.wait_for(half.wait(), 20)
        client.writer.write(b"x" * (UPLOAD // 2))
        reply = await asyncio.wait_for(client.reply(), 20)
    assert (reply.status, reply.body, got) == (200, b"ok", UPLOAD)


async def test_an_upload_that_the_upstream_does_not_read_is_not_buffered(serve: Serve) -> None:
    """What the sockets and the gateway hold together is far less than the upload: backpressure reaches the client."""
    reading, over = asyncio.Event(), asyncio.Event()

    async def upstream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        reading.set()
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await over.wait()
        writer.close()

    server = await asyncio.start_server(upstream, "127.0.0.1")
    async with server:
        gateway = await serve({"url": f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"})
        writer = gateway.client.writer
        writer.write(b"POST /v1/files HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % (3 * UPLOAD))
        await asyncio.wait_for(reading.wait(), 5)
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < 3 * UPLOAD:
                writer.write(b"x" * (1 << 20))
                await asyncio.wait_for(writer.drain(), 0.3)
                sent += 1 << 20
        writer.transport.abort()
        over.set()
        await gateway.journal.ended()
    assert 0 < sent < UPLOAD


async def test_a_chunked_upload_streams_and_stays_chunked(serve: Serve) -> None:
    begun = asyncio.Event()
    got = b""

    async def upstream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal got
        assert b"\r\ntransfer-encoding: chunked\r\n" in await reader.readuntil(b"\r\n\r\n")
        got = await reader.readuntil(b"abc\r\n")
        begun.set()
        got += await reader.readuntil(b"0\r\n\r\n")
        writer.write(b"HTTP/1.1 201 Created\r\ncontent-length: 4\r\n\r\nmade")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(upstream, "127.0.0.1")
    async with server:
        gateway = await serve({"url": f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"})
        writer = gateway.client.writer
        writer.write(b"POST /v1/files HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        writer.write(b"3;ext=1\r\nabc\r\n")
        await asyncio.wait_for(begun.wait(), 5)
        writer.write(b"4\r\ndefg\r\n0\r\nTrailer: x\r\n\r\n")
        reply = await asyncio.wait_for(gateway.client.reply(), 5)
    assert (reply.status, reply.body) == (201, b"made")
    assert got == b"3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n"


@pytest.mark.parametrize("size", [2, 1 << 20])
async def test_small_bodies_share_a_connection(size: int, provide: Provide, serve: Serve) -> None:
    upstream = await provide()
    gateway = await serve(upstream)
    body = b"x" * size
    for _ in range(20):
        assert (await gateway.client.ask(body, "/v1/embeddings")).status == 200
    assert [received.body == body for received in upstream.received] == [True] * 20
    assert upstream.connections == 1


async def test_a_chunked_body_that_is_there_already_is_not_streamed(provide: Provide, serve: Serve) -> None:
    upstream = await provide()
    gateway = await serve(upstream)
    for _ in range(3):
        gateway.client.writer.write(
            b"POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
        )
        assert (await gateway.client.reply()).status == 200
    assert [received.body for received in upstream.received] == [b"{}"] * 3
    assert upstream.connections == 1


async def test_an_answer_that_comes_before_the_upload_has_ended_passes(serve: Serve) -> None:
    async def upstream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno")
        await writer.drain()
        while await reader.read(1 << 16):
            pass
        writer.close()

    server = await asyncio.start_server(upstream, "127.0.0.1")
    async with server:
        gateway = await serve({"url": f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", "attempts": 3})
        reply = await gateway.client.ask(b"x" * 5_000_000, "/v1/files")
    assert (reply.status, reply.body) == (413, b"no")


async def test_an_upload_over_the_limit_is_refused(provide: Provide, serve: Serve) -> None:
    upstream = await provide(whole_requests=False)
    gateway = await serve(upstream, server={"max_body": "1MB"})
    reply = await gateway.client.ask(b"x" * 1_000_001, "/v1/files")
    assert (reply.status, reply.json["error"]["code"]) == (413, "request_too_large")
    assert "server.max_body" in reply.json["error"]["message"]
    assert upstream.received == []
    record = await gateway.journal.ended()
    assert (record.status, record.outcome) == (413, "refused")


async def test_a_chunked_upload_over_the_limit_is_refused_in_the_middle(provide: Provide, serve: Serve) -> None:
    upstream = await provide(whole_requests=False)
    gateway = await serve(upstream, server={"max_body": "1MB"})
    gateway.client.writer.write(b"POST /v1/files HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(20):
        gateway.client.writer.write(b"%x\r\n%b\r\n" % (100_000, b"x" * 100_000))
    reply = await asyncio.wait_for(gateway.client.reply(), 10)
    assert (reply.status, reply.headers["connection"]) == (413, "close")
    assert upstream.received == []


async def test_a_compressed_upload_and_a_compressed_answer_pass_untouched(provide: Provide, serve: Serve) -> None:
    body, answer = gzip.compress(b"a question"), gzip.compress(b'{"a": "reply"}')
    head = f"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {len(answer)}\r\n"
    upstream = await provide(Raw(data=f"{head}content-type: application/json\r\n\r\n{answer.decode('latin-1')}"))
    gateway = await serve(upstream)
    headers = {"Content-Encoding": "gzip", "Accept-Encoding": "gzip, br"}
    reply = await gateway.client.ask(body, "/v1/embeddings", headers=headers)
    assert (reply.body, reply.headers["content-encoding"]) == (answer, "gzip")
    sent = dict(upstream.received[0].headers)
    assert upstream.received[0].body == body
    assert (sent[b"content-encoding"], sent[b"accept-encoding"]) == (b"gzip", b"gzip, br")
