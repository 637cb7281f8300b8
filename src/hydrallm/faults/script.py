"""What the provider does with a request, as data.

A reply is a frozen struct with a tag, so that a script can also be written as JSON or TOML::

    [[replies]]
    reply = "fail"
    status = 429
    headers = { retry-after = "1" }

    [[replies]]
    reply = "cut"
    at = "inside_event"
    events = 3

``Reply`` is the union to decode into (``msgspec.convert(table, Reply)``). Unknown fields are refused.

*Events* are counted in what is sent: the events of a stream as the wire format has them (role chunks, ``message_start``
and pings included), or the two halves of a plain JSON answer. A fault placed after event 1 of a plain answer is
therefore in the middle of its JSON.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

Seconds = Annotated[float, msgspec.Meta(ge=0)]
Count = Annotated[int, msgspec.Meta(ge=0)]
Status = Annotated[int, msgspec.Meta(ge=200, le=599)]
InterimStatus = Annotated[int, msgspec.Meta(ge=100, le=199)]
Encoding = Literal["identity", "gzip", "deflate", "zstd"]
Framing = Literal["auto", "length", "chunked", "eof"]
Ending = Literal["keep", "close", "drop"]
Departure = Literal["fin", "rst"]

TEXT = "Hello from a simulated provider, one word at a time."


class _Reply(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="reply"):
    """What all replies have.

    Attributes:
        delay: seconds between the end of the request and the first byte of the reply.
    """

    delay: Seconds = 0.0


class Answer(_Reply, frozen=True, kw_only=True, tag="answer"):
    """A right answer in the format of the request's path, plain or as a stream.

    Attributes:
        text: what the model says; a stream says it word by word.
        pause: seconds before each event but the first.
        encoding: the content coding of the body, whatever the client accepts.
        framing: how the body is delimited; ``auto`` is a Content-Length for a plain answer, chunks for a stream, and
            the end of the connection for a stream over HTTP/1.0.
        version: the HTTP version of the answer.
        interim: 1xx statuses sent first.
        ending: ``keep`` the connection; ``close`` it and say so; ``drop`` it right after the answer although
            keep-alive was announced, which is how a client comes to hold a stale connection.
        headers: added to the answer's.
        write_size: send the body in writes of this many bytes, wherever that cuts the events; 0 for a write an event.
    """

    text: str = TEXT
    pause: Seconds = 0.0
    encoding: Encoding = "identity"
    framing: Framing = "auto"
    version: Literal["1.1", "1.0"] = "1.1"
    interim: tuple[InterimStatus, ...] = ()
    ending: Ending = "keep"
    headers: dict[str, str] = {}
    write_size: Count = 0


class Fail(_Reply, frozen=True, kw_only=True, tag="fail"):
    """A whole response that is not an answer: any status, headers and body.

    Attributes:
        status: the status; 200 with a body that is no answer is a failure as well.
        headers: such as ``retry-after``; they replace the reply's own of the same name.
        body: sent as it is; None for an error in the shape of the request's format.
        message: the message in that shape.
        ending: as in :class:`Answer`.
    """

    status: Status = 500
    headers: dict[str, str] = {}
    body: str | None = None
    message: str = "The simulated provider was told to fail."
    ending: Ending = "keep"


class Hang(_Reply, frozen=True, kw_only=True, tag="hang"):
    """Nothing at all, until the peer leaves."""


class Cut(_Reply, frozen=True, kw_only=True, tag="cut"):
    """The connection ends before the answer does.

    Attributes:
        at: before the first byte; inside the header section; after it; after ``events`` events; or inside the event
            that follows those.
        events: how many whole events are sent first; only for the last two.
        how: ``fin`` closes, ``rst`` resets (what the peer has not read by then may be lost to it), ``clean`` ends the
            body correctly in HTTP's eyes, so that only the format can tell that the answer is not complete.
        pause: seconds before each event but the first, and before the cut.
        text: as in :class:`Answer`.
    """

    at: Literal["before_headers", "inside_headers", "after_headers", "after_events", "inside_event"] = "before_headers"
    events: Count = 1
    how: Literal["fin", "rst", "clean"] = "fin"
    pause: Seconds = 0.0
    text: str = TEXT


class Stall(_Reply, frozen=True, kw_only=True, tag="stall"):
    """An answer that falls silent.

    Attributes:
        events: how many events are sent first; 0 stalls right after the headers.
        seconds: how long the silence lasts before the answer goes on; None for until the peer leaves.
        text: as in :class:`Answer`.
    """

    events: Count = 1
    seconds: Seconds | None = None
    text: str = TEXT


class StreamError(_Reply, frozen=True, kw_only=True, tag="stream_error"):
    """A stream that says, in its format's own way, that it failed; a plain request gets the error as a response.

    Attributes:
        events: how many events are sent before the error.
        status: the status that the error would have as a response; it decides the error's type.
        message: the error's message.
        text: as in :class:`Answer`.
    """

    events: Count = 0
    status: Status = 503
    message: str = "The simulated provider was told to fail inside its stream."
    text: str = TEXT


class Malformed(_Reply, frozen=True, kw_only=True, tag="malformed"):
    """An answer that is not what it claims to be.

    Attributes:
        what: ``event`` is well-formed HTTP around an event, or a JSON body, that does not parse; the others break
            HTTP itself.
        events: how many good events come before the bad one; only for ``event``.
    """

    what: Literal[
        "event", "status_line", "header", "chunk_size", "chunk_end", "two_lengths", "length_and_chunked", "not_http"
    ] = "event"
    events: Count = 0


class Flood(_Reply, frozen=True, kw_only=True, tag="flood"):
    """A stream of valid events that is far bigger than anybody wants to hold.

    Attributes:
        size: bytes of body, at least.
        event_size: bytes of each event, about.
    """

    size: Count = 320 * 1024 * 1024
    event_size: Annotated[int, msgspec.Meta(ge=64)] = 16 * 1024


class Raw(_Reply, frozen=True, kw_only=True, tag="raw"):
    """Bytes sent as they are.

    Attributes:
        data: each character one byte (Latin-1).
        how: how the connection ends after them; None keeps it open for the next request.
    """

    data: str
    how: Departure | None = "fin"


Reply = Answer | Fail | Hang | Cut | Stall | StreamError | Malformed | Flood | Raw
