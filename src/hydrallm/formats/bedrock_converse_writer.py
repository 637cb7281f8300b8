"""The stream of ConverseStream, written.

PURE. Blocks come one after the other, as all of AWS's own do: many clients add a delta to the block that came last.
What another block says meanwhile is kept until its turn has come. How the answer ends is only told once the stream has
ended: ``messageStop`` is the event by which clients know that it is complete.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStreamOutput.html
"""

from __future__ import annotations

import struct
import zlib
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, TypeAlias, assert_never

import msgspec

from hydrallm.formats.bedrock_converse_answer import (
    STOP_WORDS,
    TIERS,
    is_citation,
    signature_of,
    usage_members,
)
from hydrallm.formats.bedrock_converse_blocks import ID_CHARACTERS, LONGEST_ID, sealed
from hydrallm.formats.calls import CallCheck
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
from hydrallm.formats.eventstream import encode_frame

if TYPE_CHECKING:
    from hydrallm.formats.codec import Asked

OfPart: TypeAlias = Added | Signed | Cited | PartEnded

_ENCODE = msgspec.json.Encoder().encode
_PRELUDE = struct.Struct("!II")
_CHECKSUM = struct.Struct("!I")


def _headers(event_type: str) -> bytes:
    """Return the block of headers of an event, cut out of a frame that has nothing else."""
    headers = {":event-type": event_type, ":content-type": "application/json", ":message-type": "event"}
    return encode_frame(headers, b"")[_PRELUDE.size + _CHECKSUM.size : -_CHECKSUM.size]


_MESSAGE_START = _headers("messageStart")
_BLOCK_START = _headers("contentBlockStart")
_BLOCK_DELTA = _headers("contentBlockDelta")
_BLOCK_STOP = _headers("contentBlockStop")
_MESSAGE_STOP = _headers("messageStop")
_METADATA = _headers("metadata")

# What adds to a block, by the kind of its part.
_DELTAS: dict[type, bytes] = {
    Text: b'{"contentBlockIndex":%d,"delta":{"text":%b}}',
    Thinking: b'{"contentBlockIndex":%d,"delta":{"reasoningContent":{"text":%b}}}',
    ToolUse: b'{"contentBlockIndex":%d,"delta":{"toolUse":{"input":%b}}}',
}


def _frame(headers: bytes, payload: bytes) -> bytes:
    """Return a frame, as ``encode_frame`` does, of headers that are encoded already."""
    prelude = _PRELUDE.pack(16 + len(headers) + len(payload), len(headers))
    frame = b"".join((prelude, _CHECKSUM.pack(zlib.crc32(prelude)), headers, payload))
    return frame + _CHECKSUM.pack(zlib.crc32(frame))


class _Block:
    """A block that is being written, or waits for its turn.

    Attributes:
        part: its beginning.
        delta: what adds to it, with room for the index and the words.
        waiting: what it has to say.
        opened: whether anything of it was written; what says nothing is left out.
        signature: so far. It is written whole, for not all clients put pieces together.
    """

    __slots__ = ("delta", "opened", "part", "signature", "waiting")

    def __init__(self, part: Text | Thinking | ToolUse) -> None:
        self.part = part
        self.delta = _DELTAS[type(part)]
        self.waiting: list[OfPart] = []
        self.opened = False
        self.signature = ""


