"""One request to an upstream and its answer, with the clock over it.

There is one timer a stream, with two uses. Up to the commit :meth:`ClientStream.expire_at` names the moment by which
the answer must have come. After it, :meth:`ClientStream.limit_silence` turns the same timer into a watch over
silences: it is not re-armed at every chunk but looks, when it fires, how long the silence has lasted by then. Neither
runs while the request's body is still being sent: an upstream may well wait for it before it says more.

An upstream may answer before it has the whole body. An error, or an answer that is complete, shows that the rest is not
wanted; beside any other answer the body goes on being sent (RFC 9112 section 9.5), by a task that the stream owns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hydrallm.errors import CutError, SilenceError
from hydrallm.http.buffered import STEP

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Coroutine

    from hydrallm.http.client_connection import ClientConnection
    from hydrallm.message import Headers

HIGH_WATER = 64 * 1024
"""Bytes of an answer waiting to be taken beyond which the upstream's socket is not read."""

_REDIRECTION = 300
"""From here on a status says that the request was not carried out."""


class ClientStream:
    """An answer being received.

    Attributes:
        status: 0 until the head has arrived.
        headers: names in lower case.
        length: bytes of the body, where the upstream announced it.
        complete: whether the whole answer has arrived (it may not all have been taken).
        to_eof: whether only the end of the connection delimits the body, so that ``complete`` is a guess.
    """

    __slots__ = (
        "_chunks",
        "_connection",
        "_error",
        "_held",
        "_most",
        "_patience",
        "_sending",
        "_silence",
        "_timer",
        "_touched",
        "_unread",
        "_waiter",
        "_wants_all",
        "began",
        "complete",
        "headers",
        "length",
        "method",
        "status",
        "to_eof",
    )

    def __init__(self, connection: ClientConnection, method: bytes) -> None:
        self._connection = connection
        self.method = method
        self.status = 0
        self.headers: Headers = []
        self.length: int | None = None
        self.complete = False
        self.to_eof = False
        self.began = False
        """Whether any byte has come back; until then the failure of a reused connection says nothing."""
        self._chunks: list[bytes] = []
        self._unread = 0
        self._wants_all = 0
        """Bytes up to which they are held until all are there; 0 where they are taken as they come."""
        self._most = 0
        """Up to where that may be raised, as long as there is memory."""
        self._held = 0
        """Bytes that are reserved."""
        self._error: BaseException | None = None
        self._sending: asyncio.Task[None] | None = None
        """Sends the request's body, where that is streamed."""
        self._patience = 0.0
        """Seconds that the clock has to run once the body is sent."""
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._silence = 0.0
        self._touched = 0.0

    # -- from the connection -----------------------------------------------------------------------------------------

    def feed_head(self, status: int, headers: Headers, length: int | None) -> None:
        """Take the head of the final answer."""
        self.status = status
        self.headers = headers
        self.length = length
        if status >= _REDIRECTION:
            self._stop_sending()  # at once: if it failed now, that would hide the answer
        if not self._wants_all:
            self._wake()

    def feed(self, data: bytes) -> None:
        """Take a piece of the body."""
        self._chunks.append(data)
        self._unread += len(data)
        if self._silence:
            self._touched = self._connection.loop.time()
        if self._unread > (self._wants_all or HIGH_WATER):
            if self._wants_all and self._hold_more():
                return
            self._connection.pause_reading()
            self._wake()
        elif not self._wants_all:
            self._wake()

    def _hold_more(self) -> bool:
        """Raise what is held to more than there is, if it may be; return whether it is."""
        missing = min(self._unread + STEP, self._most) - self._wants_all
        if self._unread >= self._most or not self.reserve(missing):
            return False
        self._wants_all += missing
        return True

    def reserve(self, size: int) -> bool:
        """Reserve memory for ``size`` bytes more of the answer; return whether that could be had."""
        if not self._connection.buffered.reserve(size):
            return False
        self._held += size
        return True

    def release(self) -> None:
        """Give back what was reserved: what was held is held no longer."""
        self._connection.buffered.release(self._held)
        self._held = 0

    def feed_end(self) -> None:
        """Note that the answer is complete."""
        self.complete = True
        self._stop_timer()
        self._stop_sending()
        self._wake()

    def fail(self, error: BaseException) -> None:
        """End the answer unfinished."""
        if not self.complete and self._error is None:
            self._error = error
            self._stop_timer()
            self._stop_sending()
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _wait(self) -> None:
        self._waiter = self._connection.loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    # -- the request's body ------------------------------------------------------------------------------------------

    async def upload(self, sending: Coroutine[None, None, None]) -> None:
        """Run ``sending``, until it is through or an answer has begun; see the module's docstring.

        What it raises fails the stream.
        """
        self._sending = task = self._connection.loop.create_task(sending)
        task.add_done_callback(self._sent)
        while self._sending is task and self.status == 0 and self._error is None:
            await self._wait()

    def _sent(self, task: asyncio.Task[None]) -> None:
        error = CutError("the reading of the request's body was cancelled") if task.cancelled() else task.exception()
        if task is not self._sending:
            return  # it was stopped
        self._sending = None
        if error is not None:
            self.fail(error)
            return
        self._touched = self._connection.loop.time()
        if self._patience:
            self.expire_at(self._touched + self._patience)
        self._wake()

    def _stop_sending(self) -> None:
        if self._sending is not None:
            task, self._sending = self._sending, None
            task.cancel()

    # -- for the caller ----------------------------------------------------------------------------------------------

    async def head(self) -> None:
        """Wait for the status and headers.

        Raises:
            UpstreamError: the reason why they will not come.
            Exception: what the reading of the request's body raised.
        """
        while self.status == 0:
            if self._error is not None:
                raise self._error
            await self._wait()

    async def chunk(self) -> bytes:
        """Return what has arrived of the body, waiting for at least one byte; empty when the answer is complete.

        Raises:
            UpstreamError: the reason why the rest will not come; only after all that did come was taken.
            Exception: what the reading of the request's body raised.
        """
        while not self._chunks:
            if self._error is not None:
                raise self._error
            if self.complete:
                return b""
            await self._wait()
        chunks = self._chunks
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        chunks.clear()
        self._unread = 0
        if self._connection.reading_paused and not self.complete:  # a complete one has left it to another request
            self._read_on()
        return data

    def _read_on(self) -> None:
        self._touched = self._connection.loop.time()
        self._connection.resume_reading()

    async def gather(self, limit: int) -> bytes:
        """Return the body so far, once it is complete or no more of it may be held (``complete`` tells which).

        Args:
            limit: bytes that are held at most; fewer where there is no memory for so many.

        Raises:
            UpstreamError: the reason why the rest will not come.
        """
        self._wants_all = min(limit, STEP)
        self._most = limit
        if self._unread > self._wants_all:
            self._hold_more()
        if self._unread <= self._wants_all and not self.complete:
            self._read_on()  # more may have come with the head than is read for a caller who takes it piece by piece
        try:
            while not self.complete and self._unread <= self._wants_all:
                if self._error is not None:
                    raise self._error
                await self._wait()
        finally:
            self._wants_all = 0
        if not self.complete:
            self.release()  # what is here is not held, but passed on
        return await self.chunk() if self._chunks else b""

    def expire_at(self, when: float) -> None:
        """Fail the stream with :class:`SilenceError` at ``when`` (the loop's time), unless it is complete by then.

        While the request's body is being sent the clock stands still: it has as long to run when that is through.
        """
        self._stop_timer()
        if self._sending is not None:
            self._patience = when - self._connection.loop.time()
        elif not self.complete:
            self._timer = self._connection.loop.call_at(when, self._expire)

    def limit_silence(self, seconds: float) -> None:
        """Replace the expiry by a watch: fail the stream once nothing has come for ``seconds``.

        The time in which the caller itself does not take what came (the socket is then not read) is not counted. What
        follows may take long, so the headers are let go of.
        """
        self.headers = []
        self._stop_timer()
        self._patience = 0.0
        if not self.complete:
            self._silence = seconds
            self._touched = self._connection.loop.time()
            self._timer = self._connection.loop.call_later(seconds, self._watch)

    def _expire(self) -> None:
        self.fail(SilenceError("the time for this attempt ran out"))

    def _watch(self) -> None:
        now = self._connection.loop.time()
        waiting = self._connection.reading_paused or self._sending is not None
        left = self._silence if waiting else self._touched + self._silence - now
        if left <= 0.001:  # a timer may fire a millisecond early
            self.fail(SilenceError(f"nothing came for {self._silence:g} s"))
        else:
            self._timer = self._connection.loop.call_later(left, self._watch)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def close(self) -> None:
        """Let go of the stream; if its answer is not complete, close the connection, which tells the upstream."""
        self._stop_timer()
        self._stop_sending()
        if self._held:
            self.release()
        if not self.complete:
            self._connection.abort()
            # Also instead of an error that was raised: its traceback holds the frames, and they hold this stream.
            self._error = CutError("closed by this side")
