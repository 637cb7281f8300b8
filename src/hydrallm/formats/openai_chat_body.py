"""The body of a chat request, as a type.

PURE. https://platform.openai.com/docs/api-reference/chat/create, and the habits of its many clients: what may be null
is None, what has no standard is an object, and a type of part or tool that nobody here knows is no error yet.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

Whole: TypeAlias = int | float | None
"""A whole number, which may be written as ``100.0``."""


class Mark(msgspec.Struct, frozen=True):
    """A mark that a prompt may be cached up to here: OpenAI's, or Anthropic's as OpenRouter takes it."""

    ttl: str | None = None


class Link(msgspec.Struct, frozen=True):
    """Where an image is; its bytes, if it is a ``data:`` URL."""

    url: str
    detail: str | None = None


class File(msgspec.Struct, frozen=True):
    """A file, or the id of an uploaded one."""

    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class Part(msgspec.Struct, frozen=True):
    """A part of a content, of any type."""

    type: str = "text"
    text: str | None = None
    refusal: str | None = None
    thinking: object = None
    image_url: Link | str | None = None
    file: File | None = None
    cache_control: Mark | None = None
    prompt_cache_breakpoint: Mark | None = None


class Function(msgspec.Struct, frozen=True):
    """The function that is called, and with what."""

    name: str
    arguments: msgspec.Raw = msgspec.Raw()


class Custom(msgspec.Struct, frozen=True):
    """The custom tool that is called, and with what text."""

    name: str
    input: str = ""


class Call(msgspec.Struct, frozen=True):
    """A call of a tool."""

    id: str | None = None
    function: Function | None = None
    custom: Custom | None = None


class Message(msgspec.Struct, frozen=True):
    """A message of any role."""

    role: str
    content: str | list[Part | str] | None = None
    name: str | None = None
    refusal: str | None = None
    reasoning_content: object = None
    reasoning: object = None
    tool_calls: list[Call] | None = None
    tool_call_id: str | None = None
    function_call: object = None
    audio: object = None


class Definition(msgspec.Struct, frozen=True):
    """A function that may be called."""

    name: str
    description: str | None = None
    parameters: msgspec.Raw = msgspec.Raw()
    strict: bool | None = None


class CustomDefinition(msgspec.Struct, frozen=True):
    """A tool that takes free text."""

    name: str
    description: str | None = None
    format: msgspec.Raw = msgspec.Raw()


class Tool(msgspec.Struct, frozen=True):
    """A tool of any type."""

    type: str = "function"
    function: Definition | None = None
    custom: CustomDefinition | None = None
    cache_control: Mark | None = None


class Named(msgspec.Struct, frozen=True):
    """A tool by its name."""

    name: str


class AllowedTool(msgspec.Struct, frozen=True):
    """One of the tools that may be called, by its name."""

    function: Named | None = None
    custom: Named | None = None


class Allowed(msgspec.Struct, frozen=True):
    """The tools that may be called, of all that are there."""

    tools: list[AllowedTool]
    mode: Literal["auto", "required"] = "auto"


class Choice(msgspec.Struct, frozen=True):
    """Which tool is to be called."""

    type: str = "function"
    function: Named | None = None
    custom: Named | None = None
    allowed_tools: Allowed | None = None


class Schema(msgspec.Struct, frozen=True):
    """The schema that an answer follows."""

    name: str = ""
    description: str | None = None
    schema: msgspec.Raw = msgspec.Raw()
    strict: bool | None = None


class Format(msgspec.Struct, frozen=True):
    """What an answer is to be."""

    type: str = "text"
    json_schema: Schema | None = None


class StreamOptions(msgspec.Struct, frozen=True):
    """What a stream is to tell."""

    include_usage: bool | None = None


class Body(msgspec.Struct, frozen=True):
    """The whole of it."""

    messages: list[Message]
    model: str = ""
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    tools: list[Tool] | None = None
    tool_choice: str | Choice | None = None
    parallel_tool_calls: bool | None = None
    max_tokens: Whole = None
    max_completion_tokens: Whole = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: Whole = None
    stop: str | list[str] | None = None
    seed: Whole = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    response_format: Format | None = None
    verbosity: Literal["low", "medium", "high"] | None = None
    user: str | None = None
    safety_identifier: str | None = None
    metadata: dict[str, object] | None = None
    service_tier: str | None = None
    prompt_cache_key: str | None = None
    n: object = None
    logprobs: object = None
    top_logprobs: object = None
    modalities: object = None
    audio: object = None
    functions: object = None
    function_call: object = None
    moderation: object = None


decode = msgspec.json.Decoder(Body).decode
decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
KNOWN = frozenset(Body.__struct_fields__)
"""The members that the type has."""
