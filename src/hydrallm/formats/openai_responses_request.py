"""What a client of OpenAI's Responses asks, in the canonical form.

PURE. https://platform.openai.com/docs/api-reference/responses/create. A member is one of four things: what the
canonical form has (``_Body``); what ties the request to this format (``_BOUND``); what says no more than what any
format does anyway, at some values (``_ORDINARY``); and all others are ``extra``. So are, by their types, the tools that
OpenAI runs and what came of them in the conversation: others do without.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeAlias

import msgspec

from hydrallm.formats.canonical import (
    JsonOutput,
    Reasoning,
    Request,
    Role,
    Text,
    UntranslatableError,
)
from hydrallm.formats.openai_responses_items import Conversation, decode
from hydrallm.formats.openai_responses_tools import Tools, object_of
from hydrallm.formats.strict_json import read_strictly

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

NAME = "openai-responses"

NAMES = {
    "cache": "prompt_cache_breakpoint",
    "cache_key": "prompt_cache_key",
    "effort": "reasoning.effort",
    "format": "tools.format",
    "output": "text.format",
    "parallel": "parallel_tool_calls",
    "summary": "reasoning.summary",
    "thinking": "reasoning",
    "tier": "service_tier",
    "verbosity": "text.verbosity",
}
"""What Responses calls what is dropped, where it differs."""

TEMPERATURE_MAX = 2.0

_BOUND = {
    "background": "`background`",
    "conversation": "`conversation`, which is stored at OpenAI",
    "previous_response_id": "`previous_response_id`, of a response that is stored at OpenAI",
    "prompt": "`prompt`, which is stored at OpenAI",
    "top_logprobs": "`top_logprobs`",
}
"""Members that only this format can serve, and the reasons to give."""

_INCLUDED = {"message.output_text.logprobs": "`message.output_text.logprobs` in `include`"}
"""The same for the values of ``include``; the others are about reasoning items and hosted tools."""

_ORDINARY: Mapping[str, frozenset[bytes]] = {
    "background": frozenset({b"false"}),
    "store": frozenset({b"false"}),
    "top_logprobs": frozenset({b"0"}),
    "truncation": frozenset({b'"disabled"'}),
}
"""What needs no saying."""

_IGNORED = frozenset({"stream_options"})
"""Members about the padding of events, of which there is none where an answer is translated."""

_REASONING = frozenset({"effort", "summary", "generate_summary"})
_EFFORTS = frozenset({"none", "minimal", "low", "medium", "high", "xhigh", "max"})
_NULL = b"null"

_Count: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=2**53)]


class _Format(msgspec.Struct, frozen=True):
    type: str
    name: str | None = None
    schema: msgspec.Raw = msgspec.Raw()
    description: str | None = None
    strict: bool | None = None


class _TextConfig(msgspec.Struct, frozen=True):
    format: _Format | None = None
    verbosity: str | None = None


class _Body(msgspec.Struct, frozen=True):
    model: str | None = None
    stream: bool | None = None
    input: str | list[msgspec.Raw] | None = None
    instructions: str | None = None
    tools: list[msgspec.Raw] | None = None
    tool_choice: msgspec.Raw = msgspec.Raw()
    parallel_tool_calls: bool | None = None
    max_output_tokens: _Count | None = None
    temperature: float | None = None
    top_p: float | None = None
    reasoning: dict[str, msgspec.Raw] | None = None
    text: _TextConfig | None = None
    include: list[str] | None = None
    safety_identifier: str | None = None
    user: str | None = None
    metadata: dict[str, str] | None = None
    service_tier: str | None = None
    prompt_cache_key: str | None = None


_BODY = msgspec.json.Decoder(_Body)
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_WORD = msgspec.json.Decoder(str)


def read_request(body: bytes, *, model: str, stream: bool) -> Request:
    """Return what a client of Responses asks; see :class:`~hydrallm.formats.codec.Codec`."""
    asked, members = read_strictly(body, _decode, "a request of Responses")
    conversation = _conversation(asked)
    others = dict(_others(members))
    extra = {name: raw for name, raw in others.items() if name not in _BOUND}
    conversation.bound.update({_BOUND[name]: None for name in others if name in _BOUND})
    conversation.bound.update({_INCLUDED[what]: None for what in asked.include or () if what in _INCLUDED})
    tools = Tools(conversation.bound)
    for listed, where in ((asked.tools or (), "tools"), *conversation.tools):
        tools.take(listed, where)
    extra |= {f"input.{kind}": raw for kind, raw in conversation.hosted.items()}
    extra |= {f"tools.{kind}": raw for kind, raw in tools.hosted.items()}
    reasoning = _reasoning(asked.reasoning or {}, extra)
    system, messages = conversation.turns()
    if not messages and not system and not conversation.bound:
        raise UntranslatableError("the request: `input` is missing or empty")
    instructions = (Text(asked.instructions),) if asked.instructions else ()
    return Request(
        format=NAME,
        model=model or asked.model or "",
        stream=stream or asked.stream is True,
        system=(*instructions, *system),
        messages=messages,
        tools=tools.all,
        tool_choice=tools.choice(asked.tool_choice),
        parallel=asked.parallel_tool_calls,
        max_tokens=asked.max_output_tokens,
        temperature=asked.temperature,
        temperature_max=TEMPERATURE_MAX,
        top_p=asked.top_p,
        reasoning=reasoning,
        output=_output(asked.text, conversation.bound),
        verbosity=(asked.text.verbosity if asked.text else None) or "",
        user=asked.safety_identifier or asked.user or "",
        metadata=asked.metadata or {},
        tier=asked.service_tier or "",
        cache_key=asked.prompt_cache_key or "",
        bound=tuple(conversation.bound),
        extra=extra,
        names=NAMES,
    )


def _decode(body: bytes) -> tuple[_Body, dict[str, msgspec.Raw]]:
    return _BODY.decode(body), _MEMBERS.decode(body)


def _others(members: dict[str, msgspec.Raw]) -> Iterator[tuple[str, msgspec.Raw]]:
    """Yield what says something and is not in ``_Body``."""
    for name, raw in members.items():
        if name in _Body.__struct_fields__ or name in _IGNORED:
            continue
        said = bytes(raw)
        if said != _NULL and said not in _ORDINARY.get(name, ()):
            yield name, msgspec.Raw(said)


def _conversation(asked: _Body) -> Conversation:
    conversation = Conversation()
    if isinstance(asked.input, str):
        conversation.say(Role.USER, asked.input)
    else:
        for index, raw in enumerate(asked.input or ()):
            conversation.take(raw, f"input[{index}]")
    return conversation


# ---- reasoning and the form of the answer


def _reasoning(said: dict[str, msgspec.Raw], extra: dict[str, msgspec.Raw]) -> Reasoning | None:
    words = {}
    for name, raw in said.items():
        if bytes(raw) == _NULL:
            continue
        if name in _REASONING:
            words[name] = decode(_WORD, raw, f"reasoning.{name}")
        else:
            extra[f"reasoning.{name}"] = msgspec.Raw(bytes(raw))
    effort = words.get("effort", "")
    if effort and effort not in _EFFORTS:
        extra["reasoning.effort"] = msgspec.Raw(msgspec.json.encode(effort))
        effort = ""
    summary = words.get("summary") or words.get("generate_summary", "")
    if not effort and not summary:
        return None
    return Reasoning(enabled=False if effort == "none" else None, effort=effort, summary=summary)


def _output(text: _TextConfig | None, bound: dict[str, None]) -> JsonOutput | None:
    form = text.format if text else None
    if form is None or form.type == "text":
        return None
    if form.type == "json_object":
        return JsonOutput()
    if form.type != "json_schema":
        bound[f"`text.format` of the type {form.type[:60]!r}"] = None
        return None
    schema = object_of(form.schema, "text.format.schema")
    if schema is None:
        raise UntranslatableError("text.format: `schema` is missing")
    return JsonOutput(schema, form.name or "", form.description, form.strict)
