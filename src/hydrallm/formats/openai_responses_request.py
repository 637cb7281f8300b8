"""What a client of OpenAI's Responses asks, in the canonical form.

PURE. https://platform.openai.com/docs/api-reference/responses/create. A member is one of four things: what the
canonical form has (``_Body``); what ties the request to this format (``_BOUND``); what says no more than what any
format does anyway, at some values (``_ORDINARY``); and all others are ``extra``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeAlias

import msgspec

from hydrallm.formats.canonical import (
    Choice,
    JsonOutput,
    Reasoning,
    Request,
    Role,
    Text,
    Tool,
    ToolChoice,
    UntranslatableError,
)
from hydrallm.formats.openai_responses_items import Conversation, decode, type_of
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
    "conversation": "a stored `conversation`",
    "previous_response_id": "the stored response of `previous_response_id`",
    "prompt": "a stored `prompt`",
    "top_logprobs": "`top_logprobs`",
}
"""Members that only this format can serve, and the reasons to give."""

_INCLUDED = {"message.output_text.logprobs": "logprobs in `include`"}
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
_NO_PARAMETERS = msgspec.Raw(b'{"type":"object","properties":{}}')
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
    """Return what a client of Responses asks.

    Args:
        body: its JSON.
        model: as the path names it; empty where the body does.
        stream: whether the path asks for a stream; else the body may.

    Raises:
        UntranslatableError: it is not a request of this format.
    """
    asked, members = read_strictly(body, _decode, "a request of Responses")
    conversation = Conversation()
    _hear(asked, conversation)
    others = dict(_others(members))
    extra = {name: raw for name, raw in others.items() if name not in _BOUND}
    conversation.bound.update({_BOUND[name]: None for name in others if name in _BOUND})
    conversation.bound.update({_INCLUDED[what]: None for what in asked.include or () if what in _INCLUDED})
    tools = _tools(asked.tools or [], conversation.bound)
    choice = _choice(asked.tool_choice, conversation.bound)
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
        tools=tools,
        tool_choice=choice,
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


def _hear(asked: _Body, conversation: Conversation) -> None:
    if isinstance(asked.input, str):
        conversation.say(Role.USER, asked.input)
        return
    for index, raw in enumerate(asked.input or ()):
        conversation.take(raw, f"input[{index}]")


# ---- tools


class _ToolItem(msgspec.Struct, frozen=True):
    name: str
    description: str | None = None
    parameters: msgspec.Raw = msgspec.Raw()
    strict: bool | None = None
    format: msgspec.Raw = msgspec.Raw()


class _Allowed(msgspec.Struct, frozen=True):
    type: str = ""
    name: str = ""


class _ChoiceItem(msgspec.Struct, frozen=True):
    type: str
    name: str = ""
    mode: str = "auto"
    tools: list[_Allowed] = []


_TOOL = msgspec.json.Decoder(_ToolItem)
_CHOICE = msgspec.json.Decoder(str | _ChoiceItem)
_OWN = frozenset({"function", "custom"})
_MODES = {"none": Choice.NONE, "auto": Choice.AUTO, "required": Choice.REQUIRED}


def _tools(listed: list[msgspec.Raw], bound: dict[str, None]) -> tuple[Tool, ...]:
    tools = []
    for index, raw in enumerate(listed):
        where = f"tools[{index}]"
        kind = type_of(raw, where)
        if kind in _OWN:
            tools.append(_tool(decode(_TOOL, raw, where), where, custom=kind == "custom"))
        else:
            bound[f"a hosted tool of type {kind!r}"] = None
    return tuple(tools)


def _tool(item: _ToolItem, where: str, *, custom: bool) -> Tool:
    if custom:
        return Tool(item.name, item.description, _object(item.format, f"{where}.format"), custom=True)
    schema = _object(item.parameters, f"{where}.parameters") or _NO_PARAMETERS
    return Tool(item.name, item.description, schema, item.strict)


def _object(raw: msgspec.Raw, where: str) -> msgspec.Raw | None:
    """Return an object as it was written; None if there is none."""
    said = bytes(raw)
    if said in {b"", _NULL}:
        return None
    if not said.startswith(b"{"):
        raise UntranslatableError(f"{where}: not an object")
    return msgspec.Raw(said)


def _choice(raw: msgspec.Raw, bound: dict[str, None]) -> ToolChoice | None:
    if bytes(raw) in {b"", _NULL}:
        return None
    choice = decode(_CHOICE, raw, "tool_choice")
    if isinstance(choice, str):
        return ToolChoice(_mode(choice))
    if choice.type in _OWN:
        return ToolChoice(Choice.TOOL, choice.name)
    if choice.type != "allowed_tools" or any(tool.type not in _OWN for tool in choice.tools):
        bound["a `tool_choice` of a hosted tool"] = None
        return None
    return ToolChoice(_mode(choice.mode), allowed=tuple(tool.name for tool in choice.tools))


def _mode(word: str) -> Choice:
    if word not in _MODES:
        raise UntranslatableError(f"tool_choice: {word!r} is none of {', '.join(_MODES)}")
    return _MODES[word]


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
        bound[f"a `text.format` of type {form.type!r}"] = None
        return None
    schema = _object(form.schema, "text.format.schema")
    if schema is None:
        raise UntranslatableError("text.format: `schema` is missing")
    return JsonOutput(schema, form.name or "", form.description, form.strict)
