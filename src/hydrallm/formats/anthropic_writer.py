"""The events of a stream of Anthropic's Messages, written, whatever carries them.

PURE, and on the path of every chunk. https://docs.anthropic.com/en/docs/build-with-claude/streaming. The SDKs append
blocks as they are opened and add to them by index, so indices count from 0 without a gap. Anthropic itself never opens
a block before the last one is closed, and neither does this: what other parts say meanwhile waits.

A text or a thought is opened when it says something, for an empty block is one that the API would refuse to have back.
A thought's signature comes in one piece, at its end: the SDKs keep the last one they see.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, TypeAlias, assert_never

import msgspec

from hydrallm.formats.anthropic_answer import (
    TIERS,
    is_citation,
    known_citations,
    opening,
    stop_reason,
    write_call,
    write_thought,
    write_usage,
)
from hydrallm.formats.arguments import as_object
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

if TYPE_CHECKING:
    from collections.abc import Callable

    from hydrallm.formats.codec import Asked

OfPart: TypeAlias = Added | Signed | Cited | PartEnded

_TEXT = b'"delta":{"type":"text_delta","text":'
_THINKING = b'"delta":{"type":"thinking_delta","thinking":'
_ARGUMENTS = b'"delta":{"type":"input_json_delta","partial_json":'

_encode = msgspec.json.Encoder().encode


class _Block:
    """The part that is being written."""

    __slots__ = ("citations", "cut", "head", "index", "part", "signature")

    def __init__(self, part: Text | Thinking | ToolUse) -> None:
        self.part = part
        self.index: int | None = None  # of the block, once it is open
        self.head = b""  # of an event that adds to it
        self.signature = ""
        self.citations: list[msgspec.Raw] = []  # of a text that has said nothing yet
        self.cut: list[str] = []  # a free text for a tool, which is an object only once it is whole


class EventWriter:
    """Writes the events of one stream.

    The bytes of an event are its carrier's business: ``frame`` makes them of its type and its JSON.
    """

    def __init__(self, asked: Asked, frame: Callable[[str, bytes], bytes], *, metrics: bool = False) -> None:
        """Args are what the events depend on.

        Args:
            asked: what is known of the request.
            frame: returns the bytes of an event.
            metrics: whether the last event counts the tokens as Bedrock does.
        """
        self._asked = asked
        self._check = CallCheck(asked.custom)
        self._frame = frame
        self._metrics = metrics
        self._start: Started | None = None
        self._opened = False  # message_start is written
        self._ended = False
        self._usage = Usage()
        self._tier = ""
        self._stopped = Stopped(Stop.END)
        self._called = False
        self._block: _Block | None = None
        self._current = -1  # the part that the block is of
        self._waiting: OrderedDict[int, tuple[PartStarted, list[OfPart]]] = OrderedDict()
        self._blocks = 0
        self._out: list[bytes] = []

    def feed(self, events: list[Event]) -> bytes:
        """Return the bytes that say ``events``; see :class:`hydrallm.formats.codec.Writer`."""
        self._check.feed(events)
        for event in events:
            if not self._ended:
                self._take(event)
        if self._start is not None and not self._opened:
            self._open_message()
        out, self._out = self._out, []
        return out[0] if len(out) == 1 else b"".join(out)

    def _take(self, event: Event) -> None:
        match event:
            case Added() | Signed() | Cited() | PartEnded() if self._block is not None and event.index == self._current:
                self._go_on(self._block, event)
                self._resume()
            case Added() | Signed() | Cited() | PartEnded():
                _, waiting = self._waiting.get(event.index, (None, None))
                if waiting is not None and not (waiting and isinstance(waiting[-1], PartEnded)):
                    waiting.append(event)
            case PartStarted():
                self._queue(event)
            case Started():
                self._start = self._start or event
            case Used():
                self._usage = merged(self._usage, event.usage)
                self._tier = event.tier or self._tier
            case Stopped():
                self._stopped = event
            case Ended():
                self._end_message()
            case _:
                assert_never(event)

    # ---- the message

    def _open_message(self) -> None:
        self._opened = True
        usage: dict[str, Any] = write_usage(self._usage)
        if self._tier in TIERS:  # the end has no member for it
            usage["service_tier"] = self._tier
        message = {
            **opening(self._start.id if self._start else "", self._asked),
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage,
        }
        self._say("message_start", {"type": "message_start", "message": message})

    def _end_message(self) -> None:
        while self._block is not None:
            self._go_on(self._block, PartEnded(self._current))
            self._resume()
        if not self._opened:
            self._open_message()
        self._ended = True
        delta = {
            "stop_reason": stop_reason(self._stopped.stop, called=self._called),
            "stop_sequence": self._stopped.stop_sequence,
        }
        usage = write_usage(self._usage)
        self._say("message_delta", {"type": "message_delta", "delta": delta, "usage": usage})
        last: dict[str, Any] = {"type": "message_stop"}
        if self._metrics:
            last["amazon-bedrock-invocationMetrics"] = {
                "inputTokenCount": usage["input_tokens"],
                "outputTokenCount": usage["output_tokens"],
            }
        self._say("message_stop", last)

    def _say(self, kind: str, event: dict[str, Any]) -> None:
        self._out.append(self._frame(kind, _json(event)))

    # ---- its parts

    def _queue(self, event: PartStarted) -> None:
        if self._block is None:
            self._begin(event)
        elif event.index != self._current:
            self._waiting.setdefault(event.index, (event, []))

    def _begin(self, event: PartStarted) -> _Block:
        part = event.part
        self._current = event.index
        self._block = block = _Block(part)
        match part:
            case Text():
                if part.text:
                    self._add(block, part.text)
                for citation in known_citations(part.citations) if part.citations is not None else ():
                    self._cite(block, citation)
            case Thinking():
                block.signature = part.signature
                if part.text:
                    self._add(block, part.text)
            case ToolUse():
                self._called = True
                self._open(block, {**write_call(part, self._asked, event.index), "input": {}}, _ARGUMENTS)
                if part.arguments:
                    self._add(block, part.arguments)
            case _:
                assert_never(part)
        return block

    def _go_on(self, block: _Block, event: OfPart) -> None:
        match event:
            case Added():
                if event.text:
                    self._add(block, event.text)
            case Signed():
                block.signature += event.signature
            case Cited():
                self._cite(block, event.citation)
            case PartEnded():
                self._close(block)
                self._block, self._current = None, -1
            case _:
                assert_never(event)

    def _resume(self) -> None:
        """Write the part that has waited longest, as far as it goes; if that is its end, the next one, and so on."""
        while self._block is None and self._waiting:
            _, (first, events) = self._waiting.popitem(last=False)
            block = self._begin(first)
            for event in events:
                self._go_on(block, event)

    def _open(self, block: _Block, content: dict[str, Any], delta: bytes) -> None:
        if not self._opened:
            self._open_message()
        block.index = self._blocks
        self._blocks += 1
        block.head = b'{"type":"content_block_delta","index":%d,%b' % (block.index, delta)
        self._say(
            "content_block_start", {"type": "content_block_start", "index": block.index, "content_block": content}
        )

    def _add(self, block: _Block, text: str) -> None:
        part = block.part
        if block.index is None:
            if isinstance(part, Text):
                self._open(block, {"type": "text", "text": ""}, _TEXT)
                for citation in block.citations:
                    self._cite(block, citation)
            else:
                self._open(block, {"type": "thinking", "thinking": "", "signature": ""}, _THINKING)
        elif isinstance(part, ToolUse) and part.custom:
            block.cut.append(text)
            return
        self._out.append(self._frame("content_block_delta", b"%b%b}}" % (block.head, _json(text))))

    def _cite(self, block: _Block, citation: msgspec.Raw) -> None:
        if not isinstance(block.part, Text) or not is_citation(citation):
            return
        if block.index is None:
            block.citations.append(citation)
        else:
            self._delta(block, {"type": "citations_delta", "citation": citation})

    def _delta(self, block: _Block, delta: dict[str, Any]) -> None:
        self._say("content_block_delta", {"type": "content_block_delta", "index": block.index, "delta": delta})

    def _close(self, block: _Block) -> None:
        part = block.part
        if isinstance(part, Thinking):
            self._sign(block, part)
        elif block.cut:
            whole = bytes(as_object("".join(block.cut))).decode()
            self._out.append(self._frame("content_block_delta", b"%b%b}}" % (block.head, _json(whole))))
        if block.index is not None:
            self._say("content_block_stop", {"type": "content_block_stop", "index": block.index})

    def _sign(self, block: _Block, part: Thinking) -> None:
        """Write what only the end of a thought has: its signature, or all of it that is encrypted."""
        said = "" if block.index is None else "said"  # a mark depends on whether there is a thought, not on its words
        whole = write_thought(msgspec.structs.replace(part, text=said, signature=block.signature))
        if whole is None:
            return
        if whole["type"] == "redacted_thinking":
            if block.index is None:
                self._open(block, whole, b"")
            return
        if block.index is None:
            self._open(block, {"type": "thinking", "thinking": "", "signature": ""}, _THINKING)
        if whole["signature"]:
            self._delta(block, {"type": "signature_delta", "signature": whole["signature"]})


def _json(value: object) -> bytes:
    try:
        return _encode(value)
    except UnicodeEncodeError:  # half of a surrogate pair
        if not isinstance(value, str):
            raise
        return _encode(value.encode("utf-8", "replace").decode())
