"""What a Converse request asks.

PURE. The members of the request that nobody but Converse's own models can serve (guardrails, prompts of the prompt
management, what lies in S3) bind it; those that only tune how it is served (``performanceConfig``,
``additionalModelResponseFieldPaths``) are ``extra``, and so are tools that AWS runs, and what the maker's own fields
hold beyond what :mod:`hydrallm.formats.bedrock_converse_fields` knows. A member of a member has a dotted name there.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from hydrallm.formats import reasons
from hydrallm.formats.bedrock_converse_blocks import (
    MEMBERS,
    NAME,
    given,
    member_of,
    read_cache_point,
    read_parts,
)
from hydrallm.formats.bedrock_converse_fields import FieldsSaid, read_fields
from hydrallm.formats.canonical import (
    Choice,
    JsonOutput,
    Message,
    Reasoning,
    Request,
    Role,
    Text,
    Thinking,
    Tool,
    ToolChoice,
    UntranslatableError,
)
from hydrallm.formats.strict_json import decoded, read_strictly

if TYPE_CHECKING:
    from collections.abc import Callable

NAMES = {
    "budget": "additionalModelRequestFields.thinking.budget_tokens",
    "cache": "cachePoint",
    "display": "additionalModelRequestFields.thinking.display",
    "effort": "outputConfig.effort",
    "metadata": "requestMetadata",
    "output": "outputConfig.textFormat",
    "parallel": "additionalModelRequestFields.tool_choice.disable_parallel_tool_use",
    "reasoning": "additionalModelRequestFields.thinking",
    "stop": "inferenceConfig.stopSequences",
    "temperature": "inferenceConfig.temperature",
    "thinking": "reasoningContent",
    "tier": "serviceTier",
    "tool_choice": "toolConfig.toolChoice",
    "top_k": "additionalModelRequestFields.top_k",
    "top_p": "inferenceConfig.topP",
    "user": "requestMetadata.user_id",
}
"""What Converse calls what is dropped, where it differs."""

USER = "user_id"
"""The key in ``requestMetadata`` under which it is said who asks."""

_BINDING = {
    "guardrailConfig": "`guardrailConfig`, a guardrail of Bedrock's",
    "promptVariables": "`promptVariables`, of a prompt that is stored at Bedrock",
}
_ORDINARY = {
    "performanceConfig": {b'{"latency":"standard"}', b'{"latency": "standard"}'},
    "additionalModelResponseFieldPaths": {b"[]"},
    "promptVariables": {b"{}"},
}
"""What needs no saying."""
# Some clients repeat in the body what the path says.
_IGNORED = frozenset({"modelId"})
_WHAT = "a Converse request"


class _Message(msgspec.Struct, frozen=True):
    role: str
    content: list[msgspec.Raw]


class _Inference(msgspec.Struct, frozen=True, rename="camel"):
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop_sequences: list[str] | None = None


class _Tools(msgspec.Struct, frozen=True, rename="camel"):
    tools: list[msgspec.Raw]
    tool_choice: msgspec.Raw = msgspec.Raw()


class _Schema(msgspec.Struct, frozen=True):
    json: msgspec.Raw = msgspec.Raw()


class _ToolSpec(msgspec.Struct, frozen=True, rename="camel"):
    name: str
    input_schema: _Schema
    description: str | None = None
    strict: bool | None = None


class _Named(msgspec.Struct, frozen=True, gc=False):
    name: str


class _Tier(msgspec.Struct, frozen=True, gc=False):
    type: str


class _JsonSchema(msgspec.Struct, frozen=True, gc=False):
    schema: str
    name: str = ""
    description: str | None = None


class _Structure(msgspec.Struct, frozen=True, rename="camel"):
    json_schema: _JsonSchema


class _TextFormat(msgspec.Struct, frozen=True):
    structure: _Structure


class _Output(msgspec.Struct, frozen=True, rename="camel"):
    text_format: _TextFormat | None = None
    effort: str | None = None


class _Body(msgspec.Struct, frozen=True, rename="camel"):
    messages: list[_Message] = []
    system: list[msgspec.Raw] | None = None
    inference_config: _Inference | None = None
    tool_config: _Tools | None = None
    additional_model_request_fields: msgspec.Raw = msgspec.Raw()
    request_metadata: dict[str, str] | None = None
    service_tier: _Tier | None = None
    output_config: _Output | None = None


_BODY = msgspec.json.Decoder(_Body)
_TOOL_SPEC = msgspec.json.Decoder(_ToolSpec)
_NAMED = msgspec.json.Decoder(_Named)
_TEXT = msgspec.json.Decoder(str)
_ANY = msgspec.json.Decoder(msgspec.Raw)
_KNOWN = frozenset(_Body.__struct_encode_fields__)
_KNOWN_INFERENCE = frozenset(_Inference.__struct_encode_fields__)


def read_request(body: bytes, *, model: str, stream: bool) -> Request:
    """Return what a client asks; see :meth:`hydrallm.formats.codec.Codec.read_request`."""
    said = read_strictly(body, _BODY.decode, _WHAT)
    bound: list[str] = []
    extra = _unknown(read_strictly(body, MEMBERS.decode, _WHAT), bound)
    fields = read_fields(given(said.additional_model_request_fields), extra)
    inference = said.inference_config or _Inference()
    tools, choice = _read_tools(said.tool_config, bound, extra) if said.tool_config else ((), None)
    metadata = dict(said.request_metadata or {})
    output = said.output_config or _Output()
    return Request(
        format=NAME,
        model=model,
        stream=stream,
        system=_read_system(said.system or [], bound),
        messages=tuple(_read_message(message, f"messages[{at}]", bound) for at, message in enumerate(said.messages)),
        tools=tools,
        tool_choice=choice or fields.tool_choice,
        parallel=fields.parallel,
        max_tokens=inference.max_tokens,
        temperature=inference.temperature,
        top_p=inference.top_p,
        top_k=fields.top_k if fields.top_k and fields.top_k > 0 else None,
        stop=tuple(filter(None, inference.stop_sequences or ())),
        reasoning=_reasoning(fields, output.effort),
        output=_read_output(output.text_format),
        user=metadata.pop(USER, ""),
        metadata=metadata,
        tier=said.service_tier.type if said.service_tier else "",
        betas=fields.betas,
        bound=tuple(dict.fromkeys(bound)),
        extra=extra,
        names=NAMES,
    )


def _unknown(members: dict[str, msgspec.Raw], bound: list[str]) -> dict[str, msgspec.Raw]:
    """Return the members that :class:`_Body` does not have, and note those that bind."""
    members = {name: raw for name, raw in members.items() if given(raw) and bytes(raw) not in _ORDINARY.get(name, ())}
    bound += (reason for name, reason in _BINDING.items() if name in members)
    extra = {name: raw for name, raw in members.items() if name not in _KNOWN | _BINDING.keys() | _IGNORED}
    if inference := members.get("inferenceConfig"):
        inner = decoded(MEMBERS, inference, "inferenceConfig")
        extra |= {f"inferenceConfig.{name}": raw for name, raw in inner.items() if name not in _KNOWN_INFERENCE}
    return extra


def _read_message(message: _Message, where: str, bound: list[str]) -> Message:
    try:
        role = Role(message.role)
    except ValueError:
        allowed = ", ".join(Role)
        raise UntranslatableError(f"{where}.role: it is {message.role[:40]!r}, but must be one of {allowed}") from None
    parts = read_parts(message.content, f"{where}.content", bound)
    return Message(role, tuple(_unclaimed(part) if isinstance(part, Thinking) else part for part in parts))


def _unclaimed(thought: Thinking) -> Thinking:
    """Return a thought that nobody has signed as nobody's: it may be of any model that stood in."""
    return thought if thought.signature or thought.redacted else msgspec.structs.replace(thought, maker="")


