"""What a stream of Chat Completions says.

PURE, and on the path of every chunk. https://platform.openai.com/docs/api-reference/chat-streaming. A stream is one
message that grows; it does not say where a part of it begins or ends. So here a part begins with the first of it, and
ends where another kind of part begins; but calls go on side by side, told apart by their index, until the answer ends.
Text after a call is a new part.

Reading is tolerant of what compatible servers do with calls: no index, or the same for all (Gemini), so that only a new
id tells a new call; the id and the name again in every chunk; the name after the id; no id at all.

Some streams lack ``[DONE]``; that they are complete all the same is for
:class:`~hydrallm.formats.openai_choices.ChoicesScan` to judge, and then :meth:`ChatReader.finish` gives the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from hydrallm.formats import sse, strict_json
from hydrallm.formats.canonical import Text, Thinking, ToolUse
from hydrallm.formats.canonical_answer import (
    Added,
    Ended,
    PartEnded,
    PartStarted,
    Started,
    Stopped,
    Used,
)
from hydrallm.formats.openai_chat_answer import (
    Call,
    ChatUsage,
    Said,
    call_id,
    content_part,
    stop_of,
    text_of,
    thought_in,
    usage_of,
)

if TYPE_CHECKING:
    from hydrallm.formats.canonical_answer import Event


class _Choice(msgspec.Struct, frozen=True, gc=False):
    index: int | None = None
    delta: Said | None = None
    message: Said | None = None  # a few servers stream a whole message where a delta belongs
    finish_reason: str | None = None


class _Chunk(msgspec.Struct, frozen=True, gc=False):
    choices: list[_Choice] | None = None
    usage: ChatUsage | None = None
    id: object = None
    model: object = None
    service_tier: object = None


_CHUNK = msgspec.json.Decoder(_Chunk).decode


class _Call:
    """A call on its way; it has a part once its name is known.

    Attributes:
        id: of it.
        part: the index of its part, or None.
        held: what was said of its arguments before that.
    """

    __slots__ = ("custom", "held", "id", "name", "part")

    def __init__(self, identity: str) -> None:
        self.id = identity
        self.name = ""
        self.custom = False
        self.part: int | None = None
        self.held = ""


class ChatReader:
    """Reads a stream; see :class:`~hydrallm.formats.codec.Reader`."""

    def __init__(self) -> None:
        self._id = ""
        self._begun = False
        self._stopped = False
        self._ended = False
        self._refused = False
        self._parts = 0
        self._open: Text | Thinking | None = None  # the part that is growing, which is the last; None among calls
        self._calls: list[_Call] = []
        self._indices: dict[int, _Call] = {}

    def feed(self, events: bytes) -> list[Event]:
        """Return what whole events say."""
        said: list[Event] = []
        if events.startswith(b"data: {") and events.find(b"\n") == len(events) - 2:
            self._take(events[6:-2], said)
            return said
        framer = sse.Framer()
        for event in (*framer.feed(events), framer.flush()):
            name, data = sse.parse(event)
            if not data or name == b"ping":
                continue
            if data.startswith(b"[DONE]"):
                said += self.finish()
            else:
                self._take(data, said)
        return said

    def finish(self) -> list[Event]:
        """Return what ends the answer, where the stream is complete and has not said so; else nothing."""
        if self._ended:
            return []
        said: list[Event] = []
        self._begin("", "", said)
        self._stop(None, said)
        self._ended = True
        said.append(Ended())
        return said

    def _take(self, data: bytes, said: list[Event]) -> None:
        if self._ended:
            return
        try:
            chunk = _CHUNK(data)
        except (ValueError, RecursionError):
            chunk = strict_json.read_tolerantly(data, _CHUNK, "a chunk of a chat completion")
        for choice in chunk.choices or ():
            if choice.index:
                continue
            if not self._begun:
                self._begin(text_of(chunk.id), text_of(chunk.model), said)
            if (delta := choice.delta or choice.message) is not None:
                self._grow(delta, said)
            if choice.finish_reason:
                self._stop(choice.finish_reason, said)
        if chunk.usage is not None:
            said.append(Used(usage_of(chunk.usage), text_of(chunk.service_tier)))

    def _begin(self, identity: str, model: str, said: list[Event]) -> None:
        if not self._begun:
            self._begun = True
            self._id = identity
            said.append(Started(identity, model))

    def _grow(self, delta: Said, said: list[Event]) -> None:
        content = delta.content
        if delta.reasoning_content or delta.reasoning:
            self._say(Thinking(thought_in(delta)), said)
        if content:
            if isinstance(content, str):
                if type(self._open) is Text and not self._open.refusal:  # nearly every chunk is this
                    said.append(Added(self._parts - 1, content))
                else:
                    self._say(Text(content), said)
            else:
                for piece in content:
                    if (part := content_part(piece)) is not None:
                        self._say(part, said)
        if delta.refusal:
            self._refused = True
            self._say(Text(delta.refusal, refusal=True), said)
        for call in delta.tool_calls or ():
            self._call(call, said)

    def _say(self, part: Text | Thinking, said: list[Event]) -> None:
        """Let the part that grows grow, if this is more of it; else begin a new one."""
        if not part.text:
            return
        grows = self._open
        same = isinstance(part, Text) == isinstance(grows, Text) and (
            getattr(part, "refusal", False) == getattr(grows, "refusal", False)
        )
        if grows is not None and same:
            said.append(Added(self._parts - 1, part.text))
            return
        self._end_open(said)
        said.append(PartStarted(self._parts, part))
        self._open = part
        self._parts += 1

    def _call(self, more: Call, said: list[Event]) -> None:
        call = self._called(more)
        function, custom = more.function, more.custom
        if custom is not None:
            call.custom = True
            name, added = custom.name, custom.input or ""
        else:
            name, added = (None, "") if function is None else (function.name, _arguments(function.arguments))
        if call.part is None:
            call.name = name or ""
            call.held += added
            if name:
                self._start(call, said)
        elif added:
            said.append(Added(call.part, added))

    def _called(self, more: Call) -> _Call:
        """Return the call that a chunk has more of; a new one, if it is the first of it."""
        known = self._calls[-1] if more.index is None and self._calls else self._indices.get(more.index or 0)
        named = (more.function is not None and more.function.name) or (more.custom is not None and more.custom.name)
        if known is not None and (not more.id or more.id == known.id or not named):
            return known
        if known is not None and (again := next((call for call in self._calls if call.id == more.id), None)):
            return again
        call = _Call(call_id(more.id, len(self._calls), self._id))
        self._calls.append(call)
        self._indices[len(self._indices) if more.index is None else more.index] = call
        return call

    def _start(self, call: _Call, said: list[Event]) -> None:
        self._end_open(said)
        call.part = self._parts
        self._parts += 1
        said.append(PartStarted(call.part, ToolUse(call.id, call.name, "", custom=call.custom)))
        if call.held:
            said.append(Added(call.part, call.held))

    def _end_open(self, said: list[Event]) -> None:
        if self._open is not None:
            said.append(PartEnded(self._parts - 1))
            self._open = None

    def _stop(self, reason: str | None, said: list[Event]) -> None:
        for call in self._calls:
            if call.part is None:
                self._start(call, said)
        self._end_open(said)
        if self._stopped:
            return
        self._stopped = True
        said += (PartEnded(call.part) for call in self._calls if call.part is not None)
        said.append(Stopped(stop_of(reason, calls=bool(self._calls), refused=self._refused)))


def _arguments(raw: msgspec.Raw) -> str:
    """Return more of a call's arguments; a few servers send an object."""
    said = bytes(raw)
    if said.startswith(b'"'):
        return msgspec.json.decode(said, type=str)
    return "" if said in {b"", b"null"} else said.decode()
