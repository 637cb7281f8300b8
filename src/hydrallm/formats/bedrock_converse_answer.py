"""A whole answer of Converse, read and written.

PURE. Converse's ``inputTokens`` are without those of the cache, ``totalTokens`` with them. An answer has no id and no
model's name: the one is in a header, the other in the request's path.

Sources: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html (section *Response Elements*)
and https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_TokenUsage.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_never

import msgspec

from hydrallm.formats.answer import CONVERSE_FAILURES
from hydrallm.formats.arguments import as_object
from hydrallm.formats.bedrock_converse_blocks import (
    ID_CHARACTERS,
    LONGEST_ID,
    MAKER,
    given,
    read_parts,
    sealed,
)
from hydrallm.formats.calls import check_calls
from hydrallm.formats.canonical import Text, Thinking, ToolUse, UntranslatableError
from hydrallm.formats.canonical_answer import Answer, Stop, Usage, stop_with
from hydrallm.formats.figures import figure, figures_of, word
from hydrallm.formats.foreign_thought import marked
from hydrallm.formats.strict_json import decoded, read_tolerantly

if TYPE_CHECKING:
    from hydrallm.formats.codec import Asked

STOPS = {
    "end_turn": Stop.END,
    "tool_use": Stop.TOOL_USE,
    "max_tokens": Stop.LENGTH,
    "stop_sequence": Stop.SEQUENCE,
    "model_context_window_exceeded": Stop.CONTEXT,
    "guardrail_intervened": Stop.REFUSAL,
    "content_filtered": Stop.REFUSAL,
}
"""Those that end an answer; the others are errors (:data:`hydrallm.formats.answer.CONVERSE_FAILURES`)."""
STOP_WORDS = {
    Stop.END: "end_turn",
    Stop.TOOL_USE: "tool_use",
    Stop.LENGTH: "max_tokens",
    Stop.SEQUENCE: "stop_sequence",
    Stop.CONTEXT: "model_context_window_exceeded",
    Stop.REFUSAL: "content_filtered",
    # Converse has no word for a turn to be continued. Asked again with it, the model goes on all the same.
    Stop.PAUSE: "end_turn",
}
TIERS = frozenset({"priority", "default", "flex", "reserved"})


class _Message(msgspec.Struct, frozen=True):
    content: list[msgspec.Raw] = []


class _Output(msgspec.Struct, frozen=True):
    message: _Message


class MoreFields(msgspec.Struct, frozen=True, gc=False):
    """What the model was asked to say beyond Converse."""

    stop_sequence: str | None = None


class _Answer(msgspec.Struct, frozen=True, rename="camel"):
    output: _Output
    stop_reason: str
    usage: msgspec.Raw = msgspec.Raw()
    service_tier: msgspec.Raw = msgspec.Raw()
    additional_model_response_fields: msgspec.Raw = msgspec.Raw()


class _Citation(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    title: str | None = None
    source: str | None = None
    source_content: list[dict[str, str]] | None = None
    location: dict[str, dict[str, int | str]] | None = None


_ANSWER = msgspec.json.Decoder(_Answer)
_MORE = msgspec.json.Decoder(MoreFields)
_CITATION = msgspec.json.Decoder(_Citation)
_CITATIONS = msgspec.json.Decoder(list[_Citation])


# ---- read


def read_answer(body: bytes) -> Answer:
    """Return what a whole answer says; see :meth:`hydrallm.formats.codec.Codec.read_answer`."""
    said = read_tolerantly(body, _ANSWER.decode, "an answer of Converse")
    # What only Converse can say, such as the call of a tool that AWS has run itself, is nothing that was asked for.
    found = read_parts(said.output.message.content, "output.message.content", [])
    parts = tuple(part for part in found if isinstance(part, Text | Thinking | ToolUse))
    return Answer(
        id="",
        model="",
        parts=parts,
        stop=stop_with(stop_of(said.stop_reason), calls=any(isinstance(part, ToolUse) for part in parts)),
        stop_sequence=stop_sequence_of(given(said.additional_model_response_fields)),
        usage=usage_of(figures_of(said.usage)),
        tier=tier_of(said.service_tier),
    )


def stop_of(reason: str) -> Stop:
    """Return why an answer ended; for a reason that is new, that it did.

    Raises:
        UntranslatableError: it did not, it failed.
    """
    if reason in CONVERSE_FAILURES:
        raise UntranslatableError(f"stopReason: the answer ended with {reason!r}")
    return STOPS.get(reason, Stop.END)


def stop_sequence_of(fields: msgspec.Raw | None) -> str | None:
    """Return the stop sequence that ended an answer, where the model was asked to say it, and did."""
    if fields is None:
        return None
    try:
        return decoded(_MORE, fields, "additionalModelResponseFields").stop_sequence
    except UntranslatableError:
        return None


def usage_of(figures: dict[str, object]) -> Usage:
    """Return the tokens of an answer, as the member ``usage`` tells them."""
    return Usage(
        input=figure(figures, "inputTokens"),
        cache_read=figure(figures, "cacheReadInputTokens"),
        cache_write=figure(figures, "cacheWriteInputTokens"),
        output=figure(figures, "outputTokens"),
    )


def tier_of(member: msgspec.Raw) -> str:
    """Return the service tier that served, as the member ``serviceTier`` tells it."""
    return word(figures_of(member).get("type"))


# ---- written


def write_answer(answer: Answer, asked: Asked) -> bytes:
    """Return ``answer`` as a body of Converse; see :meth:`hydrallm.formats.codec.Codec.write_answer`."""
    check_calls(answer, asked.custom)
    blocks = [block for part in answer.parts if (block := _block(part, asked)) is not None]
    body: dict[str, Any] = {
        "output": {"message": {"role": "assistant", "content": blocks}},
        "stopReason": STOP_WORDS[answer.stop],
        "usage": usage_members(answer.usage),
        "metrics": {"latencyMs": 0},  # a required member; what was measured is in the proxy's own records
    }
    if answer.stop_sequence is not None:
        body["additionalModelResponseFields"] = {"stop_sequence": answer.stop_sequence}
    if answer.tier in TIERS:
        body["serviceTier"] = {"type": answer.tier}
    return msgspec.json.encode(body)


def usage_members(usage: Usage) -> dict[str, int]:
    """Return the members of AWS's ``usage``; the required ones are 0 where the upstream did not tell."""
    cached = {"cacheReadInputTokens": usage.cache_read, "cacheWriteInputTokens": usage.cache_write}
    told = {name: count for name, count in cached.items() if count is not None}
    entered, left = usage.input or 0, usage.output or 0
    return {
        "inputTokens": entered,
        "outputTokens": left,
        "totalTokens": entered + left + sum(told.values()),
        **told,
    }