class ConverseWriter:
    """Writes one stream; see :class:`hydrallm.formats.codec.Writer`."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._check = CallCheck(asked.custom)
        # Those that have begun and are not written to their end. The first is the one whose turn it is.
        self._blocks: OrderedDict[int, _Block] = OrderedDict()
        self._turn: int | None = None  # whose it is
        self._current: _Block | None = None
        self._number = 0  # the index of the current block in what is written
        self._started = False
        self._stopped = Stopped(Stop.END)
        self._usage = Usage()
        self._tier = ""

    def feed(self, events: list[Event]) -> bytes:
        """Return the frames that say ``events``."""
        self._check.feed(events)
        frames: list[bytes] = []
        for event in events:
            if type(event) is Added and event.index == self._turn:
                self._add(event.text, frames)
            else:
                self._take(event, frames)
        return frames[0] if len(frames) == 1 else b"".join(frames)

    def _take(self, event: Event, frames: list[bytes]) -> None:
        match event:
            case Started():
                self._start(frames)
            case PartStarted(index=index, part=part):
                self._start(frames)
                self._blocks.setdefault(index, _Block(part))
                self._go_on(frames)
            case Added() | Signed() | Cited() | PartEnded():
                if block := self._blocks.get(event.index):
                    block.waiting.append(event)
                    self._go_on(frames)
            case Used(usage=usage, tier=tier):
                self._usage = merged(self._usage, usage)
                self._tier = tier if tier in TIERS else self._tier
            case Stopped():
                self._stopped = event
            case Ended():
                self._end(frames)
            case _:
                assert_never(event)

    def _start(self, frames: list[bytes]) -> None:
        if not self._started:
            self._started = True
            frames.append(_frame(_MESSAGE_START, b'{"role":"assistant"}'))

    def _go_on(self, frames: list[bytes]) -> None:
        """Write what the block whose turn it is has to say; when it has ended, the next one's, and so on."""
        while self._blocks:
            index, block = next(iter(self._blocks.items()))
            if self._turn != index:
                self._turn, self._current = index, block
                self._open(block, frames)
            for event in block.waiting:
                if type(event) is PartEnded:
                    self._close(block, frames)
                    break
                self._say(block, event, frames)
            else:
                block.waiting.clear()
                return

    def _open(self, block: _Block, frames: list[bytes]) -> None:
        match part := block.part:
            case Text():
                self._add(part.text, frames)
            case Thinking():
                block.signature = part.signature
                if redacted := sealed(part):
                    self._write(block, {"reasoningContent": {"redactedContent": redacted}}, frames)
                self._add(part.text, frames)
            case ToolUse():
                use = {
                    "toolUseId": self._asked.call_id(part.id, ID_CHARACTERS, LONGEST_ID),
                    "name": self._asked.names.get(part.name, part.name),
                }
                start = {"start": {"toolUse": use}, "contentBlockIndex": self._number}
                frames.append(_frame(_BLOCK_START, _ENCODE(start)))
                self._add(part.arguments, frames)
            case _:
                assert_never(part)

    def _say(self, block: _Block, event: OfPart, frames: list[bytes]) -> None:
        match event:
            case Added(text=text):
                self._add(text, frames)
            case Signed(signature=signature):
                block.signature += signature
            case Cited(citation=citation):
                if is_citation(citation):
                    self._write(block, {"citation": citation}, frames)
            case PartEnded():
                pass  # _go_on sees to it
            case _:
                assert_never(event)

    def _add(self, text: str, frames: list[bytes]) -> None:
        """Add to the current block."""
        if text and (block := self._current) is not None:
            block.opened = True
            frames.append(_frame(_BLOCK_DELTA, block.delta % (self._number, _ENCODE(text))))

    def _write(self, block: _Block, delta: dict[str, Any], frames: list[bytes]) -> None:
        block.opened = True
        frames.append(_frame(_BLOCK_DELTA, _ENCODE({"contentBlockIndex": self._number, "delta": delta})))

    def _close(self, block: _Block, frames: list[bytes]) -> None:
        """End the block whose turn it is."""
        part = block.part
        if isinstance(part, Thinking) and not part.redacted and (block.opened or block.signature):
            signature = signature_of(msgspec.structs.replace(part, signature=block.signature))
            if signature:
                self._write(block, {"reasoningContent": {"signature": signature}}, frames)
        if isinstance(block.part, ToolUse) and not block.opened:
            self._add("{}", frames)
        if block.opened:
            frames.append(_frame(_BLOCK_STOP, b'{"contentBlockIndex":%d}' % self._number))
            self._number += 1
        if self._turn is not None:
            del self._blocks[self._turn]
        self._turn = self._current = None

    def _end(self, frames: list[bytes]) -> None:
        self._start(frames)
        for index in list(self._blocks):
            self._take(PartEnded(index), frames)
        stop: dict[str, Any] = {"stopReason": STOP_WORDS[self._stopped.stop]}
        if self._stopped.stop_sequence is not None:
            stop["additionalModelResponseFields"] = {"stop_sequence": self._stopped.stop_sequence}
        frames.append(_frame(_MESSAGE_STOP, _ENCODE(stop)))
        metadata: dict[str, Any] = {"usage": usage_members(self._usage), "metrics": {"latencyMs": 0}}
        if self._tier:
            metadata["serviceTier"] = {"type": self._tier}
        frames.append(_frame(_METADATA, _ENCODE(metadata)))
