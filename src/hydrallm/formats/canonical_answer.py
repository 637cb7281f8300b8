"""The hub between wire formats, the way back: what an answer says, whatever API says it.

PURE. An answer is either whole (:class:`Answer`) or a course of events. The events of a stream, put together by
:func:`~hydrallm.formats.assembly.assemble`, are the answer that the same model would have given whole.
"""

from __future__ import annotations

import enum

import msgspec

from hydrallm.formats.canonical import Text, Thinking, ToolUse


class Stop(enum.StrEnum):
    """Why an answer ended."""

    END = "end"
    LENGTH = "length"
    CONTEXT = "context"
    """The context window is full."""
    SEQUENCE = "sequence"
    TOOL_USE = "tool_use"
    REFUSAL = "refusal"
    """The provider's filter, or the model itself, said no."""
    PAUSE = "pause"
    """A long turn, to be continued by asking again."""


CUT = frozenset({Stop.LENGTH, Stop.CONTEXT})
"""The answer goes on no further, though the model would have."""


class Usage(msgspec.Struct, frozen=True):
    """Tokens; None where the API did not tell.

    Attributes:
        input: neither read from nor written to a cache.
        cache_read: input read from a cache.
        cache_write: input written to a cache.
        output: thinking included.
        reasoning: of that, thinking.
    """

    input: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    output: int | None = None
    reasoning: int | None = None


class Answer(msgspec.Struct, frozen=True):
    """A whole answer.

    Attributes:
        id: the upstream's.
        model: as the upstream names it.
        parts: in order.
        stop: why it ended.
        stop_sequence: the text that ended it, where that is known.
        usage: tokens.
        tier: the service tier that served it.
    """

    id: str
    model: str
    parts: tuple[Text | Thinking | ToolUse, ...]
    stop: Stop
    stop_sequence: str | None = None
    usage: Usage = Usage()
    tier: str = ""


# -- the events of a stream --------------------------------------------------------------------------------------------


class Started(msgspec.Struct, frozen=True, gc=False):
    """The answer has begun."""

    id: str
    model: str


class PartStarted(msgspec.Struct, frozen=True):
    """A part has begun; ``part`` has what is known from the beginning (a tool's id and name), and what was said so far.

    Attributes:
        index: of the part in the answer; parts may go on side by side.
        part: its beginning.
    """

    index: int
    part: Text | Thinking | ToolUse


class Added(msgspec.Struct, frozen=True, gc=False):
    """A part goes on: a text's or a thought's words, or a call's arguments."""

    index: int
    text: str


class Signed(msgspec.Struct, frozen=True, gc=False):
    """A thought has its signature, or more of it."""

    index: int
    signature: str


class Cited(msgspec.Struct, frozen=True, gc=False):
    """A text has one more citation, as JSON."""

    index: int
    citation: msgspec.Raw


class PartEnded(msgspec.Struct, frozen=True, gc=False):
    """A part is complete."""

    index: int


class Used(msgspec.Struct, frozen=True, gc=False):
    """The usage so far: cumulative, and later figures win; and the service tier, once it is known."""

    usage: Usage
    tier: str = ""


class Stopped(msgspec.Struct, frozen=True, gc=False):
    """The model has ended its answer. Usage may follow."""

    stop: Stop
    stop_sequence: str | None = None


class Ended(msgspec.Struct, frozen=True, gc=False):
    """The stream is complete."""


Event = Started | PartStarted | Added | Signed | Cited | PartEnded | Used | Stopped | Ended


def stop_with(stop: Stop, *, calls: bool) -> Stop:
    """Return why an answer ended. Some servers call a tool and say that they simply ended; some the other way round.

    Args:
        stop: as the server has it.
        calls: whether the answer has calls of tools in it.
    """
    if calls:
        return Stop.TOOL_USE if stop is Stop.END else stop
    return Stop.END if stop is Stop.TOOL_USE else stop


def merged(usage: Usage, later: Usage) -> Usage:
    """Return ``usage`` with the figures of ``later`` that are there in place of its own."""
    told = {name: value for name, value in msgspec.structs.asdict(later).items() if value is not None}
    return msgspec.structs.replace(usage, **told)
