"""Each fault as a raw socket sees it, and what the provider remembers."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import importlib
import io
import json
import re
import ssl
import sys
import time
import zlib
from typing import TYPE_CHECKING

import msgspec
import pytest
import trustme

from hydrallm.faults.provider import Provider, Received
from hydrallm.faults.script import TEXT, Answer, Cut, Fail, Flood, Hang, Malformed, Raw, Reply, Stall

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from hydrallm.faults.provider import Script
    from hydrallm.faults.script import Departure, Encoding, Ending

    Exchange = Callable[[Provider, bytes], Coroutine[None, None, tuple[bytes, str]]]

PLAIN = b'{"model":"m","messages":[]}'
STREAM = b'{"model":"m","messages":[],"stream":true}'


def post(body: bytes = PLAIN, path: str = "/v1/chat/completions", extra: str = "connection: close\r\n") -> bytes:
    return f"POST {path} HTTP/1.1\r\nhost: x\r\n{extra}content-length: {len(body)}\r\n\r\n".encode() + body


class _Wire:
    """Bytes dressed as a socket, for http.client to parse."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self._data)


def parse(data: bytes, method: str = "POST") -> tuple[http.client.HTTPResponse, bytes]:
    response = http.client.HTTPResponse(_Wire(data), method=method)  # type: ignore[arg-type]
    response.begin()
    return response, response.read()


async def test_a_plain_answer_and_what_was_received(provider: Provider, exchange: Exchange) -> None:
    data, ended = await exchange(provider, post(extra="X-Thing: a\r\nX-Thing: b\r\nconnection: close\r\n"))
    response, body = parse(data)
    assert (response.status, response.getheader("content-type"), ended) == (200, "application/json", "fin")
    assert json.loads(body)["choices"][0]["message"]["content"] == TEXT
    (received,) = provider.received
    assert (received.method, received.target, received.body) == (b"POST", b"/v1/chat/completions", PLAIN)
    assert received.headers[1:3] == [(b"x-thing", b"a"), (b"x-thing", b"b")]
    assert (received.connection.number, received.repeat) == (1, 1)


async def test_a_chunked_request_with_continue_and_trailers(provider: Provider) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", provider.port)
    writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\n")
    writer.write(b"connection: close\r\ntransfer-encoding: chunked\r\n\r\n")
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(b"5;x=y\r\n" + PLAIN[:5] + b"\r\n%X\r\n" % len(PLAIN[5:]) + PLAIN[5:] + b"\r\n0\r\na: b\r\n\r\n")
    response, _ = parse(await reader.read())
    writer.close()
    assert response.status == 200
    assert provider.received[0].body == PLAIN


async def test_requests_on_one_connection_are_counted(provider: Provider, exchange: Exchange) -> None:
    await exchange(provider, post(extra="") + post(extra="") + post())
    assert [(r.connection.number, r.repeat) for r in provider.received] == [(1, 1), (1, 2), (1, 3)]


