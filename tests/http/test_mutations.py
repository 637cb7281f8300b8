"""Ten thousand mutations of requests, good and bad, against a live server: scorecard row 15, second half.

The judge is h11, whose parser shares nothing with llhttp. Whatever our handler is shown, h11 must read from the same
bytes: the same requests in the same order, up to where we refuse. Three kinds of leniency, which RFC 9112 allows a
server and which llhttp has and h11 has not, are evened out before h11 looks (:func:`evened`). Another seed may meet a
fourth: h11 reads at most 20 digits of a chunk size, zeros at its start included.

Beside that: no answer of 500, no exception, no connection that outlives its client.
"""

from __future__ import annotations

import asyncio
import random
import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import h11
import pytest

from hydrallm.errors import RequestError
from hydrallm.http.limits import Limits
from hydrallm.message import Response

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Scorecard
    from tests.http.conftest import Serve

    from hydrallm.http.server_stream import ServerStream

TABLE = Path(__file__).parents[1] / "golden" / "http" / "malformed.tsv"
COUNT = 10_000
SEED = 15
TURNS = 20
"""Of the loop, for a mutation: to accept, to read, and one for each request sent ahead."""
LIMITS = Limits(linger=0.05, sweep_interval=0.02, max_body=100_000)

VALID = [
    b"GET /a?b=c HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n",
    b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nhello world",
    b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
    b'PUT /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a="b"\r\nhello\r\n0\r\nX: y\r\n\r\n',
    (
        b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
        b"GET /3 HTTP/1.1\r\nHost: a\r\n\r\n"
    ),
    (
        b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 35\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
        b"GET /b HTTP/1.1\r\nHost: a\r\n\r\n"
    ),
    b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /2 HTTP/1.0\r\n\r\n",
    b"DELETE /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    b"GET http://b.example/x HTTP/1.1\r\nHost: a\r\nX-Long: " + b"y" * 300 + b"\r\n\r\n",
    b"POST /a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nab",
]
TOKENS = [
    b"\r\n", b"\n", b"\r", b"\r\n\r\n", b" ", b"\t", b"\x00", b"\x0b", b"\x0c", b"\x7f", b"\x80", b"\xff", b":", b",",
    b";", b'"', b"0", b"0\r\n\r\n", b"+", b"-", b"_", b"0x", b"#", b"?", b"@", b"//", b"chunked", b"close",
    b"keep-alive", b"HTTP/1.0", b"HTTP/1.1", b"HTTP/2.0", b"HTTP/0.9", b"Content-Length: 0\r\n",
    b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n",
    b"Connection: close\r\n", b"Host: b\r\n", b"Upgrade: h2c\r\n", b"18446744073709551617", b"ffffffffffffffff",
]  # fmt: skip


class Seen(NamedTuple):
    method: bytes
    target: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