def _read_system(blocks: list[msgspec.Raw], bound: list[str]) -> tuple[Text, ...]:
    texts: list[Text] = []
    for index, block in enumerate(blocks):
        where = f"system[{index}]"
        kind, raw = member_of(block, where)
        if kind == "text":
            texts.append(Text(decoded(_TEXT, raw, where)))
        elif kind != "cachePoint":
            bound.append(reasons.content(kind))
        elif texts:
            texts[-1] = msgspec.structs.replace(texts[-1], cache=read_cache_point(raw, where))
    return tuple(texts)


def _read_tools(
    config: _Tools, bound: list[str], extra: dict[str, msgspec.Raw]
) -> tuple[tuple[Tool, ...], ToolChoice | None]:
    tools: list[Tool] = []
    hosted = False
    for index, tool in enumerate(config.tools):
        where = f"toolConfig.tools[{index}]"
        kind, raw = member_of(tool, where)
        if kind == "toolSpec":
            spec = decoded(_TOOL_SPEC, raw, f"{where}.toolSpec")
            tools.append(Tool(spec.name, spec.description, given(spec.input_schema.json), spec.strict))
        elif kind != "cachePoint":
            extra[f"toolConfig.tools.{kind}"] = msgspec.Raw(bytes(raw))
            hosted = True
        elif tools:
            tools[-1] = msgspec.structs.replace(tools[-1], cache=read_cache_point(raw, where))
    choice = _read_choice(given(config.tool_choice))
    known = any(choice.name in {"", tool.name} for tool in tools) if choice else True
    if hosted and choice and choice.forces and not known:
        bound.append(reasons.hosted_call("AWS"))
    return tuple(tools), choice


def _read_choice(said: msgspec.Raw | None) -> ToolChoice | None:
    if said is None:
        return None
    kind, raw = member_of(said, "toolConfig.toolChoice")
    if (reading := _CHOICES.get(kind)) is None:
        raise UntranslatableError(f"toolConfig.toolChoice: it is {kind!r}, but must be one of {', '.join(_CHOICES)}")
    return reading(raw)


_CHOICES: dict[str, Callable[[msgspec.Raw], ToolChoice]] = {
    "auto": lambda _: ToolChoice(Choice.AUTO),
    "any": lambda _: ToolChoice(Choice.REQUIRED),
    "tool": lambda raw: ToolChoice(Choice.TOOL, decoded(_NAMED, raw, "toolConfig.toolChoice.tool").name),
}


def _read_output(said: _TextFormat | None) -> JsonOutput | None:
    if said is None:
        return None
    schema = said.structure.json_schema
    where = "outputConfig.textFormat.structure.jsonSchema.schema"
    return JsonOutput(decoded(_ANY, schema.schema.encode(), where), schema.name, schema.description)


def _reasoning(fields: FieldsSaid, effort: str | None) -> Reasoning | None:
    if not effort:
        return fields.reasoning
    return msgspec.structs.replace(fields.reasoning or Reasoning(), effort=effort)
