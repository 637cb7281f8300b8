"""What the scans of all formats that stream server-sent events have in common.

PURE, and on the path of every chunk of a stream. An event is looked at in one of two ways:

- *Read*: it is parsed as the standard says and its JSON becomes a dict, of which the format takes note. Every event is
  read until content has been seen; that is seldom more than three.
- *Recognised*: once the answer flows, nearly every event says the same as the one before. The format describes such
  an *ordinary* event as a type; what decodes as that type needs no further look, and a chunk of nothing else is
  passed on as the object it came in. msgspec checks all the JSON while it skips what the type does not name, so a
  malformed event is never ordinary. What does not decode is read.

Recognising is strict and reading tolerant: an event that is odd (a NaN, a lone surrogate, a lone CR, two data lines) is
read at some times the cost, and no more harm is done.
"""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING, Any, ClassVar

from hydrallm.formats import sse
from hydrallm.formats.json_value import is_utf8, read_json
from hydrallm.formats.problem import is_error, problem_of, read_error

if TYPE_CHECKING:
    import msgspec

    from hydrallm.formats.base import Problem

STREAM_TYPE = b"text/event-stream"

KEEP_ALIVE = b": waiting\n\n"
"""A comment. Clients know such a one, with a blank line, from OpenRouter and DeepSeek."""

_QUOTED = 80
"""Characters of a malformed event that are quoted."""


class SseScan(abc.ABC):
    """The scan of one stream of server-sent events; see :class:`~hydrallm.formats.base.Scan`.

    An event named ``error``, or whose JSON reports one (:func:`is_error`), is the stream's problem in every format. An
    event without data, such as a comment, means nothing, and so does one named ``ping``. ``[DONE]`` is OpenAI's end;
    where the format has another one, it means nothing.
    """

    __slots__ = (
        "_after_malformed",
        "_flows",
        "_framer",
        "_ordinary",
        "_silent",
        "broken",
        "content",
        "dropped",
        "ended",
        "filtered",
        "problem",
    )

    ordinary: ClassVar[msgspec.json.Decoder[Any]]
    """Of the type of an ordinary event."""

    def __init__(self) -> None:
        self.content = False
        self.ended = False
        self.filtered = False
        self.problem: Problem | None = None
        self.broken = ""
        self.dropped = 0
        self._framer = sse.Framer()
        self._ordinary = self.ordinary.decode
        self._silent = True  # no event has had any data
        self._flows = False  # ordinary events may be passed on unread
        self._after_malformed = False

    @property
    def complete(self) -> bool:
        """Whether the answer is complete, if nothing more comes."""
        return self.ended

    def feed(self, data: bytes) -> bytes:
        """Take what has arrived; return the whole events among it and before it, to be passed on; may be empty."""
        if self._flows and data.endswith((b"\n\n", b"\n\r\n")) and not self._framer.rest and self._recognises(data):
            return data
        if self.ended:
            return data
        if self.problem is not None or self.broken:
            return b""
        return self._take(self._framer.feed(data))

    def finish(self) -> bytes:
        """Take note that nothing more comes; return the last event, where only its final blank line is missing.

        That line is added, for a client would discard the event without it. Half an event is not returned.
        """
        rest = self._framer.flush()
        if not rest or self.problem is not None or self.broken:
            return b""
        if self._silent and (body := _json_object(rest)) is not None:
            self._refuse(body)
            return b""
        name, data = sse.parse(rest)
        if not rest.endswith((b"\n", b"\r")) or (data is None and name != b"error"):
            return b""
        return self._take([rest + sse.blank_line_after(rest)])

    @abc.abstractmethod
    def _note(self, kind: str, event: dict[str, Any]) -> None:
        """Take note of what an event says.

        Args:
            kind: its ``type``, or else its name; empty if it has neither.
            event: its JSON.
        """

    def _done(self) -> None:  # noqa: B027 - nothing is what it means in most formats
        """Take note of ``data: [DONE]``."""

    def _recognises(self, data: bytes) -> bool:
        """Return whether ``data``, which ends in a blank line, consists of ordinary events."""
        if b"\r" in data and b"\r" in (data := data.replace(b"\r\n", b"\n")):
            return False
        if not (data.isascii() or is_utf8(data)):
            return False
        ordinary, start, size = self._ordinary, 0, len(data)
        try:
            while start < size:
                end = data.find(b"\n\n", start)
                line = data.rfind(b"\n", start, end) + 1 or start
                if not data.startswith(b"data:", line) or (line != start and not _is_name(data, start, line)):
                    return False
                ordinary(data[line + 5 : end])
                start = end + 2
        except (ValueError, RecursionError):
            return False
        self._after_malformed = False
        return True

    def _take(self, events: list[bytes]) -> bytes:
        passed = []
        for event in events:
            if self.ended or (self._flows and self._recognises(event)) or self._read(event):
                passed.append(event)
            if self.problem is not None or self.broken:
                break
        else:
            if len(self._framer.rest) > sse.LIMIT:
                self.broken = _TOO_LONG
            elif self.ended and self._framer.rest:
                passed.append(self._framer.flush())
        self._flows = self.content and not (self.ended or self.broken or self.problem is not None)
        return b"".join(passed)

    def _read(self, event: bytes) -> bool:
        """Look at a whole event; return whether it is to be passed on."""
        if len(event) > sse.LIMIT:
            self.broken = _TOO_LONG
            return False
        name, data = sse.parse(event.removeprefix(sse.BYTE_ORDER_MARK) if self._silent else event)
        if name == b"error":
            self.problem = read_error(data or b"")
            return False
        if not data or name == b"ping":  # SDKs skip a ping unread, and some servers put the time into it
            return True
        self._silent = False
        if data.startswith(b"[DONE]"):
            self._done()
            return not self.broken
        return self._read_json(name, data)

    def _read_json(self, name: bytes, data: bytes) -> bool:
        body = _json_object(data)
        if body is None:
            self._drop(data)
            return False
        self._after_malformed = False
        if is_error(body):
            self.problem = read_error(data)
        else:
            kind = body.get("type")
            self._note(kind if isinstance(kind, str) else name.decode("utf-8", "replace"), body)
        return self.problem is None and not self.broken

    def _drop(self, data: bytes) -> None:
        said = data[: 4 * _QUOTED].decode("utf-8", "replace")[:_QUOTED]
        if not self.content:
            self.broken = f"before any content an event is not a JSON object: {said!r}"
        elif self._after_malformed:
            self.broken = f"two events in a row are not JSON objects: {said!r}"
        else:
            self.dropped += 1
            self._after_malformed = True

    def _refuse(self, body: dict[str, Any]) -> None:
        """Take note that the stream was no stream, but one JSON object."""
        if is_error(body):
            self.problem = problem_of(body)
        else:
            self.broken = "the body is one JSON object and not a stream of events"


_TOO_LONG = f"an event is longer than {sse.LIMIT} bytes"


def _is_name(data: bytes, start: int, end: int) -> bool:
    """Return whether ``data`` has one line from ``start`` to ``end``, and it names an event, and not an error."""
    return (
        data.startswith(b"event: ", start)
        and data.find(b"\n", start) == end - 1
        and not data.startswith(b"event: error\n", start)
    )


def _json_object(data: bytes) -> dict[str, Any] | None:
    """Return the JSON object that ``data`` is, or None."""
    if not is_utf8(data):
        return None
    try:
        body = read_json(data)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None
