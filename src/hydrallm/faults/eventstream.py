"""AWS event-stream frames, encoded.

The framing of ``application/vnd.amazon.eventstream``, as the Smithy specification describes it: a prelude of two
32-bit big-endian lengths (whole message, headers) and the CRC-32 of those eight bytes; the headers; the payload; the
CRC-32 of everything before it. A header is its name (one length byte), a type byte and a value; all headers that
Bedrock sends are strings (type 7, a 16-bit length).

Source: https://smithy.io/2.0/aws/amazon-eventstream.html
"""

from __future__ import annotations

import struct
import zlib

_STRING = 7


def frame(headers: dict[str, str], payload: bytes) -> bytes:
    """Return one message.

    Args:
        headers: names of at most 255 bytes, values of at most 65,535 bytes of UTF-8.
        payload: the message's payload.
    """
    block = b"".join(_header(name, value) for name, value in headers.items())
    prelude = struct.pack("!II", 12 + len(block) + len(payload) + 4, len(block))
    prelude += struct.pack("!I", zlib.crc32(prelude))
    message = prelude + block + payload
    return message + struct.pack("!I", zlib.crc32(message))


def event(event_type: str, payload: bytes) -> bytes:
    """Return an event message with a JSON payload."""
    return frame({":event-type": event_type, ":content-type": "application/json", ":message-type": "event"}, payload)


def exception(exception_type: str, payload: bytes) -> bytes:
    """Return an exception message: how a Bedrock stream says that it failed."""
    return frame(
        {":exception-type": exception_type, ":content-type": "application/json", ":message-type": "exception"}, payload
    )


def _header(name: str, value: str) -> bytes:
    raw_name, raw_value = name.encode(), value.encode()
    return struct.pack(f"!B{len(raw_name)}sBH", len(raw_name), raw_name, _STRING, len(raw_value)) + raw_value
