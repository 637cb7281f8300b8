"""What a client of Chat Completions asks.

PURE. https://platform.openai.com/docs/api-reference/chat/create. Read as its clients write it: the official SDKs, and
the many programs that talk to compatible servers and have habits of their own (``reasoning_content`` in the history,
contents that are a list of texts, arguments that are an object and not its text, OpenRouter's ``cache_control``).

Instructions before the conversation are the request's system; later ones keep their place. The results of tools are
messages of their own here and parts of one user's message in the canonical form.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from hydrallm.formats import openai_chat_body as chat
from hydrallm.formats import reasons, strict_json
from hydrallm.formats.canonical import (
    Cache,
    Choice,
    Document,
    Image,
    JsonOutput,
    Message,
    Part,
    Reasoning,
    Request,
    Role,
    Source,
    Text,
    Thinking,
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
    UntranslatableError,
)
from hydrallm.formats.custom_tools import flat_format
from hydrallm.formats.data_url import split_data_url

if TYPE_CHECKING:
    from collections.abc import Callable

NAME = "openai-chat"
NAMES = {
    "cache": "prompt_cache_breakpoint",
    "cache_key": "prompt_cache_key",
    "effort": "reasoning_effort",
    "format": "tools.custom.format",
    "output": "response_format",
    "parallel": "parallel_tool_calls",
    "reasoning": "reasoning_effort",
    "thinking": "reasoning_content",
    "tier": "service_tier",
}
"""What Chat calls what is dropped, where it differs."""
NO_PARAMETERS = msgspec.Raw(b'{"type":"object","properties":{}}')
"""The schema of a function that has none."""

_PDF = "application/pdf"
_TRUE = msgspec.Raw(b"true")
LONG = "12h"
"""Of OpenAI's two lifetimes of a cache mark, the one that is not the default."""


# What no other format has: of what values that holds, and the reason.
_BOUND: tuple[tuple[str, Callable[[object], bool], str], ...] = (
    ("n", lambda n: n != 1, "`n` over 1"),
    ("logprobs", bool, "`logprobs`"),
    ("top_logprobs", bool, "`top_logprobs`"),
    ("modalities", lambda wanted: wanted not in ([], ["text"]), "`modalities` other than text"),
    ("audio", lambda _: True, "`audio`"),
    ("functions", bool, "`functions`, the older form of `tools`"),
    ("function_call", lambda choice: not isinstance(choice, str), "`function_call`, the older form of `tool_choice`"),
    ("moderation", lambda _: True, "`moderation`"),
)

# What says no more than what any format does anyway. Whether an answer is stored its caller does not notice.
_ORDINARY = {"logit_bias": {b"{}"}, "store": {b"true", b"false"}}

_CHOICES = {"auto": Choice.AUTO, "none": Choice.NONE, "required": Choice.REQUIRED, "any": Choice.REQUIRED}


# ---- the reading of it


def read_request(body: bytes, *, model: str, stream: bool) -> Request:
    """Return what a client asks; see :class:`~hydrallm.formats.codec.Codec`."""
    asked = strict_json.read_strictly(body, chat.decode, "a chat request")
    reading = _Reading(asked)
    members = strict_json.read_strictly(body, chat.decode_members, "a chat request")
    for name, binds, reason in _BOUND:
        value = getattr(asked, name)
        if value is not None and binds(value):
            reading.bind(reason)
    effort = asked.reasoning_effort
    most = asked.max_completion_tokens if asked.max_completion_tokens is not None else asked.max_tokens
    options = asked.stream_options
    tools = tuple(filter(None, (reading.tool(tool, at) for at, tool in enumerate(asked.tools or ()))))
    choice = reading.choice(asked.tool_choice, anything=bool(tools))
    output = reading.output()
    extra = {name: raw for name, raw in members.items() if name not in chat.KNOWN and _asks(name, raw)}
    return Request(
        format=NAME,
        model=asked.model or model,
        stream=stream if asked.stream is None else asked.stream,
        system=tuple(reading.system),
        messages=tuple(reading.messages),
        tools=tools,
        tool_choice=choice,
        parallel=asked.parallel_tool_calls,
        max_tokens=_whole(most, "max_tokens" if asked.max_completion_tokens is None else "max_completion_tokens"),
        temperature=asked.temperature,
        temperature_max=2.0,
        top_p=asked.top_p,
        top_k=top_k if (top_k := _whole(asked.top_k, "top_k")) and top_k > 0 else None,
        stop=tuple(filter(None, [asked.stop] if isinstance(asked.stop, str) else asked.stop or ())),
        seed=_whole(asked.seed, "seed"),
        frequency_penalty=asked.frequency_penalty,
        presence_penalty=asked.presence_penalty,
        reasoning=None if effort is None else Reasoning(enabled=effort != "none", effort=effort),
        output=output,
        verbosity=asked.verbosity or "",
        user=asked.safety_identifier or asked.user or "",
        metadata={name: _text_of(value) for name, value in (asked.metadata or {}).items()},
        tier=asked.service_tier or "",
        cache_key=asked.prompt_cache_key or "",
        usage_in_stream=options is not None and options.include_usage is True,
        bound=tuple(reading.bound),
        extra=extra | {f"tools.{kind}": _TRUE for kind in reading.hosted},
        names=NAMES,
    )


