"""Streams of OpenAI's Responses, read.

PURE, and on the path of every event. Items are added, their parts are added to them, words to these, and each is done
in its turn; by then everything has been said twice, and ``response.completed`` says it a third time. What is heard is
what comes first:

* A part has begun when there is a word of it. OpenAI opens items that stay empty (a thought without a summary), which
  other formats should not have to close.
* What was not said word by word is taken from the item when it is done, or else from the response: some compatible
  servers send nothing else.
* A part that is done has nothing added to it. Words that come all the same are another part; arguments are a fault.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, assert_never

import msgspec

from hydrallm.formats import sse
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
from hydrallm.formats.figures import word
from hydrallm.formats.openai_responses_answer import ITEMS, CallItem, MessageItem, ResponseMember
from hydrallm.formats.openai_responses_events import (
    Annotated,
    ArgumentsDelta,
    Completed,
    Created,
    Incomplete,
    InProgress,
    InputDelta,
    ItemAdded,
    ItemDone,
    PartDone,
    RefusalDelta,
    Said,
    SummaryDelta,
    TextDelta,
    ThoughtDelta,
    decode_event,
    typed,
)
from hydrallm.formats.openai_responses_items import MAKER, PARAGRAPH, ReasoningItem, decode, type_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_Item: TypeAlias = MessageItem | ReasoningItem | CallItem

_CUSTOM = "custom_tool_call"
_LIST = msgspec.json.Decoder(list[msgspec.Raw]).decode


class _Thought(msgspec.Struct, gc=False):
    """A thought going on: its part, which of its two texts is heard, and which paragraph of that."""

    index: int
    heard: type
    paragraph: int


class ResponsesReader:
    """The reader of one stream; see :class:`~hydrallm.formats.codec.Reader`."""

    __slots__ = ("_called", "_calls", "_cited", "_done", "_ended", "_events", "_ids", "_next", "_open", "_refuses",
                 "_spoken", "_started", "_texts", "_thoughts", "_unclaimed", "_uttered")  # fmt: skip

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._started = False
        self._ended = False
        self._next = 0
        self._open: dict[int, None] = {}
        # By the item's place in the output, and for texts their place in the item.
        self._texts: dict[int, dict[int, int]] = {}  # that are open
        self._uttered: set[tuple[int, int]] = set()  # texts that have begun
        self._thoughts: dict[int, _Thought] = {}
        self._calls: dict[int, int] = {}
        self._unclaimed: set[int] = set()  # where there are arguments, and no call yet
        self._ids: dict[int, str] = {}
        self._done: set[int] = set()
        # By the part.
        self._spoken: set[int] = set()
        self._cited: dict[int, int] = {}
        self._refuses = False
        self._called = False

    def feed(self, events: bytes) -> list[Event]:
        """Return what whole events of the stream say."""
        events = sse.with_line_feeds(events)
        start, size = 0, len(events)
        while start < size and not self._ended:
            end = events.find(b"\n\n", start)
            if end < 0:
                end = size
            at = events.find(b"data:", start, end)
            if at >= 0:
                said: Said | None
                try:
                    said = decode_event(events[at + 5 : end])
                except (ValueError, RecursionError):
                    said = typed(events[start:end])
                if said is not None:
                    self._take(said)
            start = end + 2
        heard, self._events = self._events, []
        return heard

    def finish(self) -> list[Event]:
        """Return what is owed at a clean end of the stream: nothing, for none is complete without its last event."""
        return []

    def _take(self, said: Said) -> None:
        if type(said) is TextDelta:  # nearly all of them
            texts = self._texts.get(said.output_index)
            if texts is not None and (index := texts.get(said.content_index)) is not None:
                if said.delta:
                    self._events.append(Added(index, said.delta))
                return
        if not self._started:
            self._start(said)
        self._heard[type(said)](self, said)

    def _start(self, said: Said) -> None:
        self._started = True
        response = getattr(said, "response", ResponseMember())
        self._events.append(Started(word(response.id), word(response.model)))

    # ---- parts

    def _begin(self, part: Text | Thinking | ToolUse) -> int:
        index = self._next
        self._next += 1
        self._called = self._called or isinstance(part, ToolUse)
        self._open[index] = None
        self._events.append(PartStarted(index, part))
        return index

    def _end(self, index: int | None) -> None:
        if index in self._open:
            del self._open[index]
            self._events.append(PartEnded(index))

    def _text(self, item: int, place: int, *, refusal: bool = False) -> int:
        """Return the open part of a text, begun now if it had not been."""
        texts = self._texts.setdefault(item, {})
        index = texts.get(place)
        if index is None:
            index = texts[place] = self._begin(Text("", refusal=refusal))
            self._uttered.add((item, place))
            self._refuses = self._refuses or refusal
        return index

    def _hear_text(self, said: TextDelta | RefusalDelta) -> None:
        if said.delta:
            index = self._text(said.output_index, said.content_index, refusal=isinstance(said, RefusalDelta))
            self._events.append(Added(index, said.delta))

    def _hear_end(self, said: PartDone) -> None:
        if (texts := self._texts.get(said.output_index)) is not None:
            self._end(texts.pop(said.content_index, None))

    def _hear_citation(self, said: Annotated) -> None:
        item, place = said.output_index, said.content_index
        if place in self._texts.get(item, ()) or (item, place) not in self._uttered:
            self._cite(self._text(item, place), said.annotation)

    def _cite(self, index: int, citation: msgspec.Raw) -> None:
        said = bytes(citation)
        if said not in {b"", b"null"}:
            self._cited[index] = self._cited.get(index, 0) + 1
            self._events.append(Cited(index, msgspec.Raw(said)))

    def _hear_summary(self, said: SummaryDelta) -> None:
        self._think(said.output_index, said.delta, SummaryDelta, said.summary_index)

    def _hear_thought(self, said: ThoughtDelta) -> None:
        self._think(said.output_index, said.delta, ThoughtDelta, said.content_index)

    def _think(self, item: int, words: str, heard: type, paragraph: int) -> None:
        if not words:
            return
        thought = self._thoughts.get(item)
        if thought is not None and thought.heard is not heard:
            return
        if thought is None or thought.index not in self._open:
            index = self._begin(Thinking(maker=MAKER, id=self._ids.get(item, "")))
            thought = self._thoughts[item] = _Thought(index, heard, paragraph)
        if thought.paragraph != paragraph:
            thought.paragraph = paragraph
            self._events.append(Added(thought.index, PARAGRAPH))
        self._events.append(Added(thought.index, words))

    def _hear_arguments(self, said: ArgumentsDelta | InputDelta) -> None:
        place = said.output_index
        index = self._calls.get(place)
        if not said.delta:
            return
        if index is None:  # of a call without a name, the item will say everything
            self._unclaimed.add(place)
        elif index in self._open:
            self._spoken.add(index)
            self._events.append(Added(index, said.delta))
        else:
            raise UntranslatableError(f"there are more arguments at output_index {place}, where the call is done")

    # ---- items

    def _hear_item(self, said: ItemAdded) -> None:
        kind, item = _item(said.item)
        place = said.output_index
        self._ids[place] = (item.id if item is not None else None) or ""
        if isinstance(item, CallItem) and item.name and place not in self._calls:
            call = item.call(custom=kind == _CUSTOM)
            self._calls[place] = self._begin(msgspec.structs.replace(call, arguments=""))

    def _hear_done(self, said: ItemDone) -> None:
        self._finish(said.output_index, said.item)

    def _finish(self, place: int, raw: msgspec.Raw) -> None:
        """Take what an item says that is done, as far as it has not been said."""
        kind, item = _item(raw)
        if item is None or place in self._done:
            return
        self._done.add(place)
        match item:
            case MessageItem():
                self._finish_message(place, item)
            case ReasoningItem():
                self._finish_thought(place, item)
            case CallItem():
                self._finish_call(place, item, custom=kind == _CUSTOM)
            case _:
                assert_never(item)

    def _finish_message(self, place: int, item: MessageItem) -> None:
        for content, text in item.texts():
            known = (place, content) in self._uttered
            if known and content not in self._texts.get(place, ()):
                continue
            index = self._text(place, content, refusal=text.refusal)
            if not known and text.text:
                self._events.append(Added(index, text.text))
            found: list[msgspec.Raw] = [] if text.citations is None else _LIST(text.citations)
            for citation in found[self._cited.get(index, 0) :]:
                self._cite(index, citation)
        for index in self._texts.pop(place, {}).values():
            self._end(index)

    def _finish_thought(self, place: int, item: ReasoningItem) -> None:
        thought = item.thought()
        if place not in self._thoughts:
            if not thought.text and not thought.signature:
                return
            index = self._begin(Thinking(maker=MAKER, id=thought.id))
            self._thoughts[place] = _Thought(index, ThoughtDelta, 0)
            if thought.text:
                self._events.append(Added(index, thought.text))
        index = self._thoughts[place].index
        if thought.signature and index in self._open:
            self._events.append(Signed(index, thought.signature))
        self._end(index)

    def _finish_call(self, place: int, item: CallItem, *, custom: bool) -> None:
        call = item.call(custom=custom)
        index = self._calls.get(place)
        if index is None:
            index = self._calls[place] = self._begin(msgspec.structs.replace(call, arguments=""))
            self._unclaimed.discard(place)
        if index not in self._spoken and call.arguments:
            self._events.append(Added(index, call.arguments))
        self._end(index)

    def _hear_response(self, said: Created | InProgress) -> None:
        """Pass over it: that the response has begun is known."""

    def _complete(self, said: Completed | Incomplete) -> None:
        response = said.response
        heard = self._ids or self._done or self._next
        for place, raw in enumerate(response.items() or ()):
            # Where items were added, those of the response may be counted in another way.
            if not heard or (place in self._ids and place not in self._done):
                self._finish(place, raw)
        for place in self._unclaimed:
            raise UntranslatableError(f"there are arguments at output_index {place}, and no call that they are of")
        for index in list(self._open):
            self._end(index)
        if (usage := response.figures()) is not None:
            self._events.append(Used(usage, word(response.service_tier)))
        self._events.append(Stopped(response.stop(calls=self._called, refuses=self._refuses)))
        self._events.append(Ended())
        self._ended = True

    _heard: ClassVar[Mapping[type, Callable[[ResponsesReader, Any], None]]] = {
        TextDelta: _hear_text,
        RefusalDelta: _hear_text,
        ArgumentsDelta: _hear_arguments,
        InputDelta: _hear_arguments,
        SummaryDelta: _hear_summary,
        ThoughtDelta: _hear_thought,
        Annotated: _hear_citation,
        PartDone: _hear_end,
        ItemAdded: _hear_item,
        ItemDone: _hear_done,
        Created: _hear_response,
        InProgress: _hear_response,
        Completed: _complete,
        Incomplete: _complete,
    }


def _item(raw: msgspec.Raw) -> tuple[str, _Item | None]:
    """Return the type of an item and the item, or None for one that says nothing here.

    Raises:
        UntranslatableError: it says something, and cannot be read.
    """
    try:
        kind = type_of(raw, "item")
    except UntranslatableError:
        return "", None
    return kind, decode(ITEMS[kind], raw, f"a {kind}") if kind in ITEMS else None
