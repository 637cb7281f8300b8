"""Streams of OpenAI's Responses, written.

PURE, and on the path of every event. https://platform.openai.com/docs/api-reference/responses-streaming. Items are told
apart by their index, so parts may go on side by side here, and nothing has to be buffered. Each part is an item.

An item that is done says whether it is complete, and a client may act on that: it runs the tool. So what ends a part is
said with what follows it, when it is known whether the answer was cut short there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_never

import msgspec

from hydrallm.formats.calls import CallCheck
from hydrallm.formats.canonical import Text, Thinking, ToolUse
from hydrallm.formats.canonical_answer import (
    CUT,
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
from hydrallm.formats.custom_tools import Restoration
from hydrallm.formats.openai_responses_answer import (
    TIERS,
    annotations_of,
    content_of,
    identified,
    item_id,
    item_of,
    response_of,
)

if TYPE_CHECKING:
    from hydrallm.formats.codec import Asked

_ENCODE = msgspec.json.Encoder().encode


class _Kind(msgspec.Struct, frozen=True):
    """How the words of a part are told.

    Attributes:
        event: the stem of the events' names.
        whole: the member of the ``.done`` event that has all of them.
        place: the member that has the index within the item; empty for none.
        part: the stem of the names of the events that open and close the part; empty for none.
        logprobs: whether the events have, by their schema, a list of log probabilities.
    """

    event: str
    whole: str
    place: str = ""
    part: str = ""
    logprobs: bool = False


_OUTPUT = _Kind("response.output_text", "text", "content_index", "response.content_part", logprobs=True)
_REFUSAL = _Kind("response.refusal", "refusal", "content_index", "response.content_part")
_SUMMARY = _Kind("response.reasoning_summary_text", "text", "summary_index", "response.reasoning_summary_part")
_ARGUMENTS = _Kind("response.function_call_arguments", "arguments")
_INPUT = _Kind("response.custom_tool_call_input", "input")


def _kind(part: Text | Thinking | ToolUse) -> _Kind:
    match part:
        case Text():
            return _REFUSAL if part.refusal else _OUTPUT
        case Thinking():
            return _SUMMARY
        case ToolUse():
            return _INPUT if part.custom else _ARGUMENTS
        case _:
            assert_never(part)


class _Item:
    """A part on its way, as an item.

    Attributes:
        kind: how its words are told.
        base: the members by which its events name it.
        id: its own.
        place: in the output.
        first: its beginning.
        words: said since.
        signature: said since.
        citations: said since, those of this format.
        head: what an event with a word begins with; empty until the part in the item has been opened.
    """

    __slots__ = ("base", "citations", "first", "head", "id", "kind", "place", "signature", "words")

    def __init__(self, part: Text | Thinking | ToolUse, identity: str, place: int) -> None:
        self.kind = _kind(part)
        self.id = identity
        self.place = place
        self.first = part
        self.words: list[str] = []
        self.signature = ""
        self.citations: list[Any] = []
        self.head = b""
        self.base: dict[str, Any] = {"item_id": self.id, "output_index": place}
        if self.kind.place:
            self.base[self.kind.place] = 0

    def open(self) -> None:
        name = f"{self.kind.event}.delta"
        members = {"type": name, **self.base, **({"logprobs": []} if self.kind.logprobs else {})}
        self.head = b"event: " + name.encode() + b"\ndata: " + _ENCODE(members)[:-1] + b',"delta":'

    def whole(self) -> Text | Thinking | ToolUse:
        said = "".join(self.words)
        match self.first:
            case Text():
                cited = msgspec.Raw(_ENCODE(self.citations)) if self.citations else None
                return Text(said, refusal=self.first.refusal, citations=cited)
            case Thinking():
                signature = self.first.signature + self.signature
                return msgspec.structs.replace(self.first, text=said, signature=signature)
            case ToolUse():
                return msgspec.structs.replace(self.first, arguments=said)
            case _:
                assert_never(self.first)


class ResponsesWriter:
    """The writer of one stream; see :class:`~hydrallm.formats.codec.Writer`."""

    __slots__ = ("_asked", "_check", "_done", "_ending", "_items", "_model", "_out", "_restoration", "_sequence",
                 "_started", "_stop", "_taken", "_tier", "_usage")  # fmt: skip

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._check = CallCheck(asked.custom)
        self._restoration = Restoration(asked.custom)
        self._model = ""
        self._started = False
        self._sequence = 0
        self._items: dict[int, _Item] = {}  # that are not done, by the part
        self._ending: dict[int, None] = {}
        self._done: dict[int, dict[str, Any]] = {}  # by the place
        self._stop: Stop | None = None
        self._taken: set[str] = set()
        self._usage = Usage()
        self._tier: str | None = None
        self._out: list[bytes] = []

    def feed(self, events: list[Event]) -> bytes:
        """Return the bytes that say ``events``."""
        self._check.feed(events)
        for event in self._restoration.feed(events):
            if type(event) is Added:
                if (item := self._items.get(event.index)) is not None:
                    self._add(item, event.text)
            else:
                self._take(event)
        said = b"".join(self._out)
        self._out.clear()
        return said

    def _add(self, item: _Item, words: str) -> None:
        if not words:
            return
        if not item.head:
            self._open(item)
        try:
            encoded = _ENCODE(words)
        except UnicodeEncodeError:  # half of a surrogate pair
            words = words.encode("utf-8", "replace").decode()
            encoded = _ENCODE(words)
        item.words.append(words)
        number = self._sequence
        self._sequence = number + 1
        self._out.append(b'%b%b,"sequence_number":%d}\n\n' % (item.head, encoded, number))

    def _take(self, event: Event) -> None:
        if not self._started:
            self._start(event)
        match event:
            case PartStarted(index=index, part=part):
                self._settle()
                self._begin(index, part)
            case Signed(index=index, signature=signature) if index in self._items:
                self._items[index].signature += signature
            case Cited(index=index, citation=citation) if index in self._items:
                self._cite(self._items[index], msgspec.Raw(b"[" + bytes(citation) + b"]"))
            case PartEnded(index=index):
                self._end(index)
            case Used(usage=usage, tier=tier):
                self._usage = merged(self._usage, usage)
                self._tier = tier if tier in TIERS else self._tier
            case Stopped(stop=stop):
                self._stop = stop
                self._settle()
            case Ended():
                self._complete()
            case Started() | Added() | Signed() | Cited():
                pass
            case _:
                assert_never(event)

    def _say(self, name: str, **members: object) -> None:
        encoded = _ENCODE({"type": name, "sequence_number": self._sequence, **members})
        self._sequence += 1
        self._out.append(b"event: " + name.encode() + b"\ndata: " + encoded + b"\n\n")

    def _start(self, event: Event) -> None:
        self._started = True
        self._model = event.model if isinstance(event, Started) else ""
        response = response_of(self._asked, self._model, [], None, self._usage)
        self._say("response.created", response=response)
        self._say("response.in_progress", response=response)

    def _begin(self, index: int, part: Text | Thinking | ToolUse) -> None:
        place = len(self._done) + len(self._items)
        part = identified(part, self._asked, place, self._taken)
        item = self._items[index] = _Item(part, item_id(part, self._asked, place), place)
        added = item_of(_unsaid(part), item.id, "in_progress") | _NOTHING[item.kind]
        self._say("response.output_item.added", output_index=item.place, item=added)
        match part:
            case Text():
                self._open(item)
                self._add(item, part.text)
                if part.citations is not None:
                    self._cite(item, part.citations)
            case Thinking():
                # Its summary is opened with the first word, for a thought may have none.
                self._add(item, part.text)
            case ToolUse():
                self._add(item, part.arguments)
            case _:
                assert_never(part)

    def _open(self, item: _Item) -> None:
        item.open()
        if item.kind.part:
            self._say(f"{item.kind.part}.added", **item.base, part=_part_of(item.first, ""))

    def _cite(self, item: _Item, citations: msgspec.Raw) -> None:
        for annotation in annotations_of(citations):
            place = {"annotation_index": len(item.citations), "annotation": annotation}
            self._say("response.output_text.annotation.added", **item.base, **place)
            item.citations.append(annotation)

    def _end(self, index: int) -> None:
        if index in self._items:
            self._ending[index] = None

    def _settle(self) -> None:
        """Say what parts have ended."""
        ended, self._ending = self._ending, {}
        for index in ended:
            last = index == next(reversed(self._items))  # parts begin in order
            self._finish(index, "incomplete" if last and self._stop in CUT else "completed")

    def _finish(self, index: int, status: str) -> None:
        item = self._items[index]
        if item.kind is _ARGUMENTS and not item.words:
            self._add(item, "{}")
        part = item.whole()
        kind = item.kind
        if item.head or not kind.part:
            said = {kind.whole: "".join(item.words), **({"logprobs": []} if kind.logprobs else {})}
            self._say(f"{kind.event}.done", **item.base, **said)
        if item.head and kind.part:
            self._say(f"{kind.part}.done", **item.base, part=_part_of(part, "".join(item.words)))
        done = self._done[item.place] = item_of(part, item.id, status)
        del self._items[index]
        self._say("response.output_item.done", output_index=item.place, item=done)

    def _complete(self) -> None:
        stop = self._stop or Stop.END
        self._stop = stop
        for index in self._items:
            self._end(index)
        self._settle()
        output = [self._done[place] for place in sorted(self._done)]
        response = response_of(self._asked, self._model, output, stop, self._usage)
        self._say(f"response.{response['status']}", response=response | {"service_tier": self._tier})


_NOTHING: dict[_Kind, dict[str, Any]] = {
    _OUTPUT: {"content": []},
    _REFUSAL: {"content": []},
    _SUMMARY: {"encrypted_content": None},
    _ARGUMENTS: {"arguments": ""},
    _INPUT: {"input": ""},
}
"""What an item that has just been added does not say yet."""


def _unsaid(part: Text | Thinking | ToolUse) -> Text | Thinking | ToolUse:
    match part:
        case Text():
            return Text("", refusal=part.refusal)
        case Thinking():
            return Thinking(maker=part.maker, id=part.id)
        case ToolUse():
            return ToolUse(part.id, part.name, "", part.custom)
        case _:
            assert_never(part)


def _part_of(part: Text | Thinking | ToolUse, words: str) -> dict[str, Any]:
    """Return the part of an item, as the events have it that open and close it."""
    if isinstance(part, Text):
        return content_of(msgspec.structs.replace(part, text=words))
    return {"type": "summary_text", "text": words}
