"""A request, composed for Converse.

PURE. See :mod:`hydrallm.formats.bedrock_converse_turns` for the conversation,
:mod:`hydrallm.formats.bedrock_converse_thinking` for what is thought, and
:mod:`hydrallm.formats.bedrock_converse_fields` for what goes past Converse to the model.

Converse has no way to forbid tools. Without tools in the history they are simply not sent; with them they have to be,
and then only Claude can be told, in its own words. The same holds for a history with tools whose request has none: they
are made up from the history.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from hydrallm.formats import bedrock_converse_fields as fields
from hydrallm.formats import reasons
from hydrallm.formats.anthropic_betas import bedrock_betas
from hydrallm.formats.anthropic_content import MAX_MARKS
from hydrallm.formats.bedrock_converse_blocks import NAME
from hydrallm.formats.bedrock_converse_draft import Draft
from hydrallm.formats.bedrock_converse_fields import FIELDS
from hydrallm.formats.bedrock_converse_request import USER
from hydrallm.formats.bedrock_converse_thinking import Thought, thought
from hydrallm.formats.bedrock_converse_turns import Block, Blocks, Marks, Turn, holds_tools, join, tools_called
from hydrallm.formats.canonical import Choice, Composed, Tool, UnservedError
from hydrallm.formats.defaults import asks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hydrallm.formats.canonical import Request, Target

# Converse's own words, and the words of others that mean the same. What is the default is not said.
TIERS = frozenset({"priority", "default", "flex", "reserved"})
_TIERS = {**{tier: tier for tier in TIERS}, "standard_only": "default"}

_MOST_STOPS = 2500
_MOST_METADATA = 16
_METADATA_KEY = re.compile(r"[a-zA-Z0-9\s:_@$#=/+,\-.]{1,256}", re.ASCII)
_METADATA_VALUE = re.compile(r"[a-zA-Z0-9\s:_@$#=/+,\-.]{0,256}", re.ASCII)
_LEAST_TOP_P = 0.95  # that Claude takes while it thinks

_NO_ARGUMENTS = {"type": "object", "properties": {}}
_ANY_ARGUMENTS = {"type": "object"}
_RESPONSE_PATHS = "additionalModelResponseFieldPaths"
_STOP_PATH = "/stop_sequence"
"""Where a Claude model says which stop sequence it met; it has to be asked for."""

_SCHEMA = msgspec.json.Decoder(dict[str, msgspec.Raw])

_INNER = frozenset({FIELDS, "inferenceConfig"})
"""Members of which members that nobody knows are said again. Tools that AWS runs are dropped even here."""

# What Converse cannot say at all.
_UNSAYABLE = ("seed", "frequency_penalty", "presence_penalty", "verbosity", "cache_key")


def compose(request: Request, target: Target) -> Composed:
    """Return ``request`` as a body of Converse; see :meth:`hydrallm.formats.codec.Codec.compose`."""
    if request.bound:
        raise UnservedError(request.bound)
    draft = Draft(request, target)
    marks = Marks(draft)
    system, turns = join(draft)
    thinking = thought(draft, turns)
    tools = _tools(draft, turns, marks)
    tool_choice, claude_choice = _choice(draft) if tools else ({}, {})
    blocks = Blocks(draft, marks)
    # In the order in which Claude caches them: a model's prompt begins with the tools.
    body: dict[str, Any] = {
        "toolConfig": ({"tools": tools} if tools else {}) | tool_choice,
        "system": [block for text in system for block in ({"text": text.text}, *marks.after(text.cache))],
        "messages": [blocks.turn(turn) for turn in turns],
        "inferenceConfig": _inference(draft, thinking),
        "outputConfig": _output(draft, thinking),
        "requestMetadata": _metadata(draft),
        "serviceTier": _tier(draft),
        FIELDS: {**thinking.fields, **claude_choice, **_top_k(draft, thinking), **_betas(draft, target)},
    }
    if draft.claude and "stopSequences" in body["inferenceConfig"]:
        body[_RESPONSE_PATHS] = [_STOP_PATH]
    _mark_the_end(request, body, marks)
    _add_extra(draft, body)
    for member in _UNSAYABLE:
        if asks(request, member):
            draft.drop(member)
    if draft.reasons:
        raise UnservedError(draft.reasons)
    encoded = msgspec.json.encode({member: value for member, value in body.items() if value})
    custom = tuple(map(draft.names.of, draft.custom))
    return Composed(encoded, request.named(draft.dropped), draft.names.changed, draft.ids.changed, custom)


# ---- tools


def _tools(draft: Draft, turns: Sequence[Turn], marks: Marks) -> list[Block]:
    """Return the tools, and the marks after them. Only Claude takes marks there: Nova's are in system and messages."""
    tools, history = _allowed(draft), holds_tools(turns)
    if (tools or history) and not draft.facts.tools:
        draft.refuse(reasons.TOOLS)
    if draft.forces_a_tool and not draft.request.tools:
        draft.refuse(reasons.NO_TOOLS)
    if tools and (history or not draft.forbids_tools):
        if not draft.claude and any(tool.cache for tool in tools):
            draft.drop("cache")
        specs = [(_tool_spec(tool, draft, _NO_ARGUMENTS), tool.cache if draft.claude else None) for tool in tools]
        return [block for spec, cache in specs for block in (spec, *marks.after(cache))]
    made_up = (tools_called(turns) or ["none"]) if history else []
    return [_tool_spec(Tool(name), draft, _ANY_ARGUMENTS) for name in made_up]


