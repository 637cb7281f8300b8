"""A worker's end of its control channel, on the event loop."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, cast

import msgspec

from hydrallm.supervisor.messages import Answer, Lines, Notice, Question, Told, encode

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping
    from typing import Self

PATIENCE = 0.75
"""Seconds to wait for the supervisor, which itself waits a bounded time (:data:`.supervisor.PATIENCE`) for workers."""


class Channel(asyncio.Protocol):
    """Answers what is asked, passes on what is told, and asks.

    Args:
        answers: for each topic that this worker knows about, what makes the answer: a value for JSON.
        noticed: called with the topic of each notice.
        lost: called when there is no supervisor any more.
    """

    def __init__(
        self, answers: Mapping[str, Callable[[], object]], noticed: Callable[[str], None], lost: Callable[[], None]
    ) -> None:
        self._answers = answers
        self._noticed = noticed
        self._lost = lost
        self._lines = Lines()
        self._ids = itertools.count(1)
        self._asked: dict[int, asyncio.Future[tuple[Told, ...]]] = {}
        self._asking: dict[str, asyncio.Task[tuple[Told, ...]]] = {}
        self._transport: asyncio.WriteTransport | None = None

    @classmethod
    async def open(
        cls,
        sock: socket.socket,
        answers: Mapping[str, Callable[[], object]],
        noticed: Callable[[str], None],
        lost: Callable[[], None],
    ) -> Self:
        """Begin to listen to the supervisor on ``sock``."""
        loop = asyncio.get_running_loop()
        _, channel = await loop.create_unix_connection(lambda: cls(answers, noticed, lost), sock=sock)
        return channel

    def notify(self, topic: str, text: str = "") -> None:
        """Tell the supervisor something."""
        self._send(Notice(topic, text))

    async def ask(self, topic: str, patience: float = PATIENCE) -> tuple[Told, ...]:
        """Ask all workers, this one included.

        Whoever asks the same thing meanwhile shares the answer, so that a client who asks without end costs no more
        than one question at a time.

        Args:
            topic: what to ask for.
            patience: seconds to wait for the answer.

        Returns:
            What each has told, in the order of their numbers; nothing where the supervisor does not answer.
        """
        if self._transport is None:
            return ()
        answer = self._asking.get(topic)
        if answer is None:
            answer = self._asking[topic] = asyncio.ensure_future(self._ask(topic, patience))
            answer.add_done_callback(lambda _: self._asking.pop(topic))
        return await asyncio.shield(answer)

    async def _ask(self, topic: str, patience: float) -> tuple[Told, ...]:
        number = next(self._ids)
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        self._send(Question(number, topic))
        try:
            return await asyncio.wait_for(answer, patience)
        except TimeoutError:
            return ()
        finally:
            del self._asked[number]

    def close(self) -> None:
        """Say and hear nothing any more."""
        self._lost = lambda: None
        if self._transport is not None:
            self._transport.close()

    # -- asyncio.Protocol --------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        """Act on what came."""
        for message in self._lines.feed(data):
            match message:
                case Notice():
                    self._noticed(message.topic)
                case Question():
                    content = msgspec.json.encode(self._answers[message.topic]())
                    self._send(Answer(message.id, msgspec.Raw(content)))
                case Answer():
                    self._settle(message)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Note that the supervisor has gone."""
        self._transport = None
        self._lost()

    def _settle(self, answer: Answer) -> None:
        asked = self._asked.get(answer.id)
        if asked is not None and not asked.done():
            asked.set_result(msgspec.json.decode(answer.content, type=tuple[Told, ...]))

    def _send(self, message: Notice | Question | Answer) -> None:
        if self._transport is not None:
            self._transport.write(encode(message))
