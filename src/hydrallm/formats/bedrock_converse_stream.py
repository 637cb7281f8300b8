"""The stream of ConverseStream, read; :mod:`hydrallm.formats.bedrock_converse_writer` writes it.

PURE. Its events are in :mod:`hydrallm.formats.bedrock_converse`; each is a frame of
:mod:`hydrallm.formats.eventstream`.

Text and thoughts have no ``contentBlockStart``, so what a block is, its first delta says. The model's answer
ends with ``messageStop``, but the usage is in ``metadata``, which comes after it or before: the stream is complete when
both have been there, or nothing more comes.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStreamOutput.html
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any

import msgspec

from hydrallm.formats.bedrock_converse_answer import Tier, TokenUsage, stop_of, stop_sequence_of, usage_of
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
    Stopped,
    Used,
)
from hydrallm.formats.eventstream import FrameDecoder, HeadersError, read_headers
from hydrallm.formats.strict_json import read_tolerantly

if TYPE_CHECKING:
    from collections.abc import Callable

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
    usage: TokenUsage | None = None
    service_tier: Tier | None = None


_BLOCK_START = msgspec.json.Decoder(_BlockStart).decode
_BLOCK_DELTA = msgspec.json.Decoder(_BlockDelta).decode
_BLOCK_STOP = msgspec.json.Decoder(_BlockStop).decode
_MESSAGE_STOP = msgspec.json.Decoder(_MessageStop).decode
_METADATA = msgspec.json.Decoder(_Metadata).decode


# ---- read


class ConverseReader:
    """Reads one stream; see :class:`hydrallm.formats.codec.Reader`."""

    def __init__(self) -> None:
        self._frames = FrameDecoder()
        self._kinds: dict[bytes, str] = {}  # the event's type by the block of headers: there are few
        self._started = False
        self._open: set[int] = set()
        self._redacted: dict[int, list[str]] = {}
        self._stopped = False
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
        if not self._stopped or self._ended:
            return []
        self._ended = True
        return [Ended()]

    def _on_message_start(self, _payload: bytes, said: list[Event]) -> None:
        if not self._started:
            self._started = True
            said.append(Started("", ""))

    def _on_start(self, payload: bytes, said: list[Event]) -> None:
        start = _read(payload, _BLOCK_START, "contentBlockStart")
        tool = start.start.tool_use
        # A tool that AWS runs itself was not asked for, and neither is what else may start a block.
        if tool is not None and tool.type is None and start.content_block_index not in self._open:
            self._begin(start.content_block_index, ToolUse(tool.tool_use_id, tool.name, ""), said)

    def _on_delta(self, payload: bytes, said: list[Event]) -> None:
        try:
            event = _BLOCK_DELTA(payload)
        except (msgspec.DecodeError, RecursionError):
            event = read_tolerantly(payload, _BLOCK_DELTA, "a contentBlockDelta")
        index, delta = event.content_block_index, event.delta
        if delta.text is not None:
            if index not in self._open:
                self._begin(index, Text(""), said)
            said.append(Added(index, delta.text))
        elif delta.tool_use is not None:
            if index in self._open:
                said.append(Added(index, delta.tool_use.input))
        elif delta.reasoning_content is not None:
            self._on_reasoning(index, delta.reasoning_content, said)
        elif citation := given(delta.citation):
            if index not in self._open:
                self._begin(index, Text(""), said)
            said.append(Cited(index, citation))

    def _on_reasoning(self, index: int, delta: _ReasoningDelta, said: list[Event]) -> None:
        if delta.redacted_content is not None:
            self._redacted.setdefault(index, []).append(delta.redacted_content)
            return
        if index not in self._open:
            self._begin(index, Thinking(maker=MAKER), said)
        if delta.text is not None:
            said.append(Added(index, delta.text))
        if delta.signature is not None:
            said.append(Signed(index, delta.signature))

    def _on_stop(self, payload: bytes, said: list[Event]) -> None:
        self._end(_read(payload, _BLOCK_STOP, "contentBlockStop").content_block_index, said)

    def _on_message_stop(self, payload: bytes, said: list[Event]) -> None:
        stop = _read(payload, _MESSAGE_STOP, "messageStop")
        for index in sorted(self._open | self._redacted.keys()):
            self._end(index, said)
        sequence = stop_sequence_of(given(stop.additional_model_response_fields))
        said.append(Stopped(stop_of(stop.stop_reason), sequence))
        self._stopped = True
        self._complete(said)

    def _on_metadata(self, payload: bytes, said: list[Event]) -> None:
        metadata = _read(payload, _METADATA, "metadata")
        if metadata.usage is not None:
            tier = metadata.service_tier.type if metadata.service_tier is not None else ""
            said.append(Used(usage_of(metadata.usage), tier))
        self._metadata = True
        self._complete(said)

    def _complete(self, said: list[Event]) -> None:
        if self._stopped and self._metadata:
            self._ended = True
            said.append(Ended())

    def _begin(self, index: int, part: Text | Thinking | ToolUse, said: list[Event]) -> None:
        self._on_message_start(b"", said)
        self._open.add(index)
        said.append(PartStarted(index, part))

    def _end(self, index: int, said: list[Event]) -> None:
        if pieces := self._redacted.pop(index, None):
            # Encrypted thoughts come whole or not at all: there is no adding to one.
            self._begin(index, unsealed(_joined(pieces)), said)
        if index in self._open:
            self._open.remove(index)
            said.append(PartEnded(index))


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