def _allowed(draft: Draft) -> list[Tool]:
    tools, choice = list(draft.request.tools), draft.request.tool_choice
    if choice is None or not choice.allowed:
        return tools
    allowed = [tool for tool in tools if tool.name in choice.allowed]
    if not allowed:
        draft.refuse("none of the tools that may be called is there")
    return allowed


def _tool_spec(tool: Tool, draft: Draft, missing: dict[str, Any]) -> Block:
    if tool.native is not None:
        draft.refuse(reasons.client_tool(tool.name, "Anthropic"))
    spec: Block = {"name": draft.names.of(tool.name), "inputSchema": {"json": _schema(tool.schema, missing)}}
    if tool.description and tool.description.strip():
        spec["description"] = tool.description
    if tool.strict and draft.claude and not draft.facts.json_output:
        draft.drop("strict")  # it is the same machinery
    elif tool.strict is not None:
        spec["strict"] = tool.strict
    return {"toolSpec": spec}


def _schema(schema: msgspec.Raw | None, missing: dict[str, Any]) -> object:
    """Return a tool's schema. At its top it must say that it is one of an object."""
    if schema is None:
        return missing
    try:
        members = _SCHEMA.decode(schema)
    except (msgspec.DecodeError, RecursionError):
        return missing  # true: anything; it has to be an object
    return schema if "type" in members else {"type": "object", **members}


