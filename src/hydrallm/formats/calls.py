"""Calls that may be run: no answer has one on half of its arguments.

PURE. A client runs what an answer calls. Arguments that end in the middle can be closed to an object, and another one
than the model meant: ``rm -rf /tmp/x`` becomes ``rm -rf /``. So an answer that claims to be whole has calls whose
arguments are whole, and the name of a tool, or it is no answer. Only where it was cut at its length may its last call
be cut as well: the client is told so by the reason why it ended, and nobody runs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hydrallm.formats.arguments import is_object
from hydrallm.formats.canonical import ToolUse, UntranslatableError
from hydrallm.formats.canonical_answer import CUT, Added, Ended, PartEnded, PartStarted, Stop, Stopped

if TYPE_CHECKING:
    from collections.abc import Collection

    from hydrallm.formats.canonical_answer import Answer, Event


def check_calls(answer: Answer, free: Collection[str]) -> None:
    """Look at the calls of a whole answer.

    Args:
        answer: of a model.
        free: the functions that stand for tools which take free text. A model may leave their object away.

    Raises:
        UntranslatableError: one of them cannot be run.
    """
    last = len(answer.parts) - 1
    for index, part in enumerate(answer.parts):
        if isinstance(part, ToolUse):
            _require_name(part)
            if not _is_whole(part, part.arguments, free) and not (answer.stop in CUT and index == last):
                raise _half(part)


class CallCheck:
    """The same for a stream.

    Args:
        free: see :func:`check_calls`.
    """

    __slots__ = ("_free", "_growing", "_half", "_last", "_stop")

    def __init__(self, free: Collection[str]) -> None:
        self._free = free
        self._growing: dict[int, tuple[ToolUse, list[str]]] = {}  # by the part: the call, and its arguments so far
        self._half: dict[int, ToolUse] = {}
        self._last = -1
        self._stop = Stop.END

    def feed(self, events: list[Event]) -> None:
        """Look at what comes next.

        Raises:
            UntranslatableError: a call has come that cannot be run.
        """
        for event in events:
            if type(event) is Added:
                if (growing := self._growing.get(event.index)) is not None:
                    growing[1].append(event.text)
            else:
                self._take(event)

    def _take(self, event: Event) -> None:
        match event:
            case PartStarted(index=index, part=part):
                self._require()  # something follows, so nothing was cut before it
                self._last = index
                if isinstance(part, ToolUse):
                    _require_name(part)
                    self._growing[index] = part, [part.arguments]
            case PartEnded(index=index):
                self._end(index)
            case Stopped(stop=stop):
                self._stop = stop
                self._settle()
            case Ended():
                self._settle()
            case _:
                pass

    def _end(self, index: int) -> None:
        call, said = self._growing.pop(index, (None, ()))
        if call is not None and not _is_whole(call, "".join(said), self._free):
            self._half[index] = call

    def _settle(self) -> None:
        for index in list(self._growing):
            self._end(index)
        if self._stop in CUT:
            self._half.pop(self._last, None)
        self._require()

    def _require(self) -> None:
        for call in self._half.values():
            raise _half(call)


def _is_whole(call: ToolUse, arguments: str, free: Collection[str]) -> bool:
    said = arguments.strip()
    if not said or call.custom or (call.name in free and not said.startswith("{")):
        return True
    return is_object(said)


def _require_name(call: ToolUse) -> None:
    if not call.name:
        raise UntranslatableError("a call of a tool has no name")


def _half(call: ToolUse) -> UntranslatableError:
    return UntranslatableError(f"the arguments in a call of {call.name[:64]!r} are not a whole JSON object")
