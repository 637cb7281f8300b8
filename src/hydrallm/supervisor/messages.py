"""What goes over a control channel: a JSON object a line.

::

    worker                    supervisor                     workers
      │ Notice("ready") ─────────▶ │
      │ Question(7, "health") ───▶ │ Question(40, "health") ───▶ 1    all of them, the one who asks included
      │                            │ Question(41, "health") ───▶ 2
      │                            │ ◀─── Answer(40, {...}) ──── 1
      │                            │      (nothing in time)      2
      │ ◀── Answer(7, [Told, Told])│
      │ ◀──────── Notice("drain")  │

What is asked and answered is for the workers to know. The supervisor passes it on as bytes.
"""

from __future__ import annotations

import msgspec

READY = "ready"
"""A worker says: I accept connections."""
FAILED = "failed"
"""A worker says: I cannot start; the text says why."""
LEAVING = "leaving"
"""A worker says: I take no new connections any more, though nobody of you told me so."""
DRAIN = "drain"
"""The supervisor says: no new connections; end when the running exchanges have."""
STOP = "stop"
"""The supervisor says: end at once."""


class Notice(msgspec.Struct, tag="notice", frozen=True):
    """Something that needs no answer.

    Attributes:
        topic: one of those above.
        text: for a person.
    """

    topic: str
    text: str = ""


class Question(msgspec.Struct, tag="question", frozen=True):
    """Something that needs one.

    Attributes:
        id: the answer has the same; given by the one who asks, on this channel.
        topic: what is asked for.
    """

    id: int
    topic: str


class Answer(msgspec.Struct, tag="answer", frozen=True):
    """The answer to a question.

    Attributes:
        id: the question's.
        content: any JSON; to a worker, a list of :class:`Told`.
    """

    id: int
    content: msgspec.Raw


class Told(msgspec.Struct, frozen=True):
    """What one worker has answered.

    Attributes:
        worker: its number, from 1.
        pid: its process; 0 if there is none now.
        state: ``ready``; ``silent``, if it did not answer in time; ``starting``; ``dead``, until it is replaced.
        content: its answer; null unless it is ready.
    """

    worker: int
    pid: int
    state: str
    content: msgspec.Raw = msgspec.Raw(b"null")


Message = Notice | Question | Answer

_decode = msgspec.json.Decoder(Message).decode


def encode(message: Message) -> bytes:
    """Return ``message`` as a line."""
    return msgspec.json.encode(message) + b"\n"


class Lines:
    """Messages out of bytes that come as they may."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Message]:
        """Return the messages that are complete now.

        Raises:
            msgspec.MsgspecError: the other end does not keep to the form.
        """
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [_decode(line) for line in lines]
