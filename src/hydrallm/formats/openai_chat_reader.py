"""What a stream of Chat Completions says.

PURE, and on the path of every chunk. https://platform.openai.com/docs/api-reference/chat-streaming. A stream is one
message that grows; it does not say where a part of it begins or ends. So here a part begins with the first of it, and
ends where another kind of part begins; but calls go on side by side, told apart by their index, until the answer ends.
Text after a call is a new part.

Reading is tolerant of what compatible servers do with calls: no index, or the same for all (Gemini), so that only a new
id tells a new call; no id either, so that a name tells it which comes with arguments, after a call that has all of its
own; the id and the name again in every chunk; the name after the id.

A finish reason does not end a stream: some servers give one in each chunk, or before the last of a call. So the answer
has ended with ``[DONE]``. Some streams lack it; that they are complete all the same is for
:class:`~hydrallm.formats.openai_choices.ChoicesScan` to judge, and then :meth:`ChatReader.finish` gives the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from hydrallm.formats import sse, strict_json
from hydrallm.formats.arguments import is_object
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
from hydrallm.formats.figures import word
from hydrallm.formats.openai_chat_answer import (
    Call,
    Said,
    call_id,
    content_part,
    is_first,
    stop_of,
    thought_in,
    usage_of,
)

if TYPE_CHECKING:
    from hydrallm.formats.canonical_answer import Event


class _Choice(msgspec.Struct, frozen=True, gc=False):
    index: object = None
    delta: Said | None = None
    message: Said | None = None  # a few servers stream a whole message where a delta belongs
    finish_reason: object = None


class _Chunk(msgspec.Struct, frozen=True, gc=False):
    choices: list[_Choice] | None = None
    usage: msgspec.Raw = msgspec.Raw()
    id: object = None
    model: object = None
    service_tier: object = None


_CHUNK = msgspec.json.Decoder(_Chunk).decode


class _Call:
    """A call on its way; it has a part once its name is known.

    Attributes:
        id: of it.
        name: of the tool; empty until it is known.
        custom: whether the tool takes free text.
        part: the index of its part, or None.
        said: its arguments so far.
    """

    __slots__ = ("custom", "id", "name", "part", "said")

    def __init__(self, identity: str) -> None:
        self.id = identity
        self.name = ""
        self.custom = False
        self.part: int | None = None
        self.said: list[str] = []

    def begins_another(self, identity: str, name: str, added: str) -> bool:
        """Return whether a chunk that counts for this call, and has not its id, is the first of another.

        Args:
            identity: the chunk's; empty if it has none.
            name: of the tool, likewise.
            added: its arguments.
        """
        if name and (identity or self.name not in {"", name}):
            return True
        if not added or not (identity or name) or not self.said or not self.said[-1].rstrip().endswith("}"):
            return False
        return is_object("".join(self.said))


class ChatReader:
    """Reads a stream; see :class:`~hydrallm.formats.codec.Reader`."""

    def __init__(self) -> None:
        self._id = ""
        self._begun = False
        self._reason = ""
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
        for call in self._calls:
            if call.part is None:
                self._start(call, said)
        self._end_open(said)
        said += (PartEnded(call.part) for call in self._calls if call.part is not None)
        said += (Stopped(stop_of(self._reason, calls=bool(self._calls), refused=self._refused)), Ended())
        self._ended = True
        return said

    def _take(self, data: bytes, said: list[Event]) -> None:
        if self._ended:
            return
        try:
            chunk = _CHUNK(data)
        except (ValueError, RecursionError):
            chunk = strict_json.read_tolerantly(data, _CHUNK, "a chunk of a chat completion")
        for choice in chunk.choices or ():
            if not is_first(choice.index):
                continue
            if not self._begun:
                self._begin(word(chunk.id), word(chunk.model), said)
            if (delta := choice.delta or choice.message) is not None:
                self._grow(delta, said)
            if (reason := word(choice.finish_reason)) and self._reason in ("", "stop"):
                self._reason = reason  # a few servers say "stop" in every chunk
        if (usage := usage_of(chunk.usage)) is not None:
            self._begin(word(chunk.id), word(chunk.model), said)
            said.append(Used(usage, word(chunk.service_tier)))

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
        if refusal := word(delta.refusal):
            self._refused = True
            self._say(Text(refusal, refusal=True), said)
        if delta.tool_calls or delta.function_call is not None:
            self._call(delta.calls, said)

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

    def _call(self, calls: list[Call], said: list[Event]) -> None:
        """Take what a chunk has of calls: more of one, or several."""
        taken: list[_Call] = []
        for more in calls:
            function, custom = more.function, more.custom
            if custom is not None:
                name, added = custom.name or "", custom.input or ""
            else:
                name, added = ("", "") if function is None else (function.name or "", _arguments(function.arguments))
            call = self._called(more, name, added, taken)
            taken.append(call)
            call.custom = call.custom or custom is not None
            if added:
                call.said.append(added)
            if call.part is None and name:
                call.name = name
                self._start(call, said)
            elif call.part is not None and added:
                said.append(Added(call.part, added))

    def _called(self, more: Call, name: str, added: str, taken: list[_Call]) -> _Call:
        """Return the call that a chunk has more of; a new one, if it is the first of it.

        Args:
            more: of it.
            name: of the tool; empty if it is not said.
            added: to its arguments.
            taken: the calls that the chunk has had something of.
        """
        place, identity = more.place, more.identity
        known = self._calls[-1] if place is None and self._calls else self._indices.get(place or 0)
        if known is not None and not (name and known in taken):
            if identity and (same := next((call for call in self._calls if call.id == identity), None)):
                return same
            if not known.begins_another(identity, name, added):
                return known
        call = _Call(call_id(identity, len(self._calls), self._id))
        self._calls.append(call)
        self._indices[len(self._indices) if place is None else place] = call
        return call

    def _start(self, call: _Call, said: list[Event]) -> None:
        self._end_open(said)
        call.part = self._parts
        self._parts += 1
        said.append(PartStarted(call.part, ToolUse(call.id, call.name, "", custom=call.custom)))
        if call.said:
            said.append(Added(call.part, "".join(call.said)))

    def _end_open(self, said: list[Event]) -> None:
        if self._open is not None:
            said.append(PartEnded(self._parts - 1))
            self._open = None


def _arguments(raw: msgspec.Raw) -> str:
    """Return more of a call's arguments; a few servers send an object."""
    said = bytes(raw)
    if said.startswith(b'"'):
        return msgspec.json.decode(said, type=str)
    return "" if said in {b"", b"null"} else said.decode()
