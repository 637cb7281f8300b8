"""Malformed and smuggling payloads against a live server: scorecard row 15, first half.

The table is ``tests/golden/http/malformed.tsv``. A case is right if its last answer has a status of the table, if the
server then closes, and if nothing of it that begins with ``/smuggled`` was taken for a request.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import h11
import pytest

from hydrallm.errors import RequestError
from hydrallm.http.limits import Limits
from hydrallm.message import Response

if TYPE_CHECKING:
    from tests.conftest import Scorecard
    from tests.http.conftest import Connect, Peer, Serve

    from hydrallm.http.server_stream import ServerStream

TABLE = Path(__file__).parents[1] / "golden" / "http" / "malformed.tsv"
LIMITS = Limits(max_body=1000, head_timeout=0.4, body_timeout=0.4, keep_alive=0.4, linger=0.1, sweep_interval=0.02)


class Case(NamedTuple):
    name: str
    statuses: tuple[int, ...]
    data: bytes


def unescaped(text: str) -> bytes:
    return re.sub(rb"\\x([0-9a-f]{2})|\\(.)", _unescaped_one, text.encode("ascii"))


def _unescaped_one(match: re.Match[bytes]) -> bytes:
    return bytes([int(match[1], 16)]) if match[1] else {b"r": b"\r", b"n": b"\n", b"t": b"\t"}[match[2]]


def read_table() -> list[Case]:
    cases = []
    for line in TABLE.read_text(encoding="ascii").splitlines():
        if not line.startswith("#"):
            name, statuses, data = line.split("\t")
            cases.append(Case(name, tuple(map(int, statuses.split(","))), unescaped(data)))
    return cases


# What comes in one read (256 KB) is parsed as a whole, so some of these are longer than that.
LONG = [
    Case("long-method", (400, 431), b"G" * 100_000 + b" / HTTP/1.1\r\nHost: a\r\n\r\n"),
    Case("long-target", (431,), b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n"),
    Case("long-version", (400, 431), b"GET / HTTP/1.1" + b"1" * 100_000 + b"\r\nHost: a\r\n\r\n"),
    Case("long-name", (431,), b"GET / HTTP/1.1\r\nHost: a\r\n" + b"N" * 100_000 + b": y\r\n\r\n"),
    Case("long-value", (431,), b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 100_000 + b"\r\n\r\n"),
    Case("many-headers", (431,), b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 10_000 + b"\r\n"),
    Case("many-hosts", (400, 431), b"GET / HTTP/1.1\r\n" + b"Host: a\r\n" * 100 + b"\r\n"),
    Case("many-empty-lines", (431,), b"\r\n" * 50_000),
    Case("many-spaces", (400, 431), b"GET" + b" " * 600_000 + b"/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    Case(
        "long-chunk-size",
        (400, 431),
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + b"0" * 600_000,
    ),
    Case(
        "long-chunk-extension",
        (400, 431),
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;"
        + b"x" * 600_000
        + b"\r\nhello\r\n0\r\n\r\n",
    ),
    Case(
        "many-trailers",
        (400, 413, 431),
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: y\r\n" * 100_000,
    ),
]
CASES = read_table() + LONG


async def answer(stream: ServerStream) -> None:
    try:
        await stream.body()
    except RequestError as error:
        stream.keep_alive = False
        stream.respond(Response(error.status, []))
    else:
        stream.respond(Response(200, [], stream.path))


async def last_status(peer: Peer) -> int:
    """Read answers until the server closes; return the last one's status."""
    status = 0
    while True:
        try:
            reply = await peer.reply()
        except (h11.RemoteProtocolError, ConnectionResetError):
            return status
        assert reply.complete
        status = reply.status
        if reply.headers.get("connection") == "close":
            rest, ended = await peer.ending()
            assert rest == b"", "something follows the last answer"
            assert ended == "fin"
            return status


def test_the_table_is_large_and_its_names_are_unique() -> None:
    assert len(CASES) >= 60
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("pieces", ["whole", "in-two", "byte-by-byte"])
async def test_every_payload_is_refused_and_nothing_smuggled(
    pieces: str, serve: Serve, connect: Connect, scorecard: Scorecard
) -> None:
    site = await serve(answer, LIMITS)
    wrong = []
    for case in CASES:
        site.served.clear()
        peer = await connect(site.port)
        middle = len(case.data) // 2
        # Behind an answer that closes, further bytes would only reset the connection.
        if pieces == "byte-by-byte" and len(case.data) < 400 and 200 not in case.statuses:
            await peer.send_apart(*[bytes([byte]) for byte in case.data])
        elif pieces == "in-two":
            await peer.send_apart(case.data[:middle], case.data[middle:])
        else:
            await peer.send(case.data)
        status = await last_status(peer)
        paths = [stream.path for stream in site.served]
        if status not in case.statuses or any(path.startswith(b"/smuggled") for path in paths):
            wrong.append((case.name, status, paths))
    assert wrong == [], "\n".join(map(repr, wrong))
    figure = f"{len(CASES) - len(wrong)} of {len(CASES)} right, 0 smuggled"
    scorecard(15, f"malformed and smuggling payloads, sent {pieces}", figure, "all", not (wrong or site.faults))


class Lenience(NamedTuple):
    name: str
    data: bytes
    path: str


@pytest.mark.parametrize(
    "case",
    [
        Lenience("empty-lines-before", b"\r\n\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n", "/x"),
        Lenience("bare-lf-before", b"\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n", "/x"),
        Lenience("spaces-in-request-line", b"GET   /x   HTTP/1.1\r\nHost: a\r\n\r\n", "/x"),
        Lenience("rtsp-with-a-method-of-http", b"GET /x RTSP/1.1\r\nHost: a\r\n\r\n", "/x"),
    ],
    ids=lambda case: case.name,
)
async def test_what_llhttp_forgives_is_still_one_request(case: Lenience, serve: Serve, connect: Connect) -> None:
    """RFC 9112 sections 2.2 and 3 allow the first three; the protocol's name is not shown to us. All are harmless."""
    site = await serve(answer, LIMITS)
    peer = await connect(site.port)
    assert (await peer.ask(case.data)).body.decode() == case.path
    assert (await peer.ask(b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n")).body == b"/next"
    assert len(site.served) == 2
