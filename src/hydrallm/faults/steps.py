"""A reply, performed: the bytes, pauses and ends that it consists of.

PURE in spirit (it does no I/O): :func:`steps` turns a reply and the question it answers into what the provider then
does one by one. So all faults can be combined with all formats, framings and codings, and none of them knows a socket.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from hydrallm.faults import answers, failures, streams
from hydrallm.faults.script import (
    Answer,
    Cut,
    Fail,
    Flood,
    Hang,
    Malformed,
    Raw,
    Reply,
    Stall,
    StreamError,
)
from hydrallm.faults.wire import LAST_CHUNK, chunk, coded, response_head

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hydrallm.faults.answers import Question
    from hydrallm.faults.script import Finish, Framing, Place
    from hydrallm.message import Headers


class Pause(msgspec.Struct, frozen=True):
    """Wait for ``seconds``, or, without, until the peer leaves."""

    seconds: float | None


class End(msgspec.Struct, frozen=True):
    """End the connection: ``fin`` closes it, ``rst`` resets it."""

    how: Literal["fin", "rst"]


Step = bytes | Pause | End

_JSON = b"application/json"

# Whole responses that break HTTP/1.1 (RFC 9112), each in one place.
_OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
_BROKEN_HTTP = {
    "status_line": b"HTTP/1.1 two-hundred OK\r\ncontent-length: 2\r\n\r\n{}",
    "header": _OK + b"content length: 2\r\n\r\n{}",
    "chunk_size": _OK + b"transfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "chunk_end": _OK + b"transfer-encoding: chunked\r\n\r\n2\r\n{}}\r\n0\r\n\r\n",
    "two_lengths": _OK + b"content-length: 2\r\ncontent-length: 3\r\n\r\n{}",
    "length_and_chunked": _OK + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "not_http": b"SSH-2.0-OpenSSH_9.2\r\n",
}


def steps(reply: Reply, asked: Question) -> Iterator[Step]:
    """Yield what is to be done to give ``reply`` to ``asked``.

    If no :class:`End` is among the steps, the connection is kept for the next request.
    """
    if reply.delay:
        yield Pause(reply.delay)
    yield from _PERFORMANCES[type(reply)](reply, asked)


def _content(asked: Question, text: str, finish: Finish = "stop") -> tuple[bytes, list[bytes]]:
    """Return the Content-Type and the events: those of the stream, or the two halves of the JSON."""
    if asked.stream:
        return streams.content_type(asked), streams.events(asked, text, finish)
    body = answers.plain(asked, text, finish)
    return _JSON, [body[: len(body) // 2], body[len(body) // 2 :]]


def _placed(asked: Question, text: str, place: Place) -> int:
    """Return how many events come before ``place``."""
    if isinstance(place, int):
        return place
    if not asked.stream:
        return {"preamble": 0, "content": 1, "closing": 1}[place]
    parts = streams.outline(asked, text)
    return {
        "preamble": parts.preamble,
        "content": parts.preamble + (parts.content + 1) // 2,
        "closing": parts.preamble + parts.content + parts.closing,
    }[place]


def _headers(asked: Question, content_type: bytes, extra: dict[str, str] | None = None) -> Headers:
    own = [(b"content-type", content_type), *answers.identity_headers(asked)]
    added = [(name.lower().encode(), value.encode("latin-1")) for name, value in (extra or {}).items()]
    replaced = {name for name, _ in added}
    return [field for field in own if field[0] not in replaced] + added


class _Body:
    """The pieces of a body with the headers that delimit them; ``framing`` is resolved."""

    def __init__(self, pieces: list[bytes], framing: Framing) -> None:
        self._framing = framing
        self.pieces = pieces
        length = str(sum(map(len, pieces))).encode()
        self.headers: Headers = {
            "length": [(b"content-length", length)],
            "chunked": [(b"transfer-encoding", b"chunked")],
        }.get(framing, [(b"connection", b"close")])
        self.end = LAST_CHUNK if framing == "chunked" else b""

    def framed(self, piece: bytes) -> bytes:
        return chunk(piece) if self._framing == "chunked" and piece else piece


def _body(asked: Question, pieces: list[bytes]) -> _Body:
    return _Body(pieces, "chunked" if asked.stream else "length")


def _answer(reply: Answer, asked: Question) -> Iterator[Step]:
    content_type, events = _content(asked, reply.text, reply.finish)
    pieces = coded(events, reply.encoding)
    if reply.write_size:
        whole = b"".join(pieces)
        pieces = [whole[at : at + reply.write_size] for at in range(0, len(whole), reply.write_size)]
    framing = reply.framing
    if framing == "auto":
        framing = "length" if not asked.stream else "chunked" if reply.version == "1.1" else "eof"
    body = _Body(pieces, framing)
    headers = _headers(asked, content_type, reply.headers) + body.headers
    if reply.encoding != "identity":
        headers.append((b"content-encoding", reply.encoding.encode()))
    if reply.ending == "close" and framing != "eof":
        headers.append((b"connection", b"close"))
    for status in reply.interim:
        yield response_head(status, [(b"x-interim", b"yes")])
    yield response_head(200, headers, reply.version)
    yield from _paced(body, body.pieces, reply.pause)
    if body.end:
        yield body.end
    if reply.ending != "keep" or framing == "eof" or reply.version == "1.0":
        yield End("fin")


def _paced(body: _Body, pieces: list[bytes], pause: float) -> Iterator[Step]:
    for number, piece in enumerate(pieces):
        if pause and number:
            yield Pause(pause)
        yield body.framed(piece)


def _fail(reply: Fail, asked: Question) -> Iterator[Step]:
    failed = failures.failure(asked, reply, 500)
    if reply.body is None:
        content = answers.encode(failures.body(asked, failed))
        typed = failures.headers(asked, failed)
    else:
        content, typed = reply.body.encode(), []
    body = _Body([content], "length")
    bodiless = failed.status in {204, 304}
    headers = _headers(asked, _JSON, reply.headers) + typed + ([] if bodiless else body.headers)
    if reply.ending == "close":
        headers.append((b"connection", b"close"))
    yield response_head(failed.status, headers) + (b"" if bodiless else content)
    if reply.ending != "keep":
        yield End("fin")


def _cut(reply: Cut, asked: Question) -> Iterator[Step]:
    how = "fin" if reply.how == "clean" else reply.how
    if reply.at == "before_headers":
        yield End(how)
        return
    content_type, events = _content(asked, reply.text)
    place = _placed(asked, reply.text, reply.events)
    sent = events[:place] if reply.at in {"after_events", "inside_event"} else []
    if reply.at == "inside_event":
        sent.extend(event[: len(event) // 2] for event in events[place : place + 1])
    body = _body(asked, sent if reply.how == "clean" else events)
    head = response_head(200, _headers(asked, content_type) + body.headers)
    inside_headers = reply.at == "inside_headers"
    yield head[: len(head) // 2] if inside_headers else head
    yield from _paced(body, [] if inside_headers else sent, reply.pause)
    if reply.pause:
        yield Pause(reply.pause)
    if reply.how != "clean" or inside_headers:
        yield End(how)
    elif body.end:
        yield body.end


def _stall(reply: Stall, asked: Question) -> Iterator[Step]:
    content_type, events = _content(asked, reply.text)
    body = _body(asked, events)
    yield response_head(200, _headers(asked, content_type) + body.headers)
    place = _placed(asked, reply.text, reply.events)
    for event in events[:place]:
        yield body.framed(event)
    if reply.beat and asked.stream:
        sign = body.framed(streams.idle_event(asked))
        for _ in itertools.count() if reply.seconds is None else range(int(reply.seconds / reply.beat)):
            yield Pause(reply.beat)
            yield sign
    else:
        yield Pause(reply.seconds)
    for event in events[place:]:
        yield body.framed(event)
    if body.end:
        yield body.end


def _stream_error(reply: StreamError, asked: Question) -> Iterator[Step]:
    failed = failures.failure(asked, reply, 503)
    if not asked.stream:
        fail = Fail(status=failed.status, type=failed.type, code=failed.code, message=failed.message)
        yield from _fail(fail, asked)
        return
    content_type, events = _content(asked, reply.text)
    sent = events[: _placed(asked, reply.text, reply.events)]
    error = streams.error_event(asked, failed, reply.form)
    yield from _whole_stream(asked, content_type, [*sent, error], reply.pause)


def _malformed(reply: Malformed, asked: Question) -> Iterator[Step]:
    if reply.what not in {"event", "crc"}:
        yield _BROKEN_HTTP[reply.what]
        yield End("fin")
        return
    content_type, events = _content(asked, reply.text)
    if asked.stream:
        place = _placed(asked, reply.text, reply.events)
        bad = [streams.malformed_event(asked, crc=reply.what == "crc")] * reply.count
        yield from _whole_stream(asked, content_type, [*events[:place], *bad, *events[place:]], reply.pause)
    else:
        yield from _whole_stream(asked, content_type, [b'{"id": "broken", ', *events[1:]], reply.pause)


def _whole_stream(asked: Question, content_type: bytes, pieces: list[bytes], pause: float) -> Iterator[Step]:
    body = _body(asked, pieces)
    yield response_head(200, _headers(asked, content_type) + body.headers)
    yield from _paced(body, pieces, pause)
    if body.end:
        yield body.end


def _flood(reply: Flood, asked: Question) -> Iterator[Step]:
    opening, filler, closing = streams.filler(asked, reply.event_size)
    yield response_head(200, [*_headers(asked, streams.content_type(asked)), (b"transfer-encoding", b"chunked")])
    yield chunk(opening)
    framed = chunk(filler)
    for _ in range(-(-reply.size // len(filler))):
        yield framed
    yield chunk(closing) + LAST_CHUNK


def _hang(_reply: Hang, _asked: Question) -> Iterator[Step]:
    yield Pause(None)


def _raw(reply: Raw, _asked: Question) -> Iterator[Step]:
    yield reply.data.encode("latin-1")
    if reply.how:
        yield End(reply.how)


_PERFORMANCES: dict[type[Reply], Callable[[Any, Question], Iterator[Step]]] = {
    Answer: _answer,
    Fail: _fail,
    Hang: _hang,
    Cut: _cut,
    Stall: _stall,
    StreamError: _stream_error,
    Malformed: _malformed,
    Flood: _flood,
    Raw: _raw,
}
