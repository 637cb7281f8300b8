"""The events of a stream of Anthropic's Messages, read: what they say, whatever carries them.

PURE, and on the path of every chunk. https://docs.anthropic.com/en/docs/build-with-claude/streaming. A block has an
index, is opened, added to and closed. Events of unknown types mean nothing, nor do the blocks that only hosted tools
have. Servers that are not Anthropic's forget things: to open a block, to count the next one up, to say a type twice.
What an event adds is therefore told by its members. An event that says something, and cannot be read, ends the reading:
an answer without it would look complete.

Why the answer ended is told at the end of the stream, for only then have all of its parts come.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import msgspec

from hydrallm.formats import sse
from hydrallm.formats.anthropic_answer import STOPS, block_of, part_of, tier_of, usage_of
from hydrallm.formats.anthropic_blocks import EMPTY, MAKER
from hydrallm.formats.canonical import Text, Thinking, ToolUse, UntranslatableError
from hydrallm.formats.canonical_answer import (
    Added,
    Cited,
    Ended,
    Event,
    PartEnded,
    PartStarted,
    Signed,
    Started,
    Stop,
    Stopped,
    Usage,
    Used,
    merged,
    stop_with,
)
from hydrallm.formats.figures import figure, figures_of, word
from hydrallm.formats.strict_json import read_tolerantly

if TYPE_CHECKING:
    from collections.abc import Callable

_Kind: TypeAlias = type[Text | Thinking | ToolUse]


class _Message(msgspec.Struct, frozen=True):
    id: object = None
    model: object = None
    usage: msgspec.Raw = msgspec.Raw()


class _Delta(msgspec.Struct, frozen=True):
    text: str | None = None
    partial_json: str | None = None
    thinking: str | None = None
    signature: str | None = None
    citation: msgspec.Raw = msgspec.Raw()
    stop_reason: str | None = None
    stop_sequence: object = None


class _Event(msgspec.Struct, frozen=True):
    type: str = ""
    index: int = 0
    delta: _Delta | None = None
    content_block: msgspec.Raw = msgspec.Raw()
    message: _Message | None = None
    usage: msgspec.Raw = msgspec.Raw()
    metrics: msgspec.Raw = msgspec.field(name="amazon-bedrock-invocationMetrics", default=msgspec.Raw())


class _Type(msgspec.Struct, frozen=True, gc=False):
    type: object = None


_EVENT = msgspec.json.Decoder(_Event)
_LAX = msgspec.json.Decoder(_Event, strict=False)
_TYPE = msgspec.json.Decoder(_Type)
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])

_SAYING = frozenset({"content_block_start", "content_block_delta", "content_block_stop", "message_delta"})
"""Events without which the answer would be another one."""

_METRICS = {
    "input": "inputTokenCount",
    "output": "outputTokenCount",
    "cache_read": "cacheReadInputTokenCount",
    "cache_write": "cacheWriteInputTokenCount",
}


class _Block:
    """A block that is open.

    Attributes:
        kind: of its part; None where nobody can say it.
        number: the part's.
        beginning: of it, as it was said.
        held: whole arguments that came with it, which more of them replace.
    """

    __slots__ = ("beginning", "held", "kind", "number")

    def __init__(self, kind: _Kind | None, number: int, beginning: bytes = b"", held: str = "") -> None:
        self.kind = kind
        self.number = number
        self.beginning = beginning
        self.held = held


class EventReader:
    """Reads the events of one stream, each by itself."""

    __slots__ = ("_calls", "_count", "_ended", "_open", "_started", "_stop", "_stop_sequence", "_usage")

    def __init__(self) -> None:
        self._started = False
        self._ended = False
        self._open: dict[int, _Block] = {}  # by the block's index
        self._calls = False
        self._count = 0
        self._usage = Usage()
        self._stop = Stop.END
        self._stop_sequence: str | None = None

    def take(self, data: bytes, said: list[Event], name: bytes = b"") -> None:
        """Read an event.

        Args:
            data: its JSON.
            said: takes what it says.
            name: of the event, where the JSON has no type.
        """
        if self._ended:
            return
        event = _decoded(data, name)
        match event.type or name.decode("utf-8", "replace").strip():
            case "content_block_delta":
                if event.delta is not None:
                    self._add(event.index, event.delta, said)
            case "content_block_start":
                self._begin(event.index, bytes(event.content_block), said)
            case "content_block_stop":
                self._end(event.index, said)
            case "message_start":
                self._start(event.message or _Message(), said)
            case "message_delta":
                self._use(event.usage, said)
                if event.delta is not None and event.delta.stop_reason is not None:
                    self._stop = STOPS.get(event.delta.stop_reason, Stop.END)
                    self._stop_sequence = word(event.delta.stop_sequence) or None
            case "message_stop":
                self._close(event.metrics, said)
            case _:
                pass

    def finish(self) -> list[Event]:
        """Return what is still owed at the end of a stream that is complete, where no event said so."""
        said: list[Event] = []
        if not self._ended:
            self._close(msgspec.Raw(), said)
        return said

    def _start(self, message: _Message, said: list[Event]) -> None:
        if not self._started:
            self._started = True
            said.append(Started(word(message.id), word(message.model)))
        self._use(message.usage, said)

    def _use(self, raw: msgspec.Raw, said: list[Event]) -> None:
        if figures := figures_of(raw):
            if not self._started:
                self._start(_Message(), said)
            self._usage = merged(self._usage, usage_of(figures))
            said.append(Used(self._usage, tier_of(figures)))

    def _begin(self, index: int, beginning: bytes, said: list[Event]) -> None:
        if (open_ := self._open.get(index)) is not None:
            if open_.beginning == beginning:
                return  # it is said twice
            self._end(index, said)  # or the server does not count on
        block = block_of(msgspec.Raw(beginning), "content_block")
        part = part_of(block)
        held = ""
        if isinstance(part, ToolUse):
            held = part.arguments if bytes(block.input) not in EMPTY else ""
            part = msgspec.structs.replace(part, arguments="")
        if part is None:
            self._open[index] = _Block(None, -1, beginning)
        else:
            self._begin_part(index, part, said, beginning, held)

    def _begin_part(
        self, index: int, part: Text | Thinking | ToolUse, said: list[Event], beginning: bytes = b"", held: str = ""
    ) -> _Block:
        if not self._started:
            self._start(_Message(), said)
        self._calls = self._calls or isinstance(part, ToolUse)
        block = self._open[index] = _Block(type(part), self._count, beginning, held)
        self._count += 1
        said.append(PartStarted(block.number, part))
        return block

    def _add(self, index: int, delta: _Delta, said: list[Event]) -> None:
        block = self._open.get(index)
        if block is not None and block.kind is None:
            return
        if delta.text:
            block = self._of(Text, index, block, said)
            said.append(Added(block.number, delta.text))
        elif delta.partial_json:
            block = self._of(ToolUse, index, block, said)
            block.held = ""
            said.append(Added(block.number, delta.partial_json))
        elif delta.thinking:
            block = self._of(Thinking, index, block, said)
            said.append(Added(block.number, delta.thinking))
        elif delta.signature:
            block = self._of(Thinking, index, block, said)
            said.append(Signed(block.number, delta.signature))
        elif bytes(delta.citation) not in EMPTY and block is not None and block.kind is Text:
            said.append(Cited(block.number, delta.citation))

    def _of(self, kind: _Kind, index: int, block: _Block | None, said: list[Event]) -> _Block:
        """Return the open ``block``, if what is added can be of it; else begin the part that it must be of.

        Raises:
            UntranslatableError: it is of a call, and nobody has said which tool is called.
        """
        if block is not None:
            if block.kind is kind:
                return block
            self._end(index, said)
        if kind is ToolUse:
            raise UntranslatableError(f"there are arguments at index {index}, and no call that they are of")
        return self._begin_part(index, Text("") if kind is Text else Thinking(maker=MAKER), said)

    def _end(self, index: int, said: list[Event]) -> None:
        block = self._open.pop(index, None)
        if block is None or block.kind is None:
            return
        if block.held:
            said.append(Added(block.number, block.held))
        said.append(PartEnded(block.number))

    def _close(self, metrics: msgspec.Raw, said: list[Event]) -> None:
        if not self._started:
            self._start(_Message(), said)
        for index in tuple(self._open):
            self._end(index, said)
        counted = figures_of(metrics)
        told = Usage(**{name: figure(counted, member) for name, member in _METRICS.items()})
        if (usage := merged(told, self._usage)) != self._usage:
            said.append(Used(usage))
        self._ended = True
        said += (Stopped(stop_with(self._stop, calls=self._calls), self._stop_sequence), Ended())


class MessagesReader:
    """Reads a stream of server-sent events; see :class:`hydrallm.formats.codec.Reader`."""

    __slots__ = ("_reader",)

    def __init__(self) -> None:
        self._reader = EventReader()

    def feed(self, events: bytes) -> list[Event]:
        """Return what whole events say."""
        said: list[Event] = []
        for event in sse.with_line_feeds(events).split(b"\n\n"):
            at = event.find(b"\ndata:")
            if event.startswith(b"event:") and event.find(b"\n") == at == event.rfind(b"\n") > 0:
                self._reader.take(event[at + 6 :], said, event[6:at])
                continue
            name, data = sse.parse(event.removeprefix(sse.BYTE_ORDER_MARK))
            if data:
                self._reader.take(data, said, name)
        return said

    def finish(self) -> list[Event]:
        """Return what is still owed at a clean end."""
        return self._reader.finish()


def _decoded(data: bytes, name: bytes) -> _Event:
    """Return an event; one with its type alone, if it cannot be read and says nothing.

    Raises:
        UntranslatableError: it cannot be read, and says something.
    """
    try:
        return _EVENT.decode(data)
    except (ValueError, RecursionError):
        pass
    kind = _kind_of(data, name)
    try:
        return read_tolerantly(data, _loosely(_LAX.decode), f"a {kind}")
    except UntranslatableError:
        if kind in _SAYING:
            raise
        return _Event(kind)


def _loosely(decode: Callable[[bytes], _Event]) -> Callable[[bytes], _Event]:
    """Return ``decode`` for servers that write null for what is not there (and numbers as texts, as ``_LAX`` takes)."""

    def decoded(data: bytes) -> _Event:
        told = {name: value for name, value in _MEMBERS.decode(data).items() if bytes(value) != b"null"}
        return decode(msgspec.json.encode(told))

    return decoded


def _kind_of(data: bytes, name: bytes) -> str:
    try:
        kind = word(_TYPE.decode(data).type)
    except (ValueError, RecursionError):
        kind = ""
    return kind or name.decode("utf-8", "replace").strip()
