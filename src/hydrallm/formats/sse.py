"""Server-sent events: cutting a stream into whole events, reading one, writing one.

PURE. https://html.spec.whatwg.org/multipage/server-sent-events.html. An event is some lines and then a blank one; a
line ends in LF, CRLF or CR. Three things follow for a proxy that passes on the bytes it was sent:

1. An event is its bytes up to and with the blank line, and so the events of a stream, joined, are the stream. What has
   no meaning (comments, blank lines, fields nobody knows) travels with the event that it stands before.
2. A CR at the end of what has arrived ends its line, though an LF may follow and belong to it: waiting for that would
   hold back the last event of a stream of CRs. Such an LF then stands before the next event as a blank line, and a
   blank line where no event has begun means nothing.
3. Most streams have no CR at all, and the way through them is a search for two LFs.

The standard discards an event that has no blank line at the end of the stream. Some servers end with
``data: [DONE]`` and one LF all the same, so :attr:`Framer.rest` is left for the caller to judge.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT = 16 * 1024 * 1024
"""Bytes of the longest event. Images come in one event, base64, and are far smaller."""

BYTE_ORDER_MARK = b"\xef\xbb\xbf"

# Atomic, or the CR and the LF of one CRLF would pass for two line ends.
_BLANK_LINE = re.compile(rb"(?>\r\n|[\r\n])(?>\r\n|[\r\n])")


class Framer:
    """Cuts a stream into whole events, whatever pieces it comes in.

    Attributes:
        rest: what has arrived of an event that is not whole yet.
    """

    __slots__ = ("_has_cr", "rest")

    def __init__(self) -> None:
        self.rest = bytearray()
        self._has_cr = False

    def feed(self, data: bytes) -> list[bytes]:
        """Take what has arrived; return the events that are now whole, as they were sent."""
        self._has_cr = self._has_cr or b"\r" in data
        # A blank line and the line end before it are at most four bytes, so three of them may have been there already.
        known = max(0, len(self.rest) - 3)
        stream: bytes | bytearray = data
        if self.rest:
            self.rest += data
            stream = self.rest
        events = []
        start = 0
        for end in self._ends(stream, known):
            events.append(bytes(stream[start:end]))
            start = end
        if stream is self.rest:
            del self.rest[:start]
        else:
            self.rest += data[start:]
        return events

    def flush(self) -> bytes:
        """Return what is left, and forget it."""
        rest = bytes(self.rest)
        self.rest.clear()
        return rest

    def _ends(self, stream: bytes | bytearray, start: int) -> Iterator[int]:
        """Yield the offsets after each blank line of ``stream`` that begins at ``start`` or later."""
        if self._has_cr:
            for match in _BLANK_LINE.finditer(stream, start):
                yield match.end()
            return
        while (found := stream.find(b"\n\n", start)) >= 0:
            start = found + 2
            yield start


def parse(event: bytes) -> tuple[bytes, bytes | None]:
    """Return the name and the data of an event.

    Args:
        event: its lines, with or without the blank one.

    Returns:
        The last ``event`` field, empty if there is none, and the lines of ``data`` joined by LF, None if there is none.
    """
    name = b""
    data = []
    for line in event.splitlines():
        field, _, value = line.partition(b":")
        if field == b"data":
            data.append(value.removeprefix(b" "))
        elif field == b"event":
            name = value.removeprefix(b" ")
    return name, b"\n".join(data) if data else None


def with_line_feeds(events: bytes) -> bytes:
    """Return whole events with an LF for each line end, of whatever kind it was."""
    return events.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in events else events


def blank_line_after(line: bytes | bytearray) -> bytes:
    """Return the blank line that completes an event whose last ``line`` has its line end."""
    return b"\r" if line.endswith(b"\r") else b"\n"  # after a CR, an LF would be the rest of a CRLF


def event(data: object, name: str = "") -> bytes:
    """Return the event that carries ``data`` as JSON.

    Args:
        data: what msgspec or json can encode. A lone surrogate in it, which has no UTF-8, becomes a question mark.
        name: for the ``event`` field; empty for none.
    """
    payload = json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    field = b"event: " + name.encode() + b"\n" if name else b""
    return field + b"data: " + payload + b"\n\n"
