"""Listening sockets: made and bound before anybody accepts, so that processes can have them from one who keeps them.

Several processes on one port have a socket each, and the kernel spreads new connections over these (``SO_REUSEPORT``).
That is Linux's doing: elsewhere the option exists too, but one socket gets everything, so there all share one.

The first socket is bound without the option, and given it afterwards. Otherwise a second program of the same user that
has it as well, such as another HydraLLM, would be let in and take its share of the connections without a word.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
from typing import Any

from hydrallm.errors import StartError

BACKLOG = 2048
"""Connections that may wait to be accepted."""

SPREADS = sys.platform == "linux"
"""Whether the kernel spreads connections over sockets that are bound to the same port."""


def bind(host: str, port: int, count: int = 1, *, spreads: bool = SPREADS) -> list[list[socket.socket]]:
    """Open ``host`` and ``port`` (0: any free one).

    Args:
        host: a name or an address.
        port: the port.
        count: how many will accept on it.
        spreads: whether each of them is to have sockets of its own.

    Returns:
        For each of those the sockets to accept from: several where a name stands for more than one address. They
        listen already: what connects from now on waits.

    Raises:
        StartError: it cannot be bound; the message is one line for a person.
    """
    sets: list[list[socket.socket]] = [[] for _ in range(count)]
    failure: OSError | None = None
    try:
        for family, address in _addresses(host, port):
            try:
                sockets = _open(family, address, count if spreads else 1)
            except OSError as error:
                if error.errno not in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:
                    raise
                failure = error  # the other address of a name may be there all the same
                continue
            for place, accepting in enumerate(sets):
                accepting.append(sockets[place % len(sockets)])
        if failure is not None and not sets[0]:
            raise failure
    except socket.gaierror as error:
        raise StartError(f"cannot listen on {host}:{port}: the host name does not resolve ({error})") from error
    except OSError as error:
        for sock in {sock for accepting in sets for sock in accepting}:
            sock.close()
        raise StartError(_why_not_bound(host, port, error)) from error
    return sets


def _addresses(host: str, port: int) -> list[tuple[int, Any]]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys((family, address) for family, _, _, _, address in found))


def _open(family: int, address: tuple[Any, ...], count: int) -> list[socket.socket]:
    """Return ``count`` listening sockets on one address."""
    sockets: list[socket.socket] = []
    try:
        for _ in range(count):
            sock = socket.socket(family, socket.SOCK_STREAM)
            sockets.append(sock)
            if os.name == "posix":  # elsewhere it would let two servers have one port
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            if len(sockets) > 1:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind(address)
            if len(sockets) == 1:
                address = sock.getsockname()
                if count > 1:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        for sock in sockets:
            sock.setblocking(False)  # noqa: FBT003 - the standard library's signature
            sock.listen(BACKLOG)
    except OSError:
        for sock in sockets:
            sock.close()
        raise
    return sockets


def _why_not_bound(host: str, port: int, error: OSError) -> str:
    where = f"cannot listen on {host}:{port}"
    match error.errno:
        case 98 | 48 | 10048:  # EADDRINUSE on Linux, macOS, Windows
            return f"{where}: the port is in use; stop what uses it, or choose another with --port or server.port"
        case 13 | 10013:
            return f"{where}: permission denied; choose a port above 1023 with --port or server.port"
        case 99 | 49 | 10049:
            return f"{where}: this machine has no such address; set --host or server.host"
        case _:
            return f"{where}: {error.strerror or error}"
