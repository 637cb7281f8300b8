"""What TCP does and tells that asyncio's transports do not offer."""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

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
