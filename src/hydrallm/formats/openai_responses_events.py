"""The events of a stream of OpenAI's Responses that say something, and nothing twice.

PURE. https://platform.openai.com/docs/api-reference/responses-streaming. One decoder knows them all, by their ``type``;
an event of another type repeats what was said, or is about a hosted tool. One that says something, and cannot be read,
ends the reading: an answer without it would look complete.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias, get_args

import msgspec

from hydrallm.formats import sse
from hydrallm.formats.canonical import UntranslatableError
from hydrallm.formats.figures import word
from hydrallm.formats.openai_responses_answer import ResponseMember
from hydrallm.formats.strict_json import read_tolerantly

if TYPE_CHECKING:
    from collections.abc import Callable


class _Event(msgspec.Struct, gc=False, tag_field="type"):
    output_index: int = 0


class TextDelta(_Event, tag="response.output_text.delta"):
    """Words of a text."""

    delta: str = ""
    content_index: int = 0


class RefusalDelta(_Event, tag="response.refusal.delta"):
    """Words of a refusal."""

    delta: str = ""
    content_index: int = 0


class ArgumentsDelta(_Event, tag="response.function_call_arguments.delta"):
    """Of the arguments of a call."""

    delta: str = ""


class InputDelta(_Event, tag="response.custom_tool_call_input.delta"):
    """Of the input of a custom tool."""

    delta: str = ""


class SummaryDelta(_Event, tag="response.reasoning_summary_text.delta"):
    """Words of the summary of a thought."""

    delta: str = ""
    summary_index: int = 0


class ThoughtDelta(_Event, tag="response.reasoning_text.delta"):
    """Words of a thought."""

    delta: str = ""
    content_index: int = 0


class Annotated(_Event, tag="response.output_text.annotation.added"):
    """A citation of a text."""

    annotation: msgspec.Raw = msgspec.Raw()
    content_index: int = 0


class PartDone(_Event, tag="response.content_part.done"):
    """A text is complete."""

    content_index: int = 0


class ItemAdded(_Event, tag="response.output_item.added"):
    """An item has begun."""

    item: msgspec.Raw = msgspec.Raw()


class ItemDone(_Event, tag="response.output_item.done"):
    """An item is complete."""

    item: msgspec.Raw = msgspec.Raw()


class Created(_Event, tag="response.created"):
    """The response has begun."""

    response: ResponseMember = ResponseMember()


class InProgress(_Event, tag="response.in_progress"):
    """The same, once more."""

    response: ResponseMember = ResponseMember()


class Completed(_Event, tag="response.completed"):
    """The response is complete."""

    response: ResponseMember = ResponseMember()


class Incomplete(_Event, tag="response.incomplete"):
    """The response is complete as far as it goes."""

    response: ResponseMember = ResponseMember()


Said: TypeAlias = (
    TextDelta
    | RefusalDelta
    | ArgumentsDelta
    | InputDelta
    | SummaryDelta
    | ThoughtDelta
    | Annotated
    | PartDone
    | ItemAdded
    | ItemDone
    | Created
    | InProgress
    | Completed
    | Incomplete
)

decode_event: Callable[[bytes], Said] = msgspec.json.Decoder(Said).decode
"""Read the JSON of an event; a ValueError or RecursionError if it is none of these."""

_KINDS = frozenset(str(event.__struct_config__.tag) for event in get_args(Said))
_REPEATING = frozenset({"response.created", "response.in_progress"})
"""Nothing is lost with them."""


class _Type(msgspec.Struct, frozen=True, gc=False):
    type: object = None


_TYPE = msgspec.json.Decoder(_Type).decode
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_LAX: Callable[[bytes], Said] = msgspec.json.Decoder(Said, strict=False).decode


def typed(event: bytes) -> Said | None:
    """Return what an event says that was not understood at once; None if it says nothing here.

    It may have its data on several lines, its type only in its name, nulls for what is not there, numbers as texts, or
    JSON of the less strict kind.

    Raises:
        UntranslatableError: it says something, and cannot be read.
    """
    name, data = sse.parse(event)
    kind = _kind_of(data or b"") or name.decode("utf-8", "replace").strip()
    if not data or kind not in _KINDS:
        return None

    def decoded(data: bytes) -> Said:
        told = {name: value for name, value in _MEMBERS(data).items() if bytes(value) != b"null"}
        return _LAX(msgspec.json.encode(told | {"type": kind}))

    try:
        return read_tolerantly(data, decoded, f"a {kind}")
    except UntranslatableError:
        if kind in _REPEATING:
            return None
        raise


def _kind_of(data: bytes) -> str:
    try:
        return word(read_tolerantly(data, _TYPE, "an event").type)
    except UntranslatableError:
        return ""
