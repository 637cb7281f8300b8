"""What a client of Anthropic's Messages asks.

PURE. https://docs.anthropic.com/en/api/messages. A request of InvokeModel with an Anthropic model has the same body,
but for the model and ``stream``, which its path says, and for the API's version, which is a header here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from hydrallm.formats import reasons
from hydrallm.formats.anthropic_blocks import (
    ABSENT,
    EMPTY,
    CacheControl,
    Notes,
    read_cache,
    read_parts,
    read_texts,
)
from hydrallm.formats.canonical import (
    Choice,
    JsonOutput,
    Message,
    Reasoning,
    Request,
    Role,
    Tool,
    ToolChoice,
    UntranslatableError,
)
from hydrallm.formats.json_value import is_utf8
from hydrallm.formats.strict_json import decoded, read_strictly

if TYPE_CHECKING:
    from collections.abc import Mapping

NAMES = {
    "budget": "thinking.budget_tokens",
    "cache": "cache_control",
    "display": "thinking.display",
    "effort": "output_config.effort",
    "output": "output_config.format",
    "parallel": "tool_choice.disable_parallel_tool_use",
    "reasoning": "thinking",
    "stop": "stop_sequences",
    "tier": "service_tier",
    "user": "metadata.user_id",
}
"""What Messages calls what is dropped, where it differs."""

_RUN_BY_THE_CLIENT = ("bash_", "text_editor_", "computer_", "memory_")
"""The tools of Anthropic's own that a client runs, by their types. The others Anthropic runs, and no other host does;
a client that only offers them gets its answer without."""

_ORDINARY: Mapping[str, frozenset[bytes]] = {
    "context_management": frozenset({b'{"edits":[]}', b'{"edits": []}'}),
    "mcp_servers": frozenset({b"[]"}),
    "speed": frozenset({b'"standard"'}),
    "betas": frozenset({b"[]"}),
}
"""What needs no saying."""

_WHAT = "a Messages request"


# ---- the body, as it is written. Where a member can be of several types, it is kept raw and looked at later.


class _Message(msgspec.Struct, frozen=True):
    role: Literal["user", "assistant", "system"]
    content: str | list[msgspec.Raw]


class _Tool(msgspec.Struct, frozen=True):
    name: str
    input_schema: msgspec.Raw
    description: str | None = None
    strict: bool | None = None
    cache_control: CacheControl | None = None


class _ToolKind(msgspec.Struct, frozen=True, gc=False):
    type: str | None = None


class _Native(msgspec.Struct, frozen=True):
    name: str
    cache_control: CacheControl | None = None


class _Hosted(msgspec.Struct, frozen=True, gc=False):
    name: str = ""


class _ToolChoice(msgspec.Struct, frozen=True, gc=False):
    type: Literal["auto", "any", "tool", "none"]
    name: str = ""
    disable_parallel_tool_use: bool | None = None


class _ThinkingConfig(msgspec.Struct, frozen=True, gc=False):
    type: str
    budget_tokens: int | None = None
    display: str | None = None


class _Format(msgspec.Struct, frozen=True):
    type: Literal["json_schema"]
    schema: msgspec.Raw


class _OutputConfig(msgspec.Struct, frozen=True):
    effort: str | None = None
    format: _Format | None = None


class _Metadata(msgspec.Struct, frozen=True, gc=False):
    user_id: str | None = None


class _Body(msgspec.Struct, frozen=True, kw_only=True):
    messages: Annotated[list[_Message], msgspec.Meta(min_length=1)]
    model: str = ""
    max_tokens: Annotated[int, msgspec.Meta(ge=0)] | None = None
    stream: bool | None = None
    system: str | list[msgspec.Raw] | None = None
    tools: list[msgspec.Raw] | None = None
    tool_choice: _ToolChoice | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop_sequences: list[str] | None = None
    thinking: _ThinkingConfig | None = None
    output_config: _OutputConfig | None = None
    output_format: _Format | None = None
    metadata: _Metadata | None = None
    service_tier: str | None = None
    cache_control: CacheControl | None = None
    container: msgspec.Raw = ABSENT
    anthropic_version: str | None = None
    anthropic_beta: list[str] | None = None


_VALUE = msgspec.json.Decoder()
_BODY = msgspec.json.Decoder(_Body)
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_TOOL = msgspec.json.Decoder(_Tool)
_TOOL_KIND = msgspec.json.Decoder(_ToolKind)
_NATIVE = msgspec.json.Decoder(_Native)
_HOSTED = msgspec.json.Decoder(_Hosted)

_BODY_MEMBERS = frozenset(_Body.__struct_fields__)
_TOOL_MEMBERS = frozenset(_Tool.__struct_fields__) | {"type"}
_OUTPUT_MEMBERS = frozenset(_OutputConfig.__struct_fields__)

_CHOICES = {"auto": Choice.AUTO, "any": Choice.REQUIRED, "tool": Choice.TOOL, "none": Choice.NONE}
_THINKS: Mapping[str, Reasoning] = {
    "enabled": Reasoning(enabled=True),
    "adaptive": Reasoning(enabled=True, adaptive=True),
    "disabled": Reasoning(enabled=False),
}


def read_request(body: bytes, *, format_: str, model: str, stream: bool) -> Request:
    """Return what ``body`` asks; see :meth:`hydrallm.formats.codec.Codec.read_request`.

    A count of tokens is asked for with the same members and no ``max_tokens``, so that may be missing.

    Args:
        body: JSON.
        format_: the wire format that it came in.
        model: as the path names it; empty where the body does.
        stream: whether the path asks for a stream.

    Raises:
        UntranslatableError: it is not a request of Messages.
    """
    if not is_utf8(body):
        raise UntranslatableError(f"this is not {_WHAT}: the body is not valid UTF-8")
    try:
        return _Reading(*read_strictly(body, _body, _WHAT), format_).request(model, stream=stream)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # What is wrong is inside a raw member: half of a surrogate pair, or too many levels.
        strict = read_strictly(body, _checked, _WHAT)
        return _Reading(*_body(strict), format_).request(model, stream=stream)


def _body(data: bytes) -> tuple[_Body, dict[str, msgspec.Raw]]:
    return _BODY.decode(data), _MEMBERS.decode(data)


def _checked(data: bytes) -> bytes:
    """Return ``data``, if it is JSON through and through."""
    _VALUE.decode(data)
    return data


def _asks(name: str, raw: msgspec.Raw) -> bool:
    """Return whether a member that nobody here knows asks for anything."""
    said = bytes(raw)
    return said != b"null" and said not in _ORDINARY.get(name, ())


class _Reading:
    """A request on its way."""

    def __init__(self, body: _Body, members: dict[str, msgspec.Raw], format_: str) -> None:
        self._body = body
        self._members = members
        self._format = format_
        others = {name: raw for name, raw in members.items() if name not in _BODY_MEMBERS}
        self._notes = Notes({name: raw for name, raw in others.items() if _asks(name, raw)})

    def request(self, model: str, *, stream: bool) -> Request:
        body = self._body
        if bytes(body.container) not in EMPTY:
            self._notes.bind("`container`")
        if body.max_tokens == 0:
            self._notes.bind("`max_tokens` of 0, which only warms a cache")
        tools, choice = self._tools(), body.tool_choice
        no_parallel = choice.disable_parallel_tool_use if choice else None
        return Request(
            format=self._format,
            model=model or body.model,
            stream=stream or body.stream is True,
            system=read_texts(body.system or "", "system", self._notes),
            messages=tuple(self._message(message, index) for index, message in enumerate(body.messages)),
            tools=tuple(tools),
            tool_choice=ToolChoice(_CHOICES[choice.type], choice.name) if choice else None,
            parallel=None if no_parallel is None else not no_parallel,
            max_tokens=body.max_tokens,
            temperature=body.temperature,
            top_p=body.top_p,
            top_k=body.top_k if body.top_k and body.top_k > 0 else None,
            stop=tuple(filter(None, body.stop_sequences or ())),
            reasoning=self._reasoning(),
            output=self._output(),
            user=(body.metadata and body.metadata.user_id) or "",
            tier=body.service_tier or "",
            cache=read_cache(body.cache_control),
            usage_in_stream=True,
            betas=tuple(body.anthropic_beta or ()),
            bound=tuple(self._notes.bound),
            extra=self._notes.extra,
            names=NAMES,
        )

    def _message(self, message: _Message, index: int) -> Message:
        read = read_texts if message.role == "system" else read_parts
        return Message(Role(message.role), tuple(read(message.content, f"messages[{index}].content", self._notes)))

    def _tools(self) -> list[Tool]:
        tools: list[Tool] = []
        hosted: list[str] = []
        for index, raw in enumerate(self._body.tools or ()):
            where = f"tools[{index}]"
            kind = decoded(_TOOL_KIND, raw, where).type
            if kind is not None and kind.startswith(_RUN_BY_THE_CLIENT):
                tools.append(self._native(raw, where))
                continue
            if kind not in {None, "custom"}:
                self._notes.extra[f"tools.{kind}"] = raw
                hosted.append(decoded(_HOSTED, raw, where).name)
                continue
            tool = decoded(_TOOL, raw, where)
            if not bytes(tool.input_schema).startswith(b"{"):
                raise UntranslatableError(f"{where}.input_schema: expected `object`")
            for name, value in decoded(_MEMBERS, raw, where).items():
                if name not in _TOOL_MEMBERS:
                    self._notes.extra.setdefault(f"tools.{name}", value)
            cache = read_cache(tool.cache_control)
            tools.append(Tool(tool.name, tool.description, tool.input_schema, tool.strict, cache=cache))
        choice = self._body.tool_choice
        if choice and hosted:
            forced = choice.name in hosted if choice.type == "tool" else choice.type == "any" and not tools
            if forced:
                self._notes.bind(reasons.hosted_call("Anthropic"))
        return tools

    def _native(self, raw: msgspec.Raw, where: str) -> Tool:
        known = decoded(_NATIVE, raw, where)
        members = {name: value for name, value in decoded(_MEMBERS, raw, where).items() if name != "cache_control"}
        native = msgspec.Raw(msgspec.json.encode(members))
        return Tool(known.name, native=native, cache=read_cache(known.cache_control))

    def _reasoning(self) -> Reasoning | None:
        config, output = self._body.thinking, self._body.output_config
        effort = (output and output.effort) or ""
        thinks = _THINKS.get(config.type) if config else None
        if config and thinks is None:
            self._notes.extra["thinking"] = self._members["thinking"]
        if config and thinks:
            if config.type == "enabled" and config.budget_tokens is None:
                raise UntranslatableError("thinking.budget_tokens: it is missing, and `enabled` needs it")
            budget = config.budget_tokens if thinks.enabled else None
            return msgspec.structs.replace(thinks, budget=budget, effort=effort, display=config.display or "")
        return Reasoning(effort=effort) if effort else None

    def _output(self) -> JsonOutput | None:
        config = self._body.output_config
        if config:
            for name, value in decoded(_MEMBERS, self._members["output_config"], "output_config").items():
                if name not in _OUTPUT_MEMBERS and bytes(value) != b"null":
                    self._notes.extra[f"output_config.{name}"] = value
        asked = (config and config.format) or self._body.output_format
        if asked is None:
            return None
        if not bytes(asked.schema).startswith(b"{"):
            raise UntranslatableError("output_config.format.schema: expected `object`")
        return JsonOutput(asked.schema)
