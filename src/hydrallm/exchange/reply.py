"""The client's side of an exchange: a whole response, or a stream that may be opened before there is anything to say.

As long as nothing is sent, everything can still be made good. But a client, and whatever stands between, does not wait
for ever: when the beginning of a stream has been held for ``hold_limit``, its status is sent, and from then on, every
few seconds, what means nothing in its format (a comment, a ping). Trying goes on behind that; only what fails in the
end has to be told inside the stream.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

    from hydrallm.formats.base import ApiError, WireFormat
    from hydrallm.http.server_stream import ServerStream
    from hydrallm.message import Headers, Response

KEEP_ALIVE = 5.0
"""Seconds between two signs of life."""


class Reply:
    """What one client is sent.

    Args:
        loop: keeps the time.
        request: the client's.
        wire_format: gives signs of life and our own errors their shape.
        hold_limit: seconds after which a held stream is opened; None where the client did not ask for a stream.
        identity: the exchange's, for the head of a stream whose answer is not there yet.
        interval: seconds between two signs of life.

    Attributes:
        opened: whether the status was sent before there was an answer.
    """

    __slots__ = ("_format", "_hold_limit", "_identity", "_interval", "_loop", "_since", "_timer", "opened", "request")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        request: ServerStream,
        wire_format: WireFormat,
        hold_limit: float | None,
        identity: str,
        interval: float = KEEP_ALIVE,
    ) -> None:
        self.request = request
        self.opened = False
        self._loop = loop
        self._format = wire_format
        self._hold_limit = hold_limit
        self._identity = identity
        self._interval = interval
        self._since: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    # -- before the commit -------------------------------------------------------------------------------------------

    def hold(self) -> None:
        """Take note that an upstream has begun to answer, and that nothing of it can be released yet."""
        if self._since is None and self._hold_limit is not None:
            self._since = self._loop.time()
            self._timer = self._loop.call_later(self._hold_limit, self._open)

    def end_hold(self, now: float) -> float:
        """Send no more signs of life; return for how many seconds something was held."""
        self.close()
        return 0.0 if self._since is None else now - self._since

    def _open(self) -> None:
        request = self.request
        headers = [
            (b"content-type", self._format.stream_type),
            (b"cache-control", b"no-cache"),
            (b"date", request.date),
            (b"x-hydrallm-request-id", self._identity.encode()),
        ]
        self.opened = True
        request.start(200, headers, length=None, first=self._format.keep_alive)
        self._timer = self._loop.call_later(self._interval, self._live) if self._format.keep_alive else None

    def _live(self) -> None:
        self.request.write(self._format.keep_alive)
        self._timer = self._loop.call_later(self._interval, self._live)

    def close(self) -> None:
        """Send no more signs of life."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # -- the commit --------------------------------------------------------------------------------------------------

    def respond(self, response: Response) -> None:
        """Send a whole response, or its body where the status is out already."""
        self.begin(response.status, response.headers, length=len(response.body), first=response.body)
        self.request.finish()

    def begin(self, status: int, headers: Headers, *, length: int | None, first: bytes) -> None:
        """Begin the answer; see :meth:`ServerStream.start`."""
        if not self.opened:
            self.request.start(status, headers, length=length, first=first)
        elif first:
            self.request.write(first)

    def break_off(self, error: ApiError, *, said: bool = True) -> None:
        """End a stream that has begun, so that nobody can take it for complete.

        Args:
            error: why.
            said: whether the format's events are being sent, so that an error can be one of them.
        """
        if said:
            self.request.write(self._format.encode_stream_error(error))
        self.request.cut()
