"""The values that every folder shares: headers, a request, a response.

PURE. Header names are lower-case bytes, values are bytes as they came from the wire, order and repetition kept:
a list of pairs is what the parsers produce and what the serialisers consume, so nothing is converted in between.
"""

from __future__ import annotations

import msgspec

Headers = list[tuple[bytes, bytes]]


class Request(msgspec.Struct, frozen=True, gc=False):
    """A complete HTTP request, as an endpoint wants it sent.

    Attributes:
        method: the method token, in capitals.
        target: the request target in origin form (path and query), percent-encoded.
        headers: without Host, Content-Length and Transfer-Encoding, which the client engine writes.
        body: the whole body; empty for a request whose body is streamed.
    """

    method: bytes
    target: bytes
    headers: Headers
    body: bytes = b""


class Response(msgspec.Struct, frozen=True, gc=False):
    """A complete HTTP response.

    Attributes:
        status: 200 to 599.
        headers: without Content-Length and Transfer-Encoding, which the server engine writes.
        body: the whole body.
    """

    status: int
    headers: Headers
    body: bytes = b""


def header(headers: Headers, name: bytes) -> bytes | None:
    """Return the first value of the header called ``name`` (lower-case), or None."""
    for key, value in headers:
        if key == name:
            return value
    return None