class _Reading:
    """A conversation as it is read.

    Attributes:
        system: the instructions before it.
        messages: it.
        bound: what no other format can serve.
        hosted: the types of tools that the provider runs.
    """

    def __init__(self, asked: chat.Body) -> None:
        self.system: list[Text] = []
        self.messages: list[Message] = []
        self.bound: dict[str, None] = {}
        self.hosted: dict[str, None] = {}
        self._asked = asked
        for at, message in enumerate(asked.messages):
            self._message(message, f"messages[{at}]")

    def bind(self, reason: str) -> None:
        self.bound[reason] = None

    def _message(self, message: chat.Message, where: str) -> None:
        name = message.name or ""
        match message.role:
            case "system" | "developer":
                texts = self._parts(message, where)
                if self.messages:
                    self.messages.append(Message(Role.SYSTEM, texts, name))
                else:
                    self.system += [part for part in texts if isinstance(part, Text)]
            case "user":
                self.messages.append(Message(Role.USER, self._parts(message, where), name))
            case "assistant":
                self.messages.append(Message(Role.ASSISTANT, self._assistant(message, where), name))
            case "tool":
                self._result(message, where)
            case "function":
                self.bind("a `function` message, the older form of a `tool` message")
            case other:
                raise _wrong(f"{where}.role", f"{other!r} is none of system, developer, user, assistant and tool")

    def _assistant(self, message: chat.Message, where: str) -> tuple[Part, ...]:
        if message.audio:
            self.bind("`audio`")
        if message.function_call:
            self.bind("`function_call`, the older form of `tool_calls`")
        thought = next((said for said in (message.reasoning_content, message.reasoning) if is_said(said)), "")
        parts: list[Part] = [Thinking(str(thought))] if thought else []
        parts += self._parts(message, where)
        if message.refusal:
            parts.append(Text(message.refusal, refusal=True))
        parts += (_tool_use(call, f"{where}.tool_calls[{at}]") for at, call in enumerate(message.tool_calls or ()))
        return tuple(parts)

    def _result(self, message: chat.Message, where: str) -> None:
        if message.tool_call_id is None:
            raise _wrong(f"{where}.tool_call_id", "it is missing")
        parts = self._parts(message, where)
        content = tuple(part for part in parts if isinstance(part, Text | Image | Document))
        result = ToolResult(message.tool_call_id, content)
        last = self.messages[-1] if self.messages else None
        if last is not None and last.role is Role.USER and last.parts and isinstance(last.parts[-1], ToolResult):
            self.messages[-1] = Message(Role.USER, (*last.parts, result))
        else:
            self.messages.append(Message(Role.USER, (result,)))

    def _parts(self, message: chat.Message, where: str) -> tuple[Part, ...]:
        """Return the parts of a content; one that says nothing has none."""
        if isinstance(content := message.content, str):
            return (Text(content),) if content else ()
        parts: list[Part] = []
        for at, said in enumerate(content or ()):
            part = Text(said) if isinstance(said, str) else self._part(said, f"{where}.content[{at}]")
            if part is not None:
                parts.append(part)
        return tuple(parts)

    def _part(self, part: chat.Part, where: str) -> Part | None:
        cache = _cache(part)
        match part.type:
            case "text" | "input_text" | "output_text" if part.text is not None:
                return Text(part.text, cache=cache)
            case "refusal" if part.refusal is not None:
                return Text(part.refusal, refusal=True)
            case "thinking":
                return Thinking(thought_of(part.thinking))
            case "image_url" if part.image_url is not None:
                link = chat.Link(part.image_url) if isinstance(part.image_url, str) else part.image_url
                return Image(_source(link.url, f"{where}.image_url.url"), link.detail or "", cache)
            case "file" if part.file is not None:
                return Document(_file(part.file, f"{where}.file"), name=part.file.filename or "", cache=cache)
            case "text" | "refusal" | "image_url" | "file":
                raise _wrong(f"{where}.{part.type}", "it is missing")
            case other:
                self.bind(reasons.content(other))
                return None

    def tool(self, tool: chat.Tool, at: int) -> Tool | None:
        """Return a tool, or None if it is one that the provider runs."""
        cache = None if tool.cache_control is None else Cache(tool.cache_control.ttl or "")
        match tool.type:
            case "function" if tool.function is not None:
                said = tool.function
                schema = _given(said.parameters) or NO_PARAMETERS
                return Tool(said.name, said.description, schema, said.strict, cache=cache)
            case "custom" if tool.custom is not None:
                free = tool.custom
                return Tool(free.name, free.description, flat_format(_given(free.format)), custom=True, cache=cache)
            case "function" | "custom":
                raise _wrong(f"tools[{at}].{tool.type}", "it is missing")
            case other:
                self.hosted[other] = None
                return None

    def choice(self, said: str | chat.Choice | None, *, anything: bool) -> ToolChoice | None:
        """Return which tools are to be called.

        Args:
            said: ``tool_choice``.
            anything: whether there are tools that the client runs.
        """
        if isinstance(said, chat.Choice) and said.type in self.hosted:
            self.bind(reasons.hosted_call("the provider"))
            return None
        choice = _tool_choice(said)
        if choice is not None and choice.forces and self.hosted and not anything:
            self.bind(reasons.hosted_call("the provider"))
        return choice

    def output(self) -> JsonOutput | None:
        """Return whether the answer is to be JSON."""
        wanted = self._asked.response_format
        match None if wanted is None else wanted.type:
            case None | "text":
                return None
            case "json_object":
                return JsonOutput()
            case "json_schema" if wanted is not None and (said := wanted.json_schema) is not None:
                return JsonOutput(_given(said.schema), said.name, said.description, said.strict)
            case "json_schema":
                raise _wrong("response_format.json_schema", "it is missing")
            case other:
                self.bind(f"`response_format` of the type {other[:60]!r}")
                return None


