"""The answer that a stream amounts to.

PURE. What a client that did not ask for a stream would have been given; also the oracle of the stream translations:
translating a stream and putting it together is putting it together and translating it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

import msgspec

from hydrallm.formats.canonical import Text, Thinking, ToolUse
from hydrallm.formats.canonical_answer import (
    Added,
    Answer,
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
    from collections.abc import Iterable


def assemble(events: Iterable[Event]) -> Answer:
    """Return the answer that ``events`` amount to.

    Raises:
        ValueError: they do not begin, or a part goes on that has not begun.
    """
    assembly = _Assembly()
    for event in events:
        assembly.take(event)
    return assembly.answer()


class _Assembly:
    """An answer on its way."""

    def __init__(self) -> None:
        self._started: Started | None = None
        self._stopped = Stopped(Stop.END)
        self._usage = Usage()
        self._tier = ""
        self._parts: dict[int, _Part] = {}

    def take(self, event: Event) -> None:
        match event:
            case Started():
                self._started = event
            case PartStarted(index=index, part=part):
                self._parts[index] = _Part(part)
            case Added(index=index, text=text):
                self._part(index).added.append(text)
            case Signed(index=index, signature=signature):
                self._part(index).signature += signature
            case Cited(index=index, citation=citation):
                self._part(index).citations.append(citation)
            case Used(usage=later, tier=tier):
                self._usage = merged(self._usage, later)
                self._tier = tier or self._tier
            case Stopped():
                self._stopped = event
            case PartEnded() | Ended():
                pass
            case _:
                assert_never(event)

    def _part(self, index: int) -> _Part:
        if index not in self._parts:
            raise ValueError(f"part {index} goes on without having begun")
        return self._parts[index]

    def answer(self) -> Answer:
        if self._started is None:
            raise ValueError("the stream does not begin")
        whole = tuple(self._parts[index].whole() for index in sorted(self._parts))
        started, stopped = self._started, self._stopped
        return Answer(started.id, started.model, whole, stopped.stop, stopped.stop_sequence, self._usage, self._tier)


class _Part:
    """A part on its way."""

    def __init__(self, first: Text | Thinking | ToolUse) -> None:
        self.first = first
        self.added: list[str] = []
        self.signature = ""
        self.citations: list[msgspec.Raw] = []

    def whole(self) -> Text | Thinking | ToolUse:
        part, added = self.first, "".join(self.added)
        match part:
            case Text():
                cited = msgspec.Raw(msgspec.json.encode(self.citations)) if self.citations else part.citations
                return msgspec.structs.replace(part, text=part.text + added, citations=cited)
            case Thinking():
                signature = part.signature + self.signature
                return msgspec.structs.replace(part, text=part.text + added, signature=signature)
            case ToolUse():
                # A call without arguments is a call with none: the text of an empty object.
                arguments = part.arguments + added
                return msgspec.structs.replace(part, arguments=arguments if arguments or part.custom else "{}")
            case _:
                assert_never(part)
