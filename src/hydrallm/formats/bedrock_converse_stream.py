"""The stream of ConverseStream, read; :mod:`hydrallm.formats.bedrock_converse_writer` writes it.

PURE. Its events are in :mod:`hydrallm.formats.bedrock_converse`; each is a frame of
:mod:`hydrallm.formats.eventstream`.

Text and thoughts have no ``contentBlockStart``, so what a block is, its first delta says. The model's answer ends with
``messageStop``, but the usage is in ``metadata``, which comes after it or before: the stream is complete when both have
been there, or nothing more comes. Nothing that the model has said hangs on ``metadata`` that cannot be read.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStreamOutput.html
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from hydrallm.formats.bedrock_converse_answer import stop_of, stop_sequence_of, tier_of, usage_of
from hydrallm.formats.bedrock_converse_blocks import MAKER, given, unsealed
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
    Used,
    stop_with,
)
from hydrallm.formats.eventstream import FrameDecoder, HeadersError, read_headers
from hydrallm.formats.figures import figures_of
from hydrallm.formats.strict_json import read_tolerantly

if TYPE_CHECKING:
    from collections.abc import Callable

_Kind: TypeAlias = type[Text | Thinking | ToolUse]

# ---- the events


class _ToolStart(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    tool_use_id: str
    name: str
    type: str | None = None


class _Start(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    tool_use: _ToolStart | None = None


class _BlockStart(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    content_block_index: int
    start: _Start = _Start()


class _ToolDelta(msgspec.Struct, frozen=True, gc=False):
    input: str = ""


class _ReasoningDelta(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    text: str | None = None
    signature: str | None = None
    redacted_content: str | None = None


class _Delta(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    text: str | None = None
    tool_use: _ToolDelta | None = None
    reasoning_content: _ReasoningDelta | None = None
    citation: msgspec.Raw = msgspec.Raw()


class _BlockDelta(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    content_block_index: int
    delta: _Delta = _Delta()


class _BlockStop(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    content_block_index: int


class _MessageStop(msgspec.Struct, frozen=True, rename="camel"):
    stop_reason: str = "end_turn"
    additional_model_response_fields: msgspec.Raw = msgspec.Raw()


class _Metadata(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    usage: msgspec.Raw = msgspec.Raw()
    service_tier: msgspec.Raw = msgspec.Raw()


_BLOCK_START = msgspec.json.Decoder(_BlockStart).decode
_BLOCK_DELTA = msgspec.json.Decoder(_BlockDelta).decode
_BLOCK_STOP = msgspec.json.Decoder(_BlockStop).decode
_MESSAGE_STOP = msgspec.json.Decoder(_MessageStop).decode
_METADATA = msgspec.json.Decoder(_Metadata).decode


# ---- read


class _Block:
    """A block that is open.

    Attributes:
        kind: of its part; None where nobody can say it.
        number: the part's.
        id: of a call.
    """

    __slots__ = ("id", "kind", "number")

    def __init__(self, kind: _Kind | None, number: int, identity: str = "") -> None:
        self.kind = kind
        self.number = number
        self.id = identity


class ConverseReader:
    """Reads one stream; see :class:`hydrallm.formats.codec.Reader`."""

    def __init__(self) -> None:
        self._frames = FrameDecoder()
        self._kinds: dict[bytes, str] = {}  # the event's type by the block of headers: there are few
        self._started = False
        self._open: dict[int, _Block] = {}  # by the block's index
        self._count = 0
        self._calls = False
        self._redacted: dict[int, list[str]] = {}
        self._stop: Stop | None = None
        self._stop_sequence: str | None = None
        self._metadata = False
        self._ended = False
        self._handlers: dict[str, Callable[[bytes, list[Event]], None]] = {
            "contentBlockDelta": self._on_delta,
            "contentBlockStart": self._on_start,
            "contentBlockStop": self._on_stop,
            "messageStart": self._on_message_start,
            "messageStop": self._on_message_stop,
            "metadata": self._on_metadata,
        }

    def feed(self, events: bytes) -> list[Event]:
        """Return what whole frames say.

        Raises:
            UntranslatableError: an event is not what its type promises.
        """
        said: list[Event] = []
        for frame in self._frames.feed(events):
            kind = self._kinds.get(frame.headers)
            if kind is None:
                kind = self._kinds[frame.headers] = _kind_of(frame.headers)
            handler = self._handlers.get(kind)
            if handler is not None and not self._ended:
                handler(frame.payload or b"{}", said)
        if self._frames.broken:
            raise UntranslatableError(f"the stream of Converse: {self._frames.broken}")
        return said

    def finish(self) -> list[Event]:
        """Return what is left to say of a stream that is complete: its end, where no ``metadata`` came."""
        said: list[Event] = []
        if self._stop is not None and not self._ended:
            self._close(self._stop, said)
        return said

    def _on_message_start(self, _payload: bytes, said: list[Event]) -> None:
        if not self._started:
            self._started = True
            said.append(Started("", ""))

    def _on_start(self, payload: bytes, said: list[Event]) -> None:
        event = _read(payload, _BLOCK_START, "contentBlockStart")
        index, tool = event.content_block_index, event.start.tool_use
        open_ = self._open.get(index)
        if tool is not None and open_ is not None and open_.id == tool.tool_use_id:
            return  # it is said twice
        self._end(index, said)
        # A tool that AWS runs itself was not asked for, and neither is what else may start a block.
        if tool is None or tool.type is not None:
            self._open[index] = _Block(None, -1)
        else:
            self._begin(index, ToolUse(tool.tool_use_id, tool.name, ""), said)

    def _on_delta(self, payload: bytes, said: list[Event]) -> None:
        try:
            event = _BLOCK_DELTA(payload)
        except (msgspec.DecodeError, RecursionError):
            event = read_tolerantly(payload, _BLOCK_DELTA, "a contentBlockDelta")
        index, delta = event.content_block_index, event.delta
        if delta.text is not None:
            if (block := self._of(Text, index, said)).kind is Text:
                said.append(Added(block.number, delta.text))
        elif delta.tool_use is not None:
            if delta.tool_use.input and (block := self._of(ToolUse, index, said)).kind is ToolUse:
                said.append(Added(block.number, delta.tool_use.input))
        elif delta.reasoning_content is not None:
            self._on_reasoning(index, delta.reasoning_content, said)
        elif (citation := given(delta.citation)) and (block := self._of(Text, index, said)).kind is Text:
            said.append(Cited(block.number, citation))

    def _on_reasoning(self, index: int, delta: _ReasoningDelta, said: list[Event]) -> None:
        if delta.redacted_content is not None:
            self._redacted.setdefault(index, []).append(delta.redacted_content)
            return
        block = self._of(Thinking, index, said)
        if block.kind is None:
            return
        if delta.text is not None:
            said.append(Added(block.number, delta.text))
        if delta.signature is not None:
            said.append(Signed(block.number, delta.signature))

    def _on_stop(self, payload: bytes, said: list[Event]) -> None:
        self._end(_read(payload, _BLOCK_STOP, "contentBlockStop").content_block_index, said)

    def _on_message_stop(self, payload: bytes, said: list[Event]) -> None:
        stop = _read(payload, _MESSAGE_STOP, "messageStop")
        self._stop = stop_of(stop.stop_reason)
        self._stop_sequence = stop_sequence_of(given(stop.additional_model_response_fields))
        if self._metadata:
            self._close(self._stop, said)

    def _on_metadata(self, payload: bytes, said: list[Event]) -> None:
        self._metadata = True
        try:
            metadata = _read(payload, _METADATA, "metadata")
        except UntranslatableError:
            metadata = _Metadata()  # its figures are not told; what the model said does not hang on them
        if figures := figures_of(metadata.usage):
            self._on_message_start(b"", said)
            said.append(Used(usage_of(figures), tier_of(metadata.service_tier)))
        if self._stop is not None:
            self._close(self._stop, said)

    def _close(self, stop: Stop, said: list[Event]) -> None:
        self._on_message_start(b"", said)
        for index in sorted(self._open.keys() | self._redacted.keys()):
            self._end(index, said)
        self._ended = True
        said += (Stopped(stop_with(stop, calls=self._calls), self._stop_sequence), Ended())

    def _of(self, kind: _Kind, index: int, said: list[Event]) -> _Block:
        """Return the block at ``index``, if what is added can be of it; else begin the part that it must be of.

        Raises:
            UntranslatableError: it is of a call, and nobody has said which tool is called.
        """
        block = self._open.get(index)
        if block is not None:
            if block.kind is kind or block.kind is None:
                return block
            self._end(index, said)
        if kind is ToolUse:
            raise UntranslatableError(f"there is input at contentBlockIndex {index}, and no toolUse that it is of")
        return self._begin(index, Text("") if kind is Text else Thinking(maker=MAKER), said)

    def _begin(self, index: int, part: Text | Thinking | ToolUse, said: list[Event]) -> _Block:
        self._on_message_start(b"", said)
        self._calls = self._calls or isinstance(part, ToolUse)
        block = _Block(type(part), self._count, part.id if isinstance(part, ToolUse) else "")
        self._open[index] = block
        self._count += 1
        said.append(PartStarted(block.number, part))
        return block

    def _end(self, index: int, said: list[Event]) -> None:
        block = self._open.pop(index, None)
        if block is not None and block.kind is not None:
            said.append(PartEnded(block.number))
        if pieces := self._redacted.pop(index, None):
            # Encrypted thoughts come whole or not at all: there is no adding to one.
            number = self._begin(index, unsealed(_joined(pieces)), said).number
            del self._open[index]
            said.append(PartEnded(number))


def _kind_of(headers: bytes) -> str:
    try:
        found = read_headers(headers)
    except HeadersError as error:
        raise UntranslatableError(f"the stream of Converse: {error}") from None
    return found.get(":event-type", "") if found.get(":message-type", "event") == "event" else ""


def _read(payload: bytes, decode: Callable[[bytes], Any], kind: str) -> Any:  # noqa: ANN401 - what decode returns
    return read_tolerantly(payload, decode, f"the payload of a {kind}")


def _joined(pieces: list[str]) -> str:
    if len(pieces) == 1:
        return pieces[0]
    try:
        return base64.b64encode(b"".join(map(base64.b64decode, pieces))).decode()
    except (binascii.Error, ValueError):
        return "".join(pieces)
