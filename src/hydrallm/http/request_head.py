"""What the head of a request says about the connection, and the refusal of what llhttp lets through and we do not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hydrallm.errors import RequestError
from hydrallm.http import wire

if TYPE_CHECKING:
    from hydrallm.http.limits import Limits
    from hydrallm.http.server_stream import ServerStream
    from hydrallm.message import Headers

_SPECIAL = frozenset(
    {b"connection", b"content-length", b"expect", b"host", b"transfer-encoding", b"upgrade"},
)

_OTHER_PROTOCOLS = frozenset(
    b"ANNOUNCE DESCRIBE FLUSH GET_PARAMETER PAUSE PLAY RECORD REDIRECT SETUP SET_PARAMETER SOURCE TEARDOWN".split(),
)
"""Methods of RTSP and Icecast, which llhttp parses as well and whose protocol name it keeps to itself."""


def check_size(lines: int, size: int, limits: Limits) -> None:
    """Refuse a head of more header lines or bytes than ``limits`` allow; it need not be complete."""
    if lines > limits.max_headers:
        raise RequestError(431, f"more than {limits.max_headers} header lines", close=True)
    if size > limits.max_head:
        raise RequestError(431, f"the headers are over {limits.max_head} bytes", close=True)


def check_whole(url: bytes, headers: Headers, read: int, limits: Limits) -> None:
    """Refuse a complete head that is too big.

    Args:
        url: the request target.
        headers: all of them.
        read: bytes that have been read since it began: only a head that came with much else has to be measured.
        limits: what may be.
    """
    if read > limits.max_head:
        read = len(url) + sum([len(name) + len(value) + 4 for name, value in headers])
    check_size(len(headers), read, limits)


def read_version(stream: ServerStream, version: str) -> None:
    """Take HTTP/1.1 or 1.0 and refuse others."""
    if version not in {"1.1", "1.0"}:
        raise RequestError(505, f"HTTP/{version} is not spoken here; use HTTP/1.1", close=True)
    stream.http11 = version == "1.1"


def read_target(stream: ServerStream, url: bytes) -> None:
    """Take the request target apart (RFC 9112 section 3.2); a proxy's absolute form names its host itself."""
    if stream.method == b"CONNECT":
        raise RequestError(405, "CONNECT is not offered: this is an API endpoint, not a web proxy", close=True)
    if stream.method in _OTHER_PROTOCOLS:
        raise RequestError(501, "this is neither an RTSP nor an Icecast server", close=True)
    if not url.startswith(b"/"):
        scheme, separator, rest = url.partition(b"://")
        if not separator or scheme.lower() not in {b"http", b"https"}:
            raise RequestError(400, "the request target must be a path", close=True)
        slash = min([at for at in (rest.find(b"/"), rest.find(b"?"), rest.find(b"#")) if at >= 0], default=len(rest))
        stream.host = rest[:slash]
        if not stream.host or b"@" in stream.host:
            raise RequestError(400, "the request target must name a host, and no user", close=True)
        url = rest[slash:]
    # A fragment is no part of a request target, though llhttp takes one.
    path, _, query = url.partition(b"#")[0].partition(b"?")
    stream.path = b"/" + path.lstrip(b"/")
    stream.query = query


def read_headers(stream: ServerStream) -> None:
    """Read the headers that steer the connection, and refuse what llhttp lets through and we do not."""
    special: dict[bytes, list[bytes]] = {}
    for name, value in stream.headers:
        if name in _SPECIAL:
            special.setdefault(name, []).append(value)
    hosts = special.get(b"host", [])
    if len(hosts) > 1 or (not hosts and stream.http11):
        raise RequestError(400, "a request needs exactly one Host header", close=True)
    if b"upgrade" in special:
        message = "no protocol upgrades here (WebSocket, h2c): use plain HTTP/1.1 requests with streaming answers"
        raise RequestError(426, message, close=True)
    if hosts and not stream.host:
        stream.host = hosts[0].strip()  # llhttp leaves white space at the end of a value
    connection = [token for value in special.get(b"connection", []) for token in wire.tokens(value)]
    stream.keep_alive = b"close" not in connection and (stream.http11 or b"keep-alive" in connection)
    _read_framing(stream, special)


def _read_framing(stream: ServerStream, special: dict[bytes, list[bytes]]) -> None:
    codings = special.get(b"transfer-encoding")
    if codings is not None:
        # llhttp also takes "gzip, chunked" and a repeated header; either is a way to smuggle.
        if [value.strip().lower() for value in codings] != [b"chunked"]:
            raise RequestError(400, "the only Transfer-Encoding taken is a single chunked", close=True)
        if not stream.http11:
            raise RequestError(400, "HTTP/1.0 has no Transfer-Encoding", close=True)
        stream.length = None
    elif b"content-length" in special:
        stream.length = int(special[b"content-length"][0])
    for value in special.get(b"expect", []):
        if value.strip().lower() != b"100-continue":
            raise RequestError(417, "the only Expect taken is 100-continue", close=True)
        if stream.http11:
            stream.expect_continue()


def malformed(error: Exception, data: bytes) -> RequestError:
    """Return the refusal of ``data``, which llhttp found not to be HTTP."""
    if data.startswith(b"\x16\x03"):  # a TLS handshake record (RFC 8446 section 5.1)
        return RequestError(400, "this port speaks plain HTTP, not TLS: call it by http://", close=True)
    if data.startswith(b"PRI * HTTP/2"):
        return RequestError(400, "this port speaks HTTP/1.1, not HTTP/2", close=True)
    return RequestError(400, f"malformed HTTP: {error}", close=True)
