"""Clients that keep streams open and count the events that reach them."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, cast

from bench.errors import BenchError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PATIENCE = 60.0
"""Seconds that a stream may take to its first content."""

_BATCH = 50
_EVENT_END = b"\n\n"


class Streams:
    """Open streams.

    Attributes:
        events: how many events have come, on all of them together.
    """

    def __init__(self) -> None:
        self.events = 0
        self.broken = ""
        self._clients: list[_Client] = []

    async def add(self, count: int, port: int, request: bytes) -> None:
        """Open ``count`` more streams by sending ``request`` to ``port``, and wait for the first content of each.

        Raises:
            BenchError: one was not answered with status 200, or has not begun in time.
        """
        loop = asyncio.get_running_loop()
        for first in range(0, count, _BATCH):  # all at once would overflow a backlog
            batch = [_Client(self, request) for _ in range(min(_BATCH, count - first))]
            self._clients += batch
            for client in batch:
                await loop.create_connection(lambda client=client: client, "127.0.0.1", port)  # type: ignore[misc]
            try:
                async with asyncio.timeout(PATIENCE):
                    await asyncio.gather(*(client.begun for client in batch))
            except TimeoutError:
                silent = sum(not client.begun.done() for client in batch)
                raise BenchError(f"{silent} of {len(batch)} streams had no content within {PATIENCE:g} s") from None
        self.check()

    def check(self) -> None:
        """Raise :class:`BenchError` if a stream has ended: each lasts until it is closed here."""
        if self.broken:
            raise BenchError(self.broken)

    async def close(self) -> None:
        """Leave all of them."""
        await asyncio.gather(*(client.close() for client in self._clients))


class _Client(asyncio.Protocol):
    """The client of one stream; ``begun`` is done when its first content is there."""

    def __init__(self, streams: Streams, request: bytes) -> None:
        loop = asyncio.get_running_loop()
        self.begun: asyncio.Future[None] = loop.create_future()
        self._gone: asyncio.Future[None] = loop.create_future()
        self._closing = False
        self._streams = streams
        self._request = request
        self._head = b""
        self._last = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if not self.begun.done():
            self._head += data
            if not self._head.startswith(b"HTTP/1.1 200"[: len(self._head)]):
                self._fail(f"a stream was answered with {self._head[:300].decode('utf-8', 'replace')!r}")
            elif b"Once" in self._head:
                self.begun.set_result(None)
        # The end of an event may be cut in two; what else is on the wire has no two line feeds in a row.
        self._streams.events += (self._last + data).count(_EVENT_END)
        self._last = b"\n" if data.endswith(b"\n") and not data.endswith(_EVENT_END) else b""

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._closing:
            self._fail(f"a stream that never ends was ended by the proxy ({exc or 'EOF'})")
        self._gone.set_result(None)

    def _fail(self, why: str) -> None:
        self._streams.broken = self._streams.broken or why
        if not self.begun.done():
            self.begun.set_exception(BenchError(why))

    async def close(self) -> None:
        self._closing = True
        if self.begun.done() and not self.begun.cancelled():
            self.begun.exception()  # has been told by `add`, if there is one
        if hasattr(self, "_transport"):
            self._transport.abort()
            await self._gone


@contextlib.asynccontextmanager
async def streams() -> AsyncIterator[Streams]:
    """Streams that are closed at the end of the block."""
    opened = Streams()
    try:
        yield opened
    finally:
        await opened.close()
