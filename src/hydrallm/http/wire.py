"""How heads and chunks look on the wire (RFC 9112)."""

from __future__ import annotations

import http
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hydrallm.message import Headers

JOIN_LIMIT = 64 * 1024
"""Up to this size a head and its body are joined into one write; beyond it a copy costs more than a second write."""

NO_BODY = frozenset({204, 304})
"""The final statuses whose answers have no body, whatever their headers say (RFC 9112 section 6.3)."""

LAST_CHUNK = b"0\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

_REASONS = {status.value: status.phrase for status in http.HTTPStatus}
STATUS_LINES = {code: b"HTTP/1.1 %d %b\r\n" % (code, _REASONS.get(code, "").encode()) for code in range(100, 600)}


def header_block(headers: Headers) -> bytes:
    """Return ``headers`` as lines, each ended by CRLF, without the empty line that ends a head."""
    return b"".join([b"%b: %b\r\n" % pair for pair in headers])


def chunk(data: bytes) -> bytes:
    """Return ``data`` (not empty) as one chunk of the chunked transfer coding (RFC 9112 section 7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def tokens(value: bytes) -> list[bytes]:
    """Return the elements of a comma-separated header value, in lower case, without the empty ones."""
    return [token for part in value.split(b",") if (token := part.strip().lower())]