def _choice(draft: Draft) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what says which tools are called: Converse's ``toolChoice``, or else Claude's ``tool_choice``."""
    choice, parallel = draft.request.tool_choice, draft.request.parallel
    if not draft.request.tools:
        return {}, {"tool_choice": {"type": "none"}} if draft.claude else {}
    name = draft.names.of(choice.name) if choice and choice.choice is Choice.TOOL else ""
    if draft.forbids_tools or parallel is False:
        if draft.claude:
            return {}, {"tool_choice": fields.claude_choice(choice, name, parallel=parallel)}
        draft.drop("tool_choice" if draft.forbids_tools else "parallel")
    match choice.choice if choice else Choice.AUTO:
        case Choice.REQUIRED:
            return {"toolChoice": {"any": {}}}, {}
        case Choice.TOOL:
            return {"toolChoice": {"tool": {"name": name}}}, {}
        case _:
            return {}, {}  # auto is the default, and some models refuse to be told


# ---- the rest


def _inference(draft: Draft, thinking: Thought) -> dict[str, Any]:
    request, facts = draft.request, draft.facts
    said: dict[str, Any] = {}
    if request.max_tokens is not None:
        said["maxTokens"] = max(1, min(request.max_tokens, facts.max_output or request.max_tokens))
    if request.temperature is not None:
        if not facts.sampling or (thinking.thinks and draft.claude and request.temperature != 1):
            draft.drop_asked("temperature")
        else:
            said["temperature"] = min(max(request.temperature, 0.0), 1.0)
    if request.top_p is not None:
        # Claude refuses a top-p beside a temperature, and a low one while it thinks.
        low = thinking.thinks and request.top_p < _LEAST_TOP_P
        if not facts.sampling or (draft.claude and ("temperature" in said or low)):
            draft.drop_asked("top_p")
        else:
            said["topP"] = min(max(request.top_p, 0.0), 1.0)
    stops = [text for text in request.stop if text.strip()]
    if len(stops) != len(request.stop):
        draft.drop("stop")
    if len(stops) > _MOST_STOPS:
        draft.refuse(reasons.stop_sequences(len(stops), "Converse", _MOST_STOPS))
    return {**said, "stopSequences": stops} if stops else said


def _top_k(draft: Draft, thinking: Thought) -> dict[str, Any]:
    if (top_k := draft.request.top_k) is None:
        return {}
    field = fields.top_k_field(draft.maker, top_k)
    if field is None or not draft.facts.sampling or thinking.thinks:
        draft.drop("top_k")
        return {}
    return field


def _betas(draft: Draft, target: Target) -> dict[str, Any]:
    """Return the betas, where the model can have any.

    Of those that a client of another host asks for, the ones that Bedrock does not take are left out; they do not count
    as dropped (:mod:`hydrallm.formats.anthropic_betas`).
    """
    betas = bedrock_betas(draft.request, target) if draft.claude else []
    return {"anthropic_beta": betas} if betas else {}


def _output(draft: Draft, thinking: Thought) -> dict[str, Any]:
    said: dict[str, Any] = {"effort": thinking.effort} if thinking.effort else {}
    output = draft.request.output
    if output is None:
        return said
    if output.schema is None:
        draft.drop("output")
        return said
    if not draft.facts.json_output:
        draft.refuse(reasons.SCHEMA)
    schema = {"schema": bytes(output.schema).decode()}
    schema |= {"name": output.name} if output.name else {}
    schema |= {"description": output.description} if output.description else {}
    return {**said, "textFormat": {"type": "json_schema", "structure": {"jsonSchema": schema}}}


def _metadata(draft: Draft) -> dict[str, str]:
    said: dict[str, str] = {}
    request = draft.request
    named = [(USER, request.user, "user")] if request.user else []
    named += [(key, value, "metadata") for key, value in request.metadata.items()]
    for key, value, member in named:
        fits = _METADATA_KEY.fullmatch(key) and _METADATA_VALUE.fullmatch(value)
        if fits and len(said) < _MOST_METADATA:
            said[key] = value
        else:
            draft.drop(member)
    return said


def _tier(draft: Draft) -> dict[str, str]:
    tier = draft.request.tier
    if known := _TIERS.get(tier):
        return {"type": known}
    draft.drop_asked("tier")
    return {}


def _mark_the_end(request: Request, body: dict[str, Any], marks: Marks) -> None:
    """Say a mark on the whole prompt as one after its last block, as long as there may be one more."""
    if request.cache is None or not body["messages"] or marks.count >= MAX_MARKS:
        return
    content = body["messages"][-1]["content"]
    if "cachePoint" not in content[-1]:
        content += marks.after(request.cache)


def _add_extra(draft: Draft, body: dict[str, Any]) -> None:
    for name, raw in draft.request.extra.items():
        member, _, inner = name.partition(".")
        if draft.request.format != NAME or (inner and member not in _INNER):
            draft.drop(name)
        elif inner:
            body[member][inner] = raw
        else:
            body[member] = raw