async def test_head_has_no_body(provider: Provider, exchange: Exchange) -> None:
    data, _ = await exchange(provider, b"HEAD /v1/models HTTP/1.1\r\nhost: x\r\n\r\nGET /v1/models HTTP/1.0\r\n\r\n")
    first, _, rest = data.partition(b"\r\n\r\n")
    assert first.startswith(b"HTTP/1.1 200 OK\r\n")
    assert rest.startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(
    ("request_bytes", "status", "why"),
    [
        (b"GET  / HTTP/1.1\r\nhost: x\r\n\r\n", 400, "request line"),
        (b"GET / HTTP/1.1\r\n\r\n", 400, "0 Host"),
        (b"GET / HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n", 400, "2 Host"),
        (b"GET / HTTP/1.1\r\nhost : x\r\n\r\n", 400, "header line"),
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n", 400, "framing"),
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: +1\r\n\r\n", 400, "Content-Length"),
        (b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: gzip, chunked\r\n\r\n", 501, "Transfer-Encoding"),
        (b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", 400, "chunk size"),
        (b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\r\nabc", 400, "longer"),
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1001\r\n\r\n", 413, "limit is 1000"),
        (b"GET / HTTP/1.1\r\nhost: x\r\na: " + b"b" * 70_000 + b"\r\n\r\n", 431, "head"),
    ],
)
async def test_what_is_not_a_request_is_refused_and_remembered(
    request_bytes: bytes, status: int, why: str, exchange: Exchange
) -> None:
    async with Provider(max_body=1000) as provider:
        data, _ = await exchange(provider, request_bytes)
        assert data.startswith(b"HTTP/1.1 %d " % status)
        assert why in provider.rejected[0]
        assert provider.received == []


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
@pytest.mark.parametrize("body", [PLAIN, STREAM], ids=["plain", "stream"])
async def test_content_codings_decode_to_the_answer(encoding: Encoding, body: bytes, exchange: Exchange) -> None:
    decode: dict[str, Callable[[bytes], bytes]] = {
        "gzip": gzip.decompress, "deflate": zlib.decompress, "zstd": zstd.decompress}  # fmt: skip
    async with Provider([Answer(encoding=encoding), Answer()]) as provider:
        (coded, wire), (_, whole) = [parse((await exchange(provider, post(body)))[0]) for _ in range(2)]
        assert coded.getheader("content-encoding") == encoding
        assert re.sub(rb"0[12]\b", b"", decode[encoding](wire)) == re.sub(rb"0[12]\b", b"", whole)


async def test_interim_responses_come_first(exchange: Exchange) -> None:
    async with Provider(Answer(interim=(102, 103))) as provider:
        data, _ = await exchange(provider, post())
    assert re.findall(rb"HTTP/1.1 (\d+)", data) == [b"102", b"103", b"200"]


async def test_http_1_0_and_bodies_that_end_with_the_connection(exchange: Exchange) -> None:
    async with Provider(Answer(version="1.0")) as provider:
        data, ended = await exchange(provider, post(STREAM, extra=""))
    assert data.startswith(b"HTTP/1.0 200 OK\r\n")
    assert (b"data: [DONE]\n\n", ended) == (data[-14:], "fin")
    assert b"content-length" not in data
    assert b"transfer-encoding" not in data


@pytest.mark.parametrize(("ending", "announced"), [("close", True), ("drop", False)])
@pytest.mark.parametrize("reply", [Answer, Fail])
async def test_connections_closed_with_and_without_a_word(
    reply: type[Answer | Fail], ending: Ending, announced: bool, exchange: Exchange
) -> None:
    async with Provider(reply(ending=ending)) as provider:
        data, ended = await exchange(provider, post(extra=""))
    assert (b"connection: close" in data, ended) == (announced, "fin")


async def test_failures_have_any_status_headers_and_body(exchange: Exchange) -> None:
    fail = Fail(status=429, headers={"Retry-After": "7", "Content-Type": "text/plain"}, body="slow down")
    async with Provider([fail, Fail(status=204), Fail(status=200, body="")]) as provider:
        responses = [parse((await exchange(provider, post()))[0]) for _ in range(3)]
    first, body = responses[0]
    assert (first.status, first.getheader("retry-after"), first.getheader("content-type")) == (429, "7", "text/plain")
    assert body == b"slow down"
    assert [(response.status, body) for response, body in responses[1:]] == [(204, b""), (200, b"")]


TWO_EVENTS = rb"(.+\r\n)+\r\n([0-9a-f]+\r\ndata: .+\n\n\r\n){2}"
CUTS = [
    (Cut(), PLAIN, rb""),
    (Cut(at="inside_headers"), PLAIN, rb"HTTP/1\.1 200 OK\r\n(?:(?!\r\n\r\n)[\s\S])+"),
    (Cut(at="after_headers"), PLAIN, rb"HTTP/1\.1 200 OK\r\n(.+\r\n)+\r\n"),
    (Cut(at="after_events", events=0), STREAM, rb"(.+\r\n)+\r\n"),
    (Cut(at="after_events", events=1), PLAIN, rb"(.+\r\n)+\r\n\{[^\n]+[^}]"),
    (Cut(at="after_events", events=2), STREAM, TWO_EVENTS),
    (
        Cut(at="inside_event", events=2),
        STREAM,
        TWO_EVENTS + rb".+\r\ndata: .+[^}]\r\n",
    ),
]


@pytest.mark.parametrize("how", ["fin", "rst"])
@pytest.mark.parametrize(("cut", "body", "seen"), CUTS, ids=lambda value: getattr(value, "at", ""))
async def test_cuts_end_where_they_should(
    cut: Cut, body: bytes, seen: bytes, how: Departure, exchange: Exchange
) -> None:
    # The pause lets the peer read what was sent before a reset throws it away.
    script = Cut(at=cut.at, events=cut.events, how=how, pause=0.02 if how == "rst" else 0)
    async with Provider(script) as provider:
        data, ended = await exchange(provider, post(body, extra=""))
    assert re.fullmatch(seen, data), data
    assert ended == how


async def test_a_cut_json_is_shorter_than_its_length_says(exchange: Exchange) -> None:
    async with Provider(Cut(at="after_events")) as provider:
        data, _ = await exchange(provider, post())
    with pytest.raises(http.client.IncompleteRead):
        parse(data)


async def test_a_clean_cut_is_right_for_http_and_wrong_for_the_format(exchange: Exchange) -> None:
    async with Provider(Cut(at="after_events", events=3, how="clean")) as provider:
        stream, _ = await exchange(provider, post(STREAM))
        plain, _ = await exchange(provider, post(PLAIN.replace(b'"m"', b'"n"')))
        half = Cut(at="inside_event", events=0, how="clean")
    assert stream.endswith(b"\r\n0\r\n\r\n")
    assert parse(stream)[1].count(b"data: ") == 3
    assert b"[DONE]" not in stream
    assert json.loads(parse(plain)[1])["model"] == "n", "a plain answer has two halves, and three were asked for"
    async with Provider(half) as provider:
        _, body = parse((await exchange(provider, post()))[0])
    with pytest.raises(json.JSONDecodeError):
        json.loads(body)


@pytest.mark.parametrize(
    "what", ["status_line", "header", "chunk_size", "chunk_end", "two_lengths", "length_and_chunked", "not_http"]
)
async def test_broken_http_is_sent_as_it_is(what: str, exchange: Exchange) -> None:
    async with Provider(msgspec.convert({"reply": "malformed", "what": what}, Malformed)) as provider:
        data, ended = await exchange(provider, post())
    assert (data[:4] != b"HTTP", ended) == (what == "not_http", "fin")
    raw = Raw(data=data.decode("latin-1"), how="rst", delay=0.01)
    assert raw.data.encode("latin-1") == data


async def test_raw_bytes_and_a_kept_connection(exchange: Exchange) -> None:
    async with Provider([Raw(data="HTTP/1.1 200 \xff\r\ncontent-length: 0\r\n\r\n", how=None), Answer()]) as provider:
        data, _ = await exchange(provider, post(extra="") + post())
    assert data.startswith(b"HTTP/1.1 200 \xff\r\n")
    assert data.count(b"HTTP/1.1 200 ") == 2


async def test_a_malformed_json_body_has_the_right_length(exchange: Exchange) -> None:
    async with Provider(Malformed()) as provider:
        response, body = parse((await exchange(provider, post()))[0])
    assert response.status == 200
    with pytest.raises(json.JSONDecodeError):
        json.loads(body)


@pytest.mark.parametrize("reply", [Hang(), Stall(events=2), Stall(events=0), Answer(delay=50), Answer(pause=50)])
@pytest.mark.parametrize("departure", ["fin", "rst"])
async def test_a_leaving_peer_is_seen_at_once(reply: Reply, departure: str) -> None:
    loop = asyncio.get_running_loop()
    async with Provider(reply) as provider:
        _, writer = await asyncio.open_connection("127.0.0.1", provider.port)
        writer.write(post(STREAM))
        received = await provider.wait_received()
        assert received.closed_at is None
        assert provider.in_flight == 1
        left = loop.time()
        writer.transport.abort() if departure == "rst" else writer.close()
        assert await received.wait_closed() - left < 0.05
        assert received.closed_at is not None


async def test_a_stall_ends(exchange: Exchange) -> None:
    async with Provider(Stall(events=2, seconds=0.05)) as provider:
        start = time.monotonic()
        data, _ = await exchange(provider, post(STREAM))
        assert time.monotonic() - start >= 0.05
    assert parse(data)[1].endswith(b"data: [DONE]\n\n")


async def test_a_flood_is_a_valid_stream_and_waits_for_its_reader() -> None:
    async with Provider(Flood(size=32 << 20)) as provider:
        reader, writer = await asyncio.open_connection("127.0.0.1", provider.port)
        writer.write(post(STREAM))
        received = await provider.wait_received()
        head = await reader.readuntil(b"\r\n\r\n")
        assert received.connection.sent < 32 << 20, "it has sent all without being read"
        data = await reader.read()
        writer.close()
    _, body = parse(head + data)
    assert len(body) >= 32 << 20
    events = body.split(b"\n\n")
    assert events[-2] == b"data: [DONE]"
    assert json.loads(events[7].removeprefix(b"data: "))["choices"][0]["delta"]["content"].strip("x") == ""


async def test_scripts(exchange: Exchange) -> None:
    def by_header(received: Received) -> Reply:
        return Fail(status=418) if (b"x-fail", b"yes") in received.headers else Answer()

    async def statuses(script: Script, *requests: bytes) -> list[int]:
        async with Provider(script) as provider:
            return [parse((await exchange(provider, request))[0])[0].status for request in requests]

    sequence: list[Reply] = [Fail(status=500), Fail(status=503), Answer()]
    assert await statuses(sequence, *[post()] * 4) == [500, 503, 200, 200]
    assert await statuses(by_header, post(), post(extra="x-fail: yes\r\nconnection: close\r\n")) == [200, 418]
    routes: Script = {"*/chat/completions": [Fail(status=500), Answer()], "*/messages": Fail(status=529)}
    messages, other = post(path="/v1/messages"), post(path="/v1/other")
    assert await statuses(routes, post(), messages, post(), messages, other) == [500, 529, 200, 529, 404]


async def test_a_script_can_be_changed(provider: Provider, exchange: Exchange) -> None:
    provider.play(Fail(status=503))
    data, _ = await exchange(provider, post())
    assert parse(data)[0].status == 503


@pytest.mark.parametrize("script", [[], {"*": []}])
def test_a_script_without_replies_is_refused(script: Script) -> None:
    with pytest.raises(ValueError, match="at least one reply"):
        Provider(script)


def test_it_serves_loopback_only() -> None:
    with pytest.raises(ValueError, match=r"0\.0\.0\.0"):
        Provider(host="0.0.0.0")


async def test_a_stopped_provider_resets_refuses_and_comes_back_on_its_port(exchange: Exchange) -> None:
    async with Provider([Hang(), Answer()]) as provider:
        port = provider.port
        pending = asyncio.create_task(exchange(provider, post()))
        await provider.wait_received()
        await provider.stop()
        assert await pending == (b"", "rst")
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        await provider.start()
        assert provider.port == port
        data, _ = await exchange(provider, post())
        assert data.startswith(b"HTTP/1.1 200 ")
        assert provider.open_connections == 0


@pytest.mark.platform("linux", "darwin")
def test_on_uvloop_it_resets_and_sees_a_peer_leave_as_well() -> None:
    async def run() -> None:
        async with Provider([Cut(how="rst"), Hang()]) as provider:
            reader, writer = await asyncio.open_connection("127.0.0.1", provider.port)
            writer.write(post())
            with pytest.raises(ConnectionResetError):
                await reader.read()
            writer.close()
            _, writer = await asyncio.open_connection("127.0.0.1", provider.port)
            writer.write(post())
            received = await provider.wait_received(2)
            left = asyncio.get_running_loop().time()
            writer.close()
            assert await received.wait_closed() - left < 0.05

    uvloop = importlib.import_module("uvloop")  # not installed on Windows
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


async def test_tls() -> None:
    authority = trustme.CA()
    server, client = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.configure_trust(client)
    async with Provider([Answer(), Cut(how="rst")], tls=server) as provider:
        assert provider.url.startswith("https://127.0.0.1:")
        for expected in (200, None):
            reader, writer = await asyncio.open_connection("127.0.0.1", provider.port, ssl=client)
            writer.write(post())
            if expected:
                assert parse(await reader.read())[0].status == expected
                writer.close()
                await writer.wait_closed()
            else:
                with pytest.raises(ConnectionResetError):
                    await reader.read()
                writer.close()