def signature_of(thought: Thinking) -> str:
    """Return the signature by which a thought is known when it comes back; see :mod:`.foreign_thought`.

    One of another maker has a mark even where it had no signature: Claude would refuse to have it back without any.
    """
    return thought.signature if thought.maker == MAKER else marked(thought).signature


def is_citation(citation: msgspec.Raw) -> bool:
    """Return whether a citation has Converse's form; each API has its own."""
    try:
        _CITATION.decode(citation)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def _block(part: Text | Thinking | ToolUse, asked: Asked) -> dict[str, Any] | None:
    match part:
        case Text():
            return _text(part)
        case Thinking():
            return _thought(part)
        case ToolUse():
            use = {
                "toolUseId": asked.call_id(part.id, ID_CHARACTERS, LONGEST_ID),
                "name": asked.names.get(part.name, part.name),
                "input": as_object(part.arguments),
            }
            return {"toolUse": use}
        case _:
            assert_never(part)


def _text(text: Text) -> dict[str, Any] | None:
    if not text.text:
        return None
    if text.citations is not None:
        try:
            _CITATIONS.decode(text.citations)
        except (msgspec.DecodeError, RecursionError):
            pass
        else:
            return {"citationsContent": {"content": [{"text": text.text}], "citations": text.citations}}
    return {"text": text.text}


def _thought(thought: Thinking) -> dict[str, Any] | None:
    if redacted := sealed(thought):
        return {"reasoningContent": {"redactedContent": redacted}}
    if not thought.text and not thought.signature:
        return None
    signature = signature_of(thought)
    signed = {"signature": signature} if signature else {}
    return {"reasoningContent": {"reasoningText": {"text": thought.text, **signed}}}
