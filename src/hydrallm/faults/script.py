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
therefore in the middle of its JSON. A *place* is such a count, or what it means in any format:

- ``preamble``: after all that comes before the first content; nothing of a plain answer;
- ``content``: after half of the words; half of a plain answer;
- ``closing``: after all but what makes the answer complete (the finish reason of Chat, ``message_stop``, ...).
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

Place = Count | Literal["preamble", "content", "closing"]
Finish = Literal["stop", "length", "filtered"]
ErrorForm = Literal["nested", "flat", "failed"]
Cause = Literal[
    "rate_limited",
    "quota",
    "server",
    "overloaded",
    "transient",
    "auth",
    "model_unknown",
    "context_length",
    "content_filter",
    "client_error",
]


def numbered(count: int, word: str = "word") -> str:
    """Return a text by which a reader can tell that nothing is missing, doubled or out of order, and who said it."""
    return " ".join(f"{word}{number}" for number in range(1, count + 1))


TEXT = numbered(10)


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
        finish: why it ends: it has said all, reached its token limit, or was stopped by the content filter.
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
    finish: Finish = "stop"
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
        cause: what went wrong, to be said as the request's API says it (:mod:`hydrallm.faults.failures`).
        status: the status; None for the cause's, or 500 without a cause. 200 with a body that is no answer is a
            failure as well.
        type: the error's type, or the exception's name; None for the cause's, or what follows from the status.
        code: the error's code, where the API has one; None for the cause's.
        message: for a person; None for the cause's.
        headers: such as ``retry-after``; they replace the reply's own of the same name.
        body: sent as it is; None for an error in the shape of the request's format, made of the above.
        ending: as in :class:`Answer`.
    """

    cause: Cause | None = None
    status: Status | None = None
    type: str | None = None
    code: str | None = None
    message: str | None = None
    headers: dict[str, str] = {}
    body: str | None = None
    ending: Ending = "keep"


class Hang(_Reply, frozen=True, kw_only=True, tag="hang"):
    """Nothing at all, until the peer leaves."""


class Cut(_Reply, frozen=True, kw_only=True, tag="cut"):
    """The connection ends before the answer does.

    Attributes:
        at: before the first byte; inside the header section; after it; after ``events`` events; or inside the event
            that follows those.
        events: the place; only for the last two.
        how: ``fin`` closes, ``rst`` resets (what the peer has not read by then may be lost to it), ``clean`` ends the
            body correctly in HTTP's eyes, so that only the format can tell that the answer is not complete.
        pause: seconds before each event but the first, and before the cut.
        text: as in :class:`Answer`.
    """

    at: Literal["before_headers", "inside_headers", "after_headers", "after_events", "inside_event"] = "before_headers"
    events: Place = 1
    how: Literal["fin", "rst", "clean"] = "fin"
    pause: Seconds = 0.0
    text: str = TEXT


class Stall(_Reply, frozen=True, kw_only=True, tag="stall"):
    """An answer that falls silent.

    Attributes:
        events: the place; 0 stalls right after the headers.
        seconds: how long the silence lasts before the answer goes on; None for until the peer leaves.
        beat: seconds between the signs of life that a stream gives meanwhile (pings, comments, empty deltas); 0: none.
        text: as in :class:`Answer`.
    """

    events: Place = 1
    seconds: Seconds | None = None
    beat: Seconds = 0.0
    text: str = TEXT


class StreamError(_Reply, frozen=True, kw_only=True, tag="stream_error"):
    """A stream that says, in its format's own way, that it failed; a plain request gets the error as a response.

    Attributes:
        events: the place.
        cause: as in :class:`Fail`.
        status: the status that the error would have as a response; None for the cause's, or 503 without a cause.
        type: as in :class:`Fail`.
        code: as in :class:`Fail`.
        message: as in :class:`Fail`.
        form: how Responses say it, which has three ways: an ``error`` event with the error inside (what is seen), the
            same flat (what is documented), or ``response.failed``.
        pause: seconds before each event but the first, and before the error.
        text: as in :class:`Answer`.
    """

    events: Place = 0
    cause: Cause | None = None
    status: Status | None = None
    type: str | None = None
    code: str | None = None
    message: str | None = None
    form: ErrorForm = "nested"
    pause: Seconds = 0.0
    text: str = TEXT


class Malformed(_Reply, frozen=True, kw_only=True, tag="malformed"):
    """An answer that is not what it claims to be.

    Attributes:
        what: ``event`` is well-formed HTTP around an event, or a JSON body, that does not parse; ``crc`` is the same
            with a wrong checksum where the format's frames have one; the others break HTTP itself.
        events: the place of the bad event; the good ones go on after it.
        count: how many bad ones, one after the other.
        pause: seconds before each event but the first.
        text: as in :class:`Answer`.
    """

    what: Literal[
        "event",
        "crc",
        "status_line",
        "header",
        "chunk_size",
        "chunk_end",
        "two_lengths",
        "length_and_chunked",
        "not_http",
    ] = "event"
    events: Place = 0
    count: Annotated[int, msgspec.Meta(ge=1)] = 1
    pause: Seconds = 0.0
    text: str = TEXT


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
