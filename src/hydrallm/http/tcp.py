"""What TCP does and tells that asyncio's transports do not offer."""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

DEPARTURE_INTERVAL = 0.025
"""Seconds between two looks at a socket that is not read."""

_NO_LINGER = struct.pack("ii", 1, 0)

_LEFT = frozenset({7, 8})
"""TCP_CLOSE and TCP_CLOSE_WAIT of Linux's include/net/tcp_states.h: a reset has come, a FIN has."""


def reset(transport: asyncio.Transport) -> None:
    """Close at once, and so that the peer sees a reset and not an end."""
    sock = transport.get_extra_info("socket")
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    transport.abort()


def peer_left(transport: asyncio.Transport) -> bool:
    """Return whether a FIN or a reset has come, also while bytes before it are unread; False where nothing tells that.

    It is known on Linux only, and for TCP only. A FIN behind more bytes than the kernel takes has not come yet.
    """
    if sys.platform != "linux":
        return False
    try:
        info: bytes = transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)
    except OSError:
        return False
    return info[0] in _LEFT  # tcpi_state is the first byte of struct tcp_info


def peer(transport: asyncio.Transport) -> str:
    """Return the address of the other side, without its port; empty for a Unix socket."""
    name = transport.get_extra_info("peername")
    return name[0] if isinstance(name, tuple) else ""


class Departure:
    """A watch for the peer's leaving, over a socket that is not read for a while.

    Args:
        loop: the running loop.
        transport: the socket's.
        left: called once the peer has left.
    """

    __slots__ = ("_left", "_loop", "_timer", "_transport")

    def __init__(self, loop: asyncio.AbstractEventLoop, transport: asyncio.Transport, left: Callable[[], None]) -> None:
        self._loop = loop
        self._transport = transport
        self._left = left
        self._timer = loop.call_later(DEPARTURE_INTERVAL, self._look)

    def _look(self) -> None:
        if peer_left(self._transport):
            self._left()
        else:
            self._timer = self._loop.call_later(DEPARTURE_INTERVAL, self._look)

    def cancel(self) -> None:
        """End the watch."""
        self._timer.cancel()
