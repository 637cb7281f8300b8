"""A whole answer of Anthropic's Messages, read and written.

PURE. https://docs.anthropic.com/en/api/messages. The tokens in ``input_tokens`` are those that were neither read from
nor written to a cache, as in the canonical form.

Read, blocks that only hosted tools have are left out: who cannot say them did not ask for them. Written, a text without
a character is left out, since a client would send it back and the API refuses such; a call whose arguments were cut is
an object as far as it goes; and citations are only those that a client of Messages knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_never

import msgspec

from hydrallm.formats import foreign_thought
from hydrallm.formats.anthropic_blocks import EMPTY, ID_CHARACTERS, LONGEST_ID, MAKER
from hydrallm.formats.arguments import as_object
from hydrallm.formats.calls import check_calls
from hydrallm.formats.canonical import Text, Thinking, ToolUse, UntranslatableError
from hydrallm.formats.canonical_answer import Answer, Stop, Usage, stop_with
from hydrallm.formats.figures import figure, figures_of, word
from hydrallm.formats.strict_json import read_tolerantly

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hydrallm.formats.codec import Asked

_WHAT = "a Messages answer"

STOPS: Mapping[str, Stop] = {
    "end_turn": Stop.END,
    "max_tokens": Stop.LENGTH,
    "model_context_window_exceeded": Stop.CONTEXT,
    "stop_sequence": Stop.SEQUENCE,
    "tool_use": Stop.TOOL_USE,
    "refusal": Stop.REFUSAL,
    "pause_turn": Stop.PAUSE,
}
STOP_REASONS: Mapping[Stop, str] = {stop: reason for reason, stop in STOPS.items()}

TIERS = frozenset({"standard", "priority", "batch"})
_SAYING = frozenset({"text", "thinking", "redacted_thinking", "tool_use"})
_CITATIONS = frozenset(
    {
        "char_location",
        "page_location",
        "content_block_location",
        "web_search_result_location",
        "search_result_location",
    }
)


# ---- what is read


class WireBlock(msgspec.Struct, frozen=True):
    """A block of an answer; what it has depends on its type."""

    type: str = ""
    text: str | None = None
    citations: msgspec.Raw = msgspec.Raw()
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    id: object = None
    name: str | None = None
    input: msgspec.Raw = msgspec.Raw()

    @property
    def arguments(self) -> str:
        """Those of a call."""
        return "{}" if bytes(self.input) in EMPTY else bytes(self.input).decode("utf-8", "replace")


class _Message(msgspec.Struct, frozen=True):
    content: list[msgspec.Raw]
    id: object = None
    model: object = None
    stop_reason: str | None = None
    stop_sequence: object = None
    usage: msgspec.Raw = msgspec.Raw()


class _Type(msgspec.Struct, frozen=True, gc=False):
    type: object = None


_MESSAGE = msgspec.json.Decoder(_Message)
_BLOCK = msgspec.json.Decoder(WireBlock)
_TYPE = msgspec.json.Decoder(_Type)
_CITATION_LIST = msgspec.json.Decoder(list[msgspec.Raw])


class _Citation(msgspec.Struct, frozen=True, gc=False):
    type: str = ""


_CITATION = msgspec.json.Decoder(_Citation)


def read_answer(body: bytes) -> Answer:
    """Return what a whole answer says.

    Raises:
        UntranslatableError: it is not an answer of Messages.
    """
    return read_tolerantly(body, _read, _WHAT)


def _read(data: bytes) -> Answer:
    message = _MESSAGE.decode(data)
    figures = figures_of(message.usage)
    found = (part_of(block_of(raw, f"content[{index}]")) for index, raw in enumerate(message.content))
    parts = tuple(part for part in found if part is not None)
    stop = STOPS.get(message.stop_reason or "", Stop.END)
    return Answer(
        id=word(message.id),
        model=word(message.model),
        parts=parts,
        stop=stop_with(stop, calls=any(isinstance(part, ToolUse) for part in parts)),
        stop_sequence=word(message.stop_sequence) or None,
        usage=usage_of(figures),
        tier=tier_of(figures),
    )


def usage_of(figures: dict[str, object]) -> Usage:
    """Return the tokens that the member ``usage`` tells."""
    return Usage(
        input=figure(figures, "input_tokens"),
        cache_read=figure(figures, "cache_read_input_tokens"),
        cache_write=figure(figures, "cache_creation_input_tokens"),
        output=figure(figures, "output_tokens"),
        reasoning=figure(figures, "output_tokens_details", "thinking_tokens"),
    )


def tier_of(figures: dict[str, object]) -> str:
    """Return the service tier that the member ``usage`` tells."""
    return word(figures.get("service_tier"))


def block_of(raw: msgspec.Raw, where: str) -> WireBlock:
    """Return a block of an answer; an empty one, if it is a hosted tool's, whose members mean something else.

    Args:
        raw: its JSON.
        where: it stands, for the error.

    Raises:
        UntranslatableError: it is of a type that is known here, and cannot be read.
    """
    try:
        return _BLOCK.decode(raw)
    except (ValueError, RecursionError) as error:
        if _type_of(raw) in _SAYING:
            raise UntranslatableError(f"{where}: {error}") from None
        return WireBlock()


def _type_of(raw: msgspec.Raw) -> str:
    try:
        return word(_TYPE.decode(raw).type)
    except (ValueError, RecursionError):
        return ""


def part_of(block: WireBlock) -> Text | Thinking | ToolUse | None:
    """Return the part that a block of an answer is; None if it is none of the canonical form."""
    match block.type:
        case "text":
            return Text(block.text or "", citations=None if bytes(block.citations) in EMPTY else block.citations)
        case "thinking":
            return Thinking(block.thinking or "", block.signature or "", maker=MAKER)
        case "redacted_thinking":
            return Thinking(redacted=block.data or "", maker=MAKER)
        case "tool_use":
            return ToolUse(word(block.id), block.name or "", block.arguments)
        case _:
            return None


# ---- what is written


def write_answer(answer: Answer, asked: Asked) -> bytes:
    """Return ``answer`` as a body of Messages."""
    check_calls(answer, asked.custom)
    content = [write_part(part, asked, index) for index, part in enumerate(answer.parts)]
    usage: dict[str, Any] = write_usage(answer.usage)
    if answer.tier in TIERS:
        usage["service_tier"] = answer.tier
    message = {
        **opening(answer.id, asked),
        "content": [block for block in content if block is not None],
        "stop_reason": stop_reason(answer.stop, called=any(isinstance(part, ToolUse) for part in answer.parts)),
        "stop_sequence": answer.stop_sequence,
        "usage": usage,
    }
    return msgspec.json.encode(message)


def opening(identity: str, asked: Asked) -> dict[str, Any]:
    """Return the members that a message begins with.

    Args:
        identity: the upstream's id for it, which is kept if it is one of Anthropic's own form.
        asked: what is known of the request.
    """
    own = identity if identity.startswith("msg_") else f"msg_{asked.id.removeprefix('msg_')}"
    return {"id": own, "type": "message", "role": "assistant", "model": asked.model}


def stop_reason(stop: Stop, *, called: bool) -> str:
    """Return the ``stop_reason``. Some servers call a tool and say that they simply ended."""
    return "tool_use" if called and stop is Stop.END else STOP_REASONS[stop]


def write_usage(usage: Usage) -> dict[str, Any]:
    """Return the member ``usage``; the two figures that the SDKs rely on are always there."""
    written: dict[str, Any] = {"input_tokens": usage.input or 0, "output_tokens": usage.output or 0}
    if usage.cache_write is not None:
        written["cache_creation_input_tokens"] = usage.cache_write
    if usage.cache_read is not None:
        written["cache_read_input_tokens"] = usage.cache_read
    if usage.reasoning is not None:
        written["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    return written


def write_part(part: Text | Thinking | ToolUse, asked: Asked, index: int) -> dict[str, Any] | None:
    """Return the block that ``part`` is; None if it says nothing.

    Args:
        part: of an answer.
        asked: what is known of the request.
        index: of the part, from which a call that has no id gets one.
    """
    match part:
        case Text():
            if not part.text:
                return None
            block: dict[str, Any] = {"type": "text", "text": part.text}
            if part.citations is not None and (known := known_citations(part.citations)):
                block["citations"] = known
            return block
        case Thinking():
            return write_thought(part)
        case ToolUse():
            return {**write_call(part, asked, index), "input": as_object(part.arguments)}
        case _:
            assert_never(part)


def write_call(call: ToolUse, asked: Asked, index: int) -> dict[str, Any]:
    """Return the block of a ``call``, without its arguments."""
    identity = asked.call_id(call.id, ID_CHARACTERS, LONGEST_ID) or f"toolu_{asked.id}_{index}"
    return {"type": "tool_use", "id": identity, "name": asked.names.get(call.name, call.name)}


def write_thought(thought: Thinking) -> dict[str, Any] | None:
    """Return the block of a ``thought``; None if there is nothing in it."""
    if not (thought.text or thought.signature or thought.redacted):
        return None
    if thought.maker != MAKER:
        thought = foreign_thought.marked(thought)
    if thought.redacted:
        return {"type": "redacted_thinking", "data": thought.redacted}
    return {"type": "thinking", "thinking": thought.text, "signature": thought.signature}


def known_citations(citations: msgspec.Raw) -> list[msgspec.Raw]:
    """Return those of a JSON array of citations that Messages has."""
    try:
        return [citation for citation in _CITATION_LIST.decode(citations) if is_citation(citation)]
    except msgspec.DecodeError:
        return []


def is_citation(citation: msgspec.Raw) -> bool:
    """Return whether ``citation`` is one that Messages has."""
    try:
        return _CITATION.decode(citation).type in _CITATIONS
    except msgspec.DecodeError:
        return False