def _tool_use(call: chat.Call, where: str) -> ToolUse:
    if call.custom is not None:
        return ToolUse(call.id or "", call.custom.name, call.custom.input, custom=True)
    if call.function is None:
        raise _wrong(f"{where}.function", "it is missing")
    return ToolUse(call.id or "", call.function.name, arguments_of(call.function.arguments))


def arguments_of(raw: msgspec.Raw) -> str:
    """Return the arguments of a call: the text of an object, or, as some have it, the object; ``{}`` for none."""
    said = bytes(raw)
    if said.startswith(b'"'):
        return msgspec.json.decode(said, type=str) or "{}"
    return "{}" if said in {b"", b"null"} else said.decode()


def _tool_choice(choice: str | chat.Choice | None) -> ToolChoice | None:
    if choice is None:
        return None
    if isinstance(choice, str):
        if choice in _CHOICES:
            return ToolChoice(_CHOICES[choice])
        raise UntranslatableError(
            f"this is not a chat request: tool_choice: {choice!r} is none of {', '.join(_CHOICES)}"
        )
    if named := choice.function or choice.custom:
        return ToolChoice(Choice.TOOL, named.name)
    if choice.allowed_tools is None:
        raise _wrong("tool_choice", "it names no tool")
    names = (allowed.function or allowed.custom for allowed in choice.allowed_tools.tools)
    return ToolChoice(
        _CHOICES[choice.allowed_tools.mode], allowed=tuple(tool.name for tool in names if tool is not None)
    )


def _source(url: str, where: str) -> Source:
    """Return what a URL stands for: bytes, if it is a ``data:`` URL."""
    if url[:5].lower() != "data:":
        return Source(url=url)
    if (split := split_data_url(url)) is None:
        raise _wrong(where, "a data: URL has a comma before its data")
    return Source(data=split[1], media_type=split[0])


def _file(file: chat.File, where: str) -> Source:
    if file.file_data is None:
        if not file.file_id:
            raise _wrong(where, "it has neither file_data nor file_id")
        return Source(file=file.file_id)
    if file.file_data[:5].lower() == "data:":
        return _source(file.file_data, f"{where}.file_data")
    return Source(data=file.file_data, media_type=_PDF)


def _cache(part: chat.Part) -> Cache | None:
    """Return the mark after a part: OpenRouter's, which is Anthropic's, or OpenAI's."""
    if part.cache_control is not None:
        return Cache(part.cache_control.ttl or "")
    if (mark := part.prompt_cache_breakpoint) is None:
        return None
    # OpenAI's default is 30 minutes, and another maker's is another; its 12 hours are as long as one can get.
    return Cache("1h" if mark.ttl == LONG else "")


def is_said(value: object) -> bool:
    """Return whether a member that has no standard is a text, and not an empty one."""
    return isinstance(value, str) and bool(value)


def thought_of(value: object) -> str:
    """Return the text of a content part ``thinking``: a text, or Mistral's list of parts with one."""
    if isinstance(value, list):
        return "".join(thought_of(part.get("text")) for part in value if isinstance(part, dict))
    return value if isinstance(value, str) else ""


def _wrong(where: str, what: str) -> UntranslatableError:
    return UntranslatableError(f"this is not a chat request: {where}: {what}")


def _asks(name: str, raw: msgspec.Raw) -> bool:
    """Return whether a member that nobody here knows asks for anything."""
    said = bytes(raw)
    return said != b"null" and said not in _ORDINARY.get(name, ())


def _given(raw: msgspec.Raw) -> msgspec.Raw | None:
    return None if bytes(raw) in {b"", b"null"} else raw


def _whole(number: chat.Whole, where: str) -> int | None:
    """Return a whole number that may have been written as ``100.0``."""
    if number is None or isinstance(number, int):
        return number
    if number.is_integer():
        return int(number)
    raise _wrong(where, f"{number} is not a whole number")


def _text_of(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
