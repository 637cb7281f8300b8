"""A subject: uvloop relaying bytes between two sockets without a look at them, the least that Python can do.

python bench/relay.py PORT UPSTREAM
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import uvloop


class _End(asyncio.Protocol):
    """One end of a relayed connection: what comes in here goes out at the other."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.other: _End | None = None
        self._early = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self.other is None or self.other.transport is None:
            self._early += data
        else:
            self.other.transport.write(data)

    def join(self, other: _End) -> None:
        """Relay to ``other`` from now on."""
        self.other = other
        if self._early and other.transport is not None:
            other.transport.write(self._early)
            self._early = b""

    def pause_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc  # the other end is told in the same way, whatever it was
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()


class _Client(_End):
    """The client's end, which opens the upstream's."""

    def __init__(self, upstream: int) -> None:
        super().__init__()
        self._upstream = upstream

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._task = asyncio.get_running_loop().create_task(self._open())

    async def _open(self) -> None:
        _, upstream = await asyncio.get_running_loop().create_connection(_End, "127.0.0.1", self._upstream)
        upstream.join(self)
        self.join(upstream)
        if self.transport is not None and self.transport.is_closing():
            self.connection_lost(None)


async def relay(port: int, upstream: int) -> None:
    """Relay connections to ``port`` of 127.0.0.1 to port ``upstream``, until cancelled."""
    server = await asyncio.get_running_loop().create_server(lambda: _Client(upstream), "127.0.0.1", port, backlog=4096)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(relay(*map(int, sys.argv[1:3])))
