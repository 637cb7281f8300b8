"""The two ends of a measured stream, on real sockets, without a proxy in between."""

from __future__ import annotations

import asyncio
import json

import httpx2
import pytest

from bench.errors import BenchError
from bench.service import ask, free_port
from bench.stream_load import streams
from bench.stream_server import StreamServer
from bench.traffic import CHAT, FORMS, Form

forms = pytest.mark.parametrize("form", FORMS, ids=lambda form: form.path)


@forms
async def test_each_event_that_is_sent_is_counted_once(form: Form) -> None:
    preamble = form.preamble.count(b"\n\n")
    async with StreamServer(pause=None) as server, streams() as opened:
        await opened.add(7, server.port, form.request(form.body(300, stream=True), server.port))
        assert opened.events == 7 * preamble
        assert len(server.open) == 7


@forms
async def test_a_paced_stream_goes_on_in_turn_until_its_client_leaves(form: Form) -> None:
    async with StreamServer(pause=0.001) as server:
        received = b""
        async with (
            httpx2.AsyncClient(trust_env=False) as client,
            client.stream(
                "POST", f"http://127.0.0.1:{server.port}{form.path}", content=form.body(300, stream=True)
            ) as response,
        ):
            assert response.headers["content-type"] == "text/event-stream"
            (stream,) = server.open
            async for chunk in response.aiter_bytes():
                received += chunk
                if len(received) > 5000:
                    break
        sent = form.preamble + b"".join(form.events) * 20
        assert received.startswith(sent[:4000])
        await asyncio.wait_for(stream.gone, 20)
        assert not server.open


async def test_a_request_for_no_stream_is_answered_whole_and_one_for_something_else_with_404() -> None:
    async with StreamServer(pause=None) as server, httpx2.AsyncClient(trust_env=False) as client:
        url = f"http://127.0.0.1:{server.port}"
        answer = await client.post(url + CHAT.path, content=CHAT.body(300))
        assert answer.content == CHAT.answer
        assert (await client.get(url + "/v1/models")).status_code == 404


async def test_a_stream_that_the_proxy_ends_is_no_figure() -> None:
    async with StreamServer(pause=0.001) as server, streams() as opened:
        request = CHAT.request(CHAT.body(300, stream=True), server.port)
        await opened.add(2, server.port, request)
        stream = next(iter(server.open))
        stream.leave()
        await stream.gone
        with pytest.raises(BenchError, match="was ended by the proxy"):
            await opened.add(1, server.port, request)


async def test_what_is_not_answered_with_200_is_no_stream() -> None:
    async with StreamServer(pause=0.001) as server, streams() as opened:
        with pytest.raises(BenchError, match="404 Not Found"):
            await opened.add(1, server.port, b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")


async def test_the_load_is_what_is_asked_for() -> None:
    """A proxy of ours: what arrives there is a request that the standard library's parser takes."""
    arrived: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length"))
        arrived.set_result(await reader.readexactly(length))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        writer.close()

    port = free_port()
    async with await asyncio.start_server(serve, "127.0.0.1", port):
        assert (await ask(port, CHAT.request(CHAT.body(300), port))).endswith(b"ok")
    assert json.loads(await arrived)["messages"]