def seeds() -> list[bytes]:
    lines = [line for line in TABLE.read_text(encoding="ascii").splitlines() if not line.startswith("#")]
    bad = [line.split("\t")[2].encode().decode("unicode_escape").encode("latin-1") for line in lines]
    return VALID * (1 + len(bad) // len(VALID)) + bad


def mutations(count: int, seed: int) -> Iterator[bytes]:
    chance = random.Random(seed)
    stock = seeds()
    for _ in range(count):
        data = bytearray(chance.choice(stock))
        for _ in range(chance.choice((1, 1, 1, 2, 3, 5))):
            _mutate(data, chance, stock)
        yield bytes(data)


def _mutate(data: bytearray, chance: random.Random, stock: list[bytes]) -> None:
    at = chance.randrange(len(data) + 1)
    length = min(chance.choice((1, 1, 2, 4, 16)), len(data) - at)
    match chance.randrange(7):
        case 0:
            data[at : at + 1] = bytes([chance.randrange(256)])
        case 1 | 2:
            data[at:at] = chance.choice(TOKENS)
        case 3:
            del data[at : at + length]
        case 4:
            data[at:at] = data[at : at + length] * chance.choice((1, 2, 50))
        case 5:
            lines = data.split(b"\r\n")
            one, other = chance.randrange(len(lines)), chance.randrange(len(lines))
            lines[one], lines[other] = lines[other], lines[one]
            data[:] = b"\r\n".join(lines)
        case _:
            other_seed = chance.choice(stock)
            data[at:] = other_seed[chance.randrange(len(other_seed)) :]


_REQUEST_LINE = re.compile(rb"\A([A-Z-]+) +([^ \r\n]+) +(?:HTTP|RTSP|ICE)(/[0-9.]+\r\n)")


def evened(data: bytes) -> bytes:
    """Take out what llhttp forgives at the start of a request.

    Empty lines before it (RFC 9112 section 2.2), runs of spaces in its first line (section 3), and the name of the
    protocol where llhttp knows it too.
    """
    return _REQUEST_LINE.sub(rb"\1 \2 HTTP\3", data.lstrip(b"\r\n"))


def read_by_h11(data: bytes) -> Iterator[Seen]:
    """Yield the requests that h11 reads from ``data``, as long as the connection lasts."""
    while True:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
        data = evened(data)
        if not data:
            return
        connection.receive_data(data)
        request: h11.Request | None = None
        body = b""
        try:
            while not isinstance(event := connection.next_event(), h11.EndOfMessage):
                if isinstance(event, h11.Request):
                    request = event
                elif isinstance(event, h11.Data):
                    body += event.data
                else:
                    return
        except h11.RemoteProtocolError:
            return
        assert request is not None
        yield Seen(request.method, request.target.partition(b"#")[0], tuple(request.headers), body)
        tokens = {
            token.strip().lower()
            for name, value in request.headers
            if name == b"connection"
            for token in value.split(b",")
        }
        if b"close" in tokens or (request.http_version == b"1.0" and b"keep-alive" not in tokens):
            return
        data = connection.trailing_data[0]


def target_of(stream: ServerStream) -> bytes:
    return stream.path + (b"?" + stream.query if stream.query else b"")


def same_target(ours: bytes, theirs: bytes) -> bool:
    """Whether a target is the one that h11 read; ours is in origin form, with one slash at its start."""
    _, separator, rest = theirs.partition(b"://")
    if separator and not theirs.startswith(b"/"):
        theirs = re.sub(rb"\A[^/?]*", b"", rest)
    path, question, query = theirs.partition(b"?")
    return ours == b"/" + path.lstrip(b"/") + (question + query if query else b"")


class Recorder:
    """A handler that notes every complete request."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []

    async def __call__(self, stream: ServerStream) -> None:
        try:
            body = await stream.body()
        except RequestError as error:
            stream.keep_alive = False
            stream.respond(Response(error.status, []))
            return
        headers = tuple((name, value.strip()) for name, value in stream.headers)
        self.seen.append(Seen(stream.method, target_of(stream), headers, body))
        stream.respond(Response(200, []))


def exchange_begin(port: int, data: bytes) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port))
    sock.sendall(data)
    sock.setblocking(False)
    return sock


def statuses(sock: socket.socket) -> list[int]:
    try:
        received = sock.recv(1 << 20)
    except BlockingIOError:
        return []
    except ConnectionError:
        return [0]
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", received)]


@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_mutations(serve: Serve, scorecard: Scorecard) -> None:
    loop = asyncio.get_running_loop()
    recorder = Recorder()
    site = await serve(recorder, LIMITS)
    began = loop.time()
    answered = accepted = refused = 0
    for number, data in enumerate(mutations(COUNT, SEED)):
        recorder.seen.clear()
        sock = exchange_begin(site.port, data)
        for _ in range(TURNS):
            await asyncio.sleep(0)
        got = statuses(sock)
        sock.close()
        where = f"mutation {number} of seed {SEED}: {data!r}"
        assert not [status for status in got if status >= 500 and status not in {501, 505}], where
        theirs = list(read_by_h11(data)) if recorder.seen else []
        assert len(recorder.seen) <= len(theirs), f"{where}\nours: {recorder.seen}\nh11: {theirs}"
        for ours, other in zip(recorder.seen, theirs, strict=False):
            assert same_target(ours.target, other.target), where
            assert ours._replace(target=b"") == other._replace(target=b""), where
        answered += bool(got)
        accepted += len(recorder.seen)
        refused += any(400 <= status < 600 for status in got)
    seconds = loop.time() - began
    async with asyncio.timeout(1):  # no clock has run out by then: the clients have left, that is all
        await site.until(lambda: not site.server.connections)
    assert site.faults == []
    assert accepted > COUNT // 10, "too few mutations were left valid to compare anything"
    assert refused > COUNT // 10
    value = f"{COUNT} in {seconds:.1f} s: {accepted} taken, {refused} refused"
    title = f"mutations ({answered} answered): no crash, hang, 5xx, smuggled request"
    scorecard(15, title, value, "0 differences from h11", True)
