"""The server's framing of requests and answers; h11 is the judge of what it sends."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

import pytest

from hydrallm.message import Response

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.http.conftest import Connect, Serve

    from hydrallm.http.server_stream import ServerStream


async def mirror(stream: ServerStream) -> None:
    """Answer with what arrived."""
    body = await stream.body()
    seen = {
        "method": stream.method.decode(),
        "path": stream.path.decode(),
        "query": stream.query.decode(),
        "host": stream.host.decode(),
        "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in stream.headers],
        "body": body.decode("latin-1"),
    }
    stream.respond(Response(200, [(b"content-type", b"application/json")], json.dumps(seen).encode()))


class Request(NamedTuple):
    name: str
    data: bytes
    body: bytes = b""


REQUESTS = [
    Request("get", b"GET /v1/models?limit=2 HTTP/1.1\r\nHost: api.example\r\nAccept: */*\r\nX-Empty:\r\n\r\n"),
    Request("length", b"POST /a HTTP/1.1\r\nhost: x\r\nContent-Length: 11\r\n\r\nhello world", b"hello world"),
    Request(
        "chunked",
        b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n006\r\n world\r\n0\r\n\r\n",
        b"hello world",
    ),
    Request(
        "extensions-and-trailers",
        b"PUT /a HTTP/1.1\r\nHost: x\r\ntransfer-encoding: CHUNKED\r\n\r\n"
        b'5;a=b;c="d;e"\r\nhello\r\nA;x\r\n wonderful\r\n00;last\r\nX-Trailer: yes\r\nDigest: 1\r\n\r\n',
        b"hello wonderful",
    ),
    Request("leading-empty-lines", b"\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n"),
    Request("continue", b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\nab", b"ab"),
    Request("get-with-body", b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", b"abc"),
    Request("absolute", b"GET http://other.example:81/p?q=1 HTTP/1.1\r\nHost: x\r\n\r\n"),
    Request("http10", b"POST /ten HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nab", b"ab"),
]


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: request.name)
async def test_a_request_split_anywhere_is_the_same_request(request_: Request, serve: Serve, connect: Connect) -> None:
    site = await serve(mirror)
    peer = await connect(site.port)
    whole = await peer.ask(request_.data)
    assert whole.status == 200
    assert json.loads(whole.body)["body"] == request_.body.decode()
    for at in range(1, len(request_.data)):
        await peer.send_apart(request_.data[:at], request_.data[at:])
        assert (await peer.reply())._replace(interim=[]) == whole, f"split at {at}"
    await peer.send_apart(*[bytes([byte]) for byte in request_.data])
    assert (await peer.reply())._replace(interim=[]) == whole
    assert len(site.served) == len(request_.data) + 1, "one request each, on one connection"


async def test_a_stream_of_requests_split_at_every_byte_is_answered_in_order(serve: Serve, connect: Connect) -> None:
    site = await serve(mirror)
    alone = await connect(site.port)
    expected = [await alone.ask(request.data) for request in REQUESTS]
    data = b"".join([request.data for request in REQUESTS])
    peer = await connect(site.port)
    for at in range(0, len(data), 7):
        await peer.send_apart(data[:at], data[at:])
        assert [(await peer.reply())._replace(interim=[]) for _ in REQUESTS] == expected, f"split at {at}"


class Target(NamedTuple):
    sent: bytes
    host: str
    path: str
    query: str


@pytest.mark.parametrize(
    "target",
    [
        Target(b"/", "h", "/", ""),
        Target(b"/a/b?c=d?e", "h", "/a/b", "c=d?e"),
        Target(b"/a%20b?c%26d", "h", "/a%20b", "c%26d"),
        Target(b"//evil.example/x", "h", "/evil.example/x", ""),
        Target(b"/a#fragment", "h", "/a", ""),
        Target(b"/a?b#fragment", "h", "/a", "b"),
        Target(b"/a#fragment?b", "h", "/a", ""),
        Target(b"http://o.example/a?b", "o.example", "/a", "b"),
        Target(b"HTTPS://o.example:8080/a", "o.example:8080", "/a", ""),
        Target(b"http://o.example", "o.example", "/", ""),
        Target(b"http://o.example?b", "o.example", "/", "b"),
        Target(b"http://[::1]:80/a", "[::1]:80", "/a", ""),
    ],
    ids=lambda target: target.sent.decode(),
)
async def test_a_target_is_taken_apart(target: Target, serve: Serve, connect: Connect) -> None:
    site = await serve(mirror)
    reply = await (await connect(site.port)).ask(b"GET %b HTTP/1.1\r\nHost: h\r\n\r\n" % target.sent)
    seen = json.loads(reply.body)
    assert (seen["host"], seen["path"], seen["query"]) == target[1:]


class Refusal(NamedTuple):
    name: str
    data: bytes
    status: int


@pytest.mark.parametrize(
    "refusal",
    [
        Refusal("connect", b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example\r\n\r\n", 405),
        Refusal("connect-a-path", b"CONNECT /v1/models HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        Refusal("rtsp-method", b"DESCRIBE /stream RTSP/1.0\r\nHost: a\r\n\r\n", 501),
        Refusal("icecast", b"SOURCE /stream ICE/1.0\r\nHost: a\r\n\r\n", 501),
        Refusal(
            "websocket",
            b"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n",
            426,
        ),
        Refusal(
            "h2c",
            b"POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nab",
            426,
        ),
        Refusal("upgrade-alone", b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: foo/2\r\n\r\n", 426),
        Refusal("expect", b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 200-maybe\r\nContent-Length: 2\r\n\r\nab", 417),
        Refusal("user-in-target", b"GET http://me@a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        Refusal("no-host-in-target", b"GET http:///a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        Refusal("no-host-in-target-but-query", b"GET http://?a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        Refusal("asterisk", b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        Refusal("other-scheme", b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ],
    ids=lambda refusal: refusal.name,
)
async def test_what_is_not_offered_is_refused_and_the_connection_closed(
    refusal: Refusal, serve: Serve, connect: Connect
) -> None:
    site = await serve(mirror)
    peer = await connect(site.port)
    reply = await peer.ask(refusal.data)
    assert (reply.status, reply.headers["connection"], reply.complete) == (refusal.status, "close", True)
    assert await peer.ending() == (b"", "fin")
    assert site.served == []
    assert len(site.refused) == 1, "one refusal, whatever the parser said besides"


class Persistence(NamedTuple):
    name: str
    head: bytes
    kept: bool
    says: str | None


@pytest.mark.parametrize(
    "case",
    [
        Persistence("1.1", b"GET / HTTP/1.1\r\nHost: x\r\n", kept=True, says=None),
        Persistence("1.1-close", b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n", kept=False, says="close"),
        Persistence("1.1-Close,x", b"GET / HTTP/1.1\r\nHost: x\r\nConnection: x, Close\r\n", kept=False, says="close"),
        Persistence(
            "1.1-two-lines",
            b"GET / HTTP/1.1\r\nHost: x\r\nConnection: x\r\nConnection: close\r\n",
            kept=False,
            says="close",
        ),
        Persistence("1.0", b"GET / HTTP/1.0\r\n", kept=False, says="close"),
        Persistence(
            "1.0-both", b"GET / HTTP/1.0\r\nConnection: close\r\nConnection: keep-alive\r\n", kept=False, says="close"
        ),
        Persistence("1.0-keep", b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n", kept=True, says="keep-alive"),
    ],
    ids=lambda case: case.name,
)
async def test_a_connection_is_kept_as_the_client_asks(case: Persistence, serve: Serve, connect: Connect) -> None:
    site = await serve(mirror)
    peer = await connect(site.port)
    for _ in range(3 if case.kept else 1):
        reply = await peer.ask(case.head + b"\r\n")
        assert (reply.status, reply.headers.get("connection"), reply.complete) == (200, case.says, True)
    if not case.kept:
        assert await peer.ending() == (b"", "fin")


async def streamed(stream: ServerStream) -> None:
    stream.start(200, [(b"content-type", b"text/plain")], length=None, first=b"one ")
    stream.write(b"two ")
    await stream.drain()
    stream.write(b"three")
    stream.finish()


async def test_an_answer_of_unknown_length_is_chunked(serve: Serve, connect: Connect) -> None:
    peer = await connect((await serve(streamed)).port)
    for _ in range(2):
        reply = await peer.ask(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (reply.headers["transfer-encoding"], reply.body, reply.complete) == ("chunked", b"one two three", True)


async def test_for_http_1_0_the_end_of_the_connection_ends_it(serve: Serve, connect: Connect) -> None:
    peer = await connect((await serve(streamed)).port)
    await peer.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    head, _, body = (await peer.ending())[0].partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head
    assert head.endswith(b"connection: close")
    assert body == b"one two three"


@pytest.mark.parametrize("handler", [mirror, streamed], ids=["length", "chunked"])
async def test_a_head_request_gets_the_head_only(
    handler: Callable[[ServerStream], Awaitable[None]], serve: Serve, connect: Connect
) -> None:
    peer = await connect((await serve(handler)).port)
    for _ in range(2):
        reply = await peer.ask(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n", method="HEAD")
        assert (reply.status, reply.body) == (200, b"")
    await peer.send(b"HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    received, _ = await peer.ending()
    assert received.endswith(b"\r\n\r\n")
    assert received.count(b"\r\n\r\n") == 1


@pytest.mark.parametrize("length", [0, 5, None])
@pytest.mark.parametrize("status", [204, 304])
async def test_a_status_without_a_body_has_none_whatever_the_handler_writes(
    status: int, length: int | None, serve: Serve, connect: Connect
) -> None:
    async def handler(stream: ServerStream) -> None:
        stream.start(status, [], length=length, first=b"first" if length else b"")
        stream.write(b"more")
        stream.finish()

    peer = await connect((await serve(handler)).port)
    for _ in range(3):
        reply = await peer.ask(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (reply.status, reply.body, reply.complete) == (status, b"", True)
        assert not {"content-length", "transfer-encoding"} & set(reply.headers)


async def test_a_large_first_piece_is_whole(serve: Serve, connect: Connect) -> None:
    async def handler(stream: ServerStream) -> None:
        stream.respond(Response(200, [], b"x" * 300_000))

    reply = await (await connect((await serve(handler)).port)).ask(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (reply.body, reply.complete) == (b"x" * 300_000, True)


class Unfinished(NamedTuple):
    name: str
    version: bytes
    length: int | None
    ended: str


@pytest.mark.parametrize(
    "case",
    [
        Unfinished("chunked", b"1.1", None, "fin"),
        Unfinished("length", b"1.1", 100, "fin"),
        Unfinished("http10", b"1.0", None, "rst"),
    ],
    ids=lambda case: case.name,
)
@pytest.mark.parametrize("how", ["cut", "returned"])
async def test_an_unfinished_answer_shows_that_it_is(
    how: str, case: Unfinished, serve: Serve, connect: Connect
) -> None:
    async def handler(stream: ServerStream) -> None:
        stream.start(200, [], length=case.length, first=b"begun")
        if how == "cut":
            stream.cut()

    peer = await connect((await serve(handler)).port)
    await peer.send(b"GET / HTTP/%b\r\nHost: x\r\n\r\n" % case.version)
    if case.ended == "rst":
        assert (await peer.ending())[1] == "rst", "only a reset tells an HTTP/1.0 client"
    else:
        reply = await peer.reply()
        assert (reply.body, reply.complete) == (b"begun", False)


@pytest.mark.parametrize(
    ("data", "said"),
    [(b"\x16\x03\x01\x02\x00\x01\x00", b"not TLS"), (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"not HTTP/2")],
)
async def test_another_protocol_is_called_by_its_name(data: bytes, said: bytes, serve: Serve, connect: Connect) -> None:
    site = await serve(mirror)
    peer = await connect(site.port)
    reply = await peer.ask(data)
    assert reply.status == 400
    assert said in reply.body
