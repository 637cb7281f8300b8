"""The events of a stream of Anthropic's Messages, read: what they say, whatever carries them.

PURE, and on the path of every chunk. https://docs.anthropic.com/en/docs/build-with-claude/streaming. A block has an
index, is opened, added to and closed. Events of unknown types mean nothing, nor do the blocks that only hosted tools
have. Servers that are not Anthropic's forget things: to open a block, to count the next one up, to say a type twice.
What an event adds is therefore told by its members.
"""

from __future__ import annotations

import json

import msgspec

from hydrallm.formats import sse
from hydrallm.formats.anthropic_answer import STOPS, WireBlock, WireUsage, part_of
from hydrallm.formats.anthropic_blocks import EMPTY, MAKER
from hydrallm.formats.canonical import Text, Thinking, ToolUse
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
)
from hydrallm.formats.json_value import read_json


class _Message(msgspec.Struct, frozen=True, gc=False):
    id: str = ""
    model: str = ""
    usage: WireUsage | None = None


class _Delta(msgspec.Struct, frozen=True):
    text: str | None = None
    partial_json: str | None = None
    thinking: str | None = None
    signature: str | None = None
    citation: msgspec.Raw = msgspec.Raw()
    stop_reason: str | None = None
    stop_sequence: str | None = None


class _Metrics(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    input_token_count: int | None = None
    output_token_count: int | None = None
    cache_read_input_token_count: int | None = None
    cache_write_input_token_count: int | None = None


class _Event(msgspec.Struct, frozen=True):
    type: str = ""
    index: int = 0
    delta: _Delta | None = None
    content_block: msgspec.Raw = msgspec.Raw()
    message: _Message | None = None
    usage: WireUsage | None = None
    metrics: _Metrics | None = msgspec.field(name="amazon-bedrock-invocationMetrics", default=None)


_EVENT = msgspec.json.Decoder(_Event)
_BLOCK = msgspec.json.Decoder(WireBlock)


class EventReader:
    """Reads the events of one stream, each by itself."""

    __slots__ = ("_beginnings", "_count", "_ended", "_held", "_open", "_started", "_usage")

    def __init__(self) -> None:
        self._started = False
        self._ended = False
        self._open: dict[int, int | None] = {}  # from a block's index to its part's; None where nobody can say it
        self._beginnings: dict[int, bytes] = {}  # by a block's index
        self._count = 0
        self._held: dict[int, str] = {}  # whole arguments that came with a block's beginning
        self._usage = Usage()

    def take(self, data: bytes, said: list[Event], name: bytes = b"") -> None:
        """Read an event.

        Args:
            data: its JSON.
            said: takes what it says.
            name: of the event, where the JSON has no type.
        """
        event = _decoded(data)
        if event is None or self._ended:
            return
        match event.type or name.decode("utf-8", "replace").strip():
            case "content_block_delta":
                if event.delta is not None:
                    self._add(event.index, event.delta, said)
            case "content_block_start":
                self._begin(event.index, event.content_block, said)
            case "content_block_stop":
                self._end(event.index, said)
            case "message_start":
                self._start(event.message or _Message(), said)
            case "message_delta":
                self._use(event.usage, said)
                if event.delta is not None and event.delta.stop_reason is not None:
                    stop = STOPS.get(event.delta.stop_reason, Stop.END)
                    said.append(Stopped(stop, event.delta.stop_sequence))
            case "message_stop":
                self._close(event.metrics, said)
            case _:
                pass

    def finish(self, said: list[Event]) -> None:
        """Read the end of a stream that is complete, where no event said so.

        Args:
            said: takes what it says.
        """
        if not self._ended:
            self._close(None, said)

    def _start(self, message: _Message, said: list[Event]) -> None:
        if not self._started:
            self._started = True
            said.append(Started(message.id, message.model))
        self._use(message.usage, said)

    def _use(self, usage: WireUsage | None, said: list[Event]) -> None:
        if usage is not None:
            self._usage = merged(self._usage, usage.read)
            said.append(Used(self._usage, usage.service_tier or ""))

    def _begin(self, index: int, raw: msgspec.Raw, said: list[Event]) -> None:
        if index in self._open:
            if self._beginnings.get(index) == bytes(raw):
                return  # it is said twice
            self._end(index, said)  # or the server does not count on
        self._beginnings[index] = bytes(raw)
        try:
            block = _BLOCK.decode(raw)
        except msgspec.DecodeError:
            block = WireBlock()
        part = part_of(block)
        if isinstance(part, ToolUse):
            if bytes(block.input) not in EMPTY:
                self._held[index] = part.arguments
            part = msgspec.structs.replace(part, arguments="")
        self._open[index] = None if part is None else self._begun(part, said)

    def _begun(self, part: Text | Thinking | ToolUse, said: list[Event]) -> int:
        if not self._started:
            self._start(_Message(), said)
        number = self._count
        self._count += 1
        said.append(PartStarted(number, part))
        return number

    def _add(self, index: int, delta: _Delta, said: list[Event]) -> None:
        if index not in self._open:
            self._begin_unsaid(index, delta, said)
        number = self._open.get(index)
        if number is None:
            return
        if delta.text or delta.thinking:
            said.append(Added(number, delta.text or delta.thinking or ""))
        elif delta.partial_json:
            self._held.pop(index, None)
            said.append(Added(number, delta.partial_json))
        elif delta.signature:
            said.append(Signed(number, delta.signature))
        elif bytes(delta.citation) not in EMPTY:
            said.append(Cited(number, delta.citation))

    def _begin_unsaid(self, index: int, delta: _Delta, said: list[Event]) -> None:
        """Begin the part that an addition to an unknown block must be of; a call without a name is none."""
        if delta.text:
            self._open[index] = self._begun(Text(""), said)
        elif delta.thinking or delta.signature:
            self._open[index] = self._begun(Thinking(maker=MAKER), said)

    def _end(self, index: int, said: list[Event]) -> None:
        number = self._open.pop(index, None)
        held = self._held.pop(index, "")
        if number is None:
            return
        if held:
            said.append(Added(number, held))
        said.append(PartEnded(number))

    def _close(self, metrics: _Metrics | None, said: list[Event]) -> None:
        for index in tuple(self._open):
            self._end(index, said)
        if metrics is not None:
            counted = Usage(
                input=metrics.input_token_count,
                output=metrics.output_token_count,
                cache_read=metrics.cache_read_input_token_count,
                cache_write=metrics.cache_write_input_token_count,
            )
            if (usage := merged(counted, self._usage)) != self._usage:
                said.append(Used(usage))
        if not self._started:
            self._start(_Message(), said)
        self._ended = True
        said.append(Ended())


class MessagesReader:
    """Reads a stream of server-sent events; see :class:`hydrallm.formats.codec.Reader`."""

    __slots__ = ("_reader",)

    def __init__(self) -> None:
        self._reader = EventReader()

    def feed(self, events: bytes) -> list[Event]:
        """Return what whole events say."""
        said: list[Event] = []
        if b"\r" in events:
            events = events.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        for event in events.split(b"\n\n"):
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
        said: list[Event] = []
        self._reader.finish(said)
        return said


def _decoded(data: bytes) -> _Event | None:
    try:
        return _EVENT.decode(data)
    except msgspec.ValidationError:
        return None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:  # JSON that clients read though it is none, such as half of a surrogate pair
        plain = json.dumps(read_json(data), ensure_ascii=False).encode("utf-8", "replace")
        return _EVENT.decode(plain)
    except (ValueError, RecursionError):
        return None
