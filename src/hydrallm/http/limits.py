"""The bounds on what a client may make the server hold or wait for."""

from __future__ import annotations

import sys

import msgspec


class Limits(msgspec.Struct, frozen=True):
    """Sizes in bytes, times in seconds.

    Attributes:
        max_head: request line and headers together; also what may stand between two pieces of a chunked body, and the
            trailers behind it.
        max_headers: header lines.
        max_body: a request's body, decoded.
        head_timeout: from the first byte of a head (or from the connection's start) to its end.
        body_timeout: how long in a row a body may come slower than ``min_body_rate``.
        min_body_rate: bytes a second.
        keep_alive: how long a connection may idle between two requests.
        write_timeout: how long a client may refuse to take any bytes.
        linger: how long a refused client may go on sending before the connection is reset.
        max_pipelined: bytes of requests that may wait behind the one being answered.
        sweep_interval: how often the times above are looked at.
        max_connections: clients that may be connected.
        spare_connections: how many more may be told that there are too many.
        idle_for: how long a connection has to be idle before it is closed to make room for another.
        max_buffered: bytes of requests and answers that may be held in memory.
    """

    max_head: int = 16 * 1024
    max_headers: int = 100
    max_body: int = 100_000_000
    head_timeout: float = 10.0
    body_timeout: float = 30.0
    min_body_rate: int = 1024
    keep_alive: float = 120.0
    write_timeout: float = 600.0
    linger: float = 2.0
    max_pipelined: int = 64 * 1024
    sweep_interval: float = 1.0
    max_connections: int = sys.maxsize
    spare_connections: int = 64
    idle_for: float = 1.0
    max_buffered: int = sys.maxsize
