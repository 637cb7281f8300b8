"""What an answer of Chat Completions says, whole.

PURE. https://platform.openai.com/docs/api-reference/chat/object, and what compatible servers make of it: thoughts in
``reasoning_content`` or ``reasoning``, or in a list of content parts (Mistral); calls under the finish reason ``stop``
(Ollama, Gemini); calls without an id, or with arguments that are an object and not its text; one call in
``function_call``; cached tokens in members of their own (DeepSeek, Moonshot); tokens of thought that are in the total
alone (xAI, Gemini); counts such as ``11.0``.

An answer has one text and one refusal here, and its calls come after them. So texts of other formats are joined, and
nothing is put between them, for they may be one sentence cut by its citations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from hydrallm.formats import strict_json
from hydrallm.formats.calls import check_calls
from hydrallm.formats.canonical import Text, Thinking, ToolUse, UntranslatableError
from hydrallm.formats.canonical_answer import Answer, Stop, Usage, stop_with
from hydrallm.formats.custom_tools import restored
from hydrallm.formats.figures import figure, figures_of, word
from hydrallm.formats.openai_chat_conversation import ID_CHARACTERS, ID_LENGTH
from hydrallm.formats.openai_chat_request import arguments_of, is_said, thought_of
from hydrallm.formats.openai_choices import FILTERED

if TYPE_CHECKING:
    from hydrallm.formats.codec import Asked

STOPS = {
    "stop": Stop.END,
    "length": Stop.LENGTH,
    "max_tokens": Stop.LENGTH,
    "tool_calls": Stop.TOOL_USE,
    "function_call": Stop.TOOL_USE,
    **dict.fromkeys(FILTERED, Stop.REFUSAL),
}
"""Finish reasons of answers; an unknown one is the end."""

FINISHES = {
    Stop.END: "stop",
    Stop.LENGTH: "length",
    Stop.CONTEXT: "length",
    Stop.SEQUENCE: "stop",
    Stop.TOOL_USE: "tool_calls",
    Stop.REFUSAL: "content_filter",
    Stop.PAUSE: "stop",
}

TIERS = {
    "auto": "auto",
    "default": "default",
    "standard": "default",
    "flex": "flex",
    "scale": "scale",
    "priority": "priority",
    "fast": "fast",
}
"""Service tiers that OpenAI has a word for, by the words of all formats."""

_CACHED = (("prompt_tokens_details", "cached_tokens"), ("prompt_cache_hit_tokens",), ("cached_tokens",))


class Function(msgspec.Struct, frozen=True):
    """A function that is called; in a stream, more of that."""

    name: str | None = None
    arguments: msgspec.Raw = msgspec.Raw()


class Custom(msgspec.Struct, frozen=True):
    """The same of a custom tool."""

    name: str | None = None
    input: str | None = None


class Call(msgspec.Struct, frozen=True):
    """A call; in a stream, more of that, by its index."""

    index: object = None
    id: object = None
    function: Function | None = None
    custom: Custom | None = None

    @property
    def place(self) -> int | None:
        """Its index; None if there is none."""
        index = self.index
        if isinstance(index, str) and index.isdecimal() and len(index) < 9:
            return int(index)
        return int(index) if isinstance(index, int | float) else None

    @property
    def identity(self) -> str:
        """Its id; empty if there is none."""
        return str(self.id) if isinstance(self.id, str | int) else ""


class ContentPart(msgspec.Struct, frozen=True):
    """A part of a content that is a list."""

    type: str = ""
    text: str | None = None
    thinking: object = None


class Said(msgspec.Struct, frozen=True):
    """A message; in a stream, more of it."""

    content: str | list[ContentPart] | None = None
    refusal: object = None
    reasoning_content: object = None
    reasoning: object = None
    tool_calls: list[Call] | None = None
    function_call: Function | None = None

    @property
    def calls(self) -> list[Call]:
        """The calls in it; the one of ``function_call``, which there was before there were tools."""
        if self.function_call is None or self.tool_calls:
            return self.tool_calls or []
        return [Call(function=self.function_call)]


class _Choice(msgspec.Struct, frozen=True):
    message: Said
    index: object = None
    finish_reason: object = None


class _Completion(msgspec.Struct, frozen=True):
    choices: list[_Choice]
    id: object = None
    model: object = None
    usage: msgspec.Raw = msgspec.Raw()
    service_tier: object = None


_COMPLETION = msgspec.json.Decoder(_Completion).decode


def read_answer(body: bytes) -> Answer:
    """Return what a whole answer says; see :class:`~hydrallm.formats.codec.Codec`."""
    completion = strict_json.read_tolerantly(body, _COMPLETION, "a chat completion")
    choice = next((choice for choice in completion.choices if is_first(choice.index)), None)
    if choice is None:
        raise UntranslatableError("this is not a chat completion: choices: the first one is missing")
    said, identity = choice.message, word(completion.id)
    parts: list[Text | Thinking | ToolUse] = []
    if thought := thought_in(said):
        parts.append(Thinking(thought))
    if isinstance(said.content, list):
        parts += (part for part in map(content_part, said.content) if part is not None)
    elif said.content:
        parts.append(Text(said.content))
    if refusal := word(said.refusal):
        parts.append(Text(refusal, refusal=True))
    calls = [_tool_use(call, at, identity) for at, call in enumerate(said.calls)]
    return Answer(
        id=identity,
        model=word(completion.model),
        parts=(*parts, *calls),
        stop=stop_of(word(choice.finish_reason), calls=bool(calls), refused=bool(refusal)),
        usage=usage_of(completion.usage) or Usage(),
        tier=word(completion.service_tier),
    )


def write_answer(answer: Answer, asked: Asked) -> bytes:
    """Return ``answer`` as a body; see :class:`~hydrallm.formats.codec.Codec`."""
    check_calls(answer, asked.custom)
    answer = restored(answer, asked.custom)
    texts = [part for part in answer.parts if isinstance(part, Text)]
    words = "".join(part.text for part in texts if not part.refusal)
    refusal = "".join(part.text for part in texts if part.refusal)
    thought = "".join(part.text for part in answer.parts if isinstance(part, Thinking))
    calls = [_written(part, asked) for part in answer.parts if isinstance(part, ToolUse)]
    message: dict[str, Any] = {
        "role": "assistant",
        "content": words or (None if calls or refusal else ""),
        "refusal": refusal or None,
    }
    if thought:
        message["reasoning_content"] = thought
    if calls:
        message["tool_calls"] = calls
    finish = finish_of(answer.stop, refused=bool(refusal))
    body: dict[str, Any] = {
        "id": identity_of(asked),
        "object": "chat.completion",
        "created": asked.created,
        "model": asked.model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish}],
    }
    if (usage := written_usage(answer.usage)) is not None:
        body["usage"] = usage
    if tier := TIERS.get(answer.tier):
        body["service_tier"] = tier
    return encoded(body)


# ---- what whole answers and streams have in common


def is_first(index: object) -> bool:
    """Return whether a choice with ``index`` is the first, which is the only one that is asked for."""
    return not index or index == "0"


def thought_in(said: Said) -> str:
    """Return what the model thought, under either name. A few servers say it under both."""
    return next((str(thought) for thought in (said.reasoning_content, said.reasoning) if is_said(thought)), "")


def content_part(part: ContentPart) -> Text | Thinking | None:
    """Return what a part of a content says, or None if that is nothing."""
    if thought := thought_of(part.thinking):
        return Thinking(thought)
    return Text(part.text) if part.text else None


def call_id(said: str, at: int, answer: str) -> str:
    """Return the id of a call; where a server gave none, one that no other call of the conversation has."""
    return said or (f"call_{answer}_{at}" if answer else f"call_{at}")


def stop_of(reason: str, *, calls: bool, refused: bool) -> Stop:
    """Return why an answer ended.

    Args:
        reason: the finish reason.
        calls: whether there are calls of tools, which some servers end with ``stop``.
        refused: whether there is a refusal, which OpenAI ends with ``stop``.
    """
    stop = stop_with(STOPS.get(reason, Stop.END), calls=calls)
    return Stop.REFUSAL if refused and stop is Stop.END else stop


def finish_of(stop: Stop, *, refused: bool) -> str:
    """Return the finish reason. A model that says in words that it will not is no filter."""
    return "stop" if refused and stop is Stop.REFUSAL else FINISHES[stop]


def usage_of(member: msgspec.Raw) -> Usage | None:
    """Return what the member ``usage`` tells: the prompt without what was read from a cache or written to it.

    Returns:
        the usage; None if the member is not there. ``prompt_cache_hit_tokens`` is of DeepSeek, ``cached_tokens`` beside
        the others of Moonshot.
    """
    if not (figures := figures_of(member)):
        return None
    prompt, output = figure(figures, "prompt_tokens"), figure(figures, "completion_tokens")
    read = next((tokens for path in _CACHED if (tokens := figure(figures, *path)) is not None), None)
    written = figure(figures, "prompt_tokens_details", "cache_write_tokens")
    total = figure(figures, "total_tokens")
    if prompt is not None and output is not None and total is not None:
        output = max(output, total - prompt)
    return Usage(
        input=None if prompt is None else max(0, prompt - (read or 0) - (written or 0)),
        cache_read=read,
        cache_write=written,
        output=output,
        reasoning=figure(figures, "completion_tokens_details", "reasoning_tokens"),
    )


def written_usage(usage: Usage) -> dict[str, Any] | None:
    """Return the ``usage`` member; None if nothing is known."""
    if usage.input is None and usage.output is None:
        return None
    prompt = (usage.input or 0) + (usage.cache_read or 0) + (usage.cache_write or 0)
    body: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": usage.output or 0,
        "total_tokens": prompt + (usage.output or 0),
    }
    cached = {"cached_tokens": usage.cache_read, "cache_write_tokens": usage.cache_write}
    if details := {name: tokens for name, tokens in cached.items() if tokens is not None}:
        body["prompt_tokens_details"] = details
    if usage.reasoning is not None:
        body["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning}
    return body


def identity_of(asked: Asked) -> str:
    """Return the id of an answer, in OpenAI's form."""
    return asked.id if asked.id.startswith("chatcmpl-") else f"chatcmpl-{asked.id}"


def encoded(value: object) -> bytes:
    """Return ``value`` as JSON; half of a surrogate pair, which has no UTF-8, becomes a question mark."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return msgspec.json.encode(_mended(value))


def _mended(value: Any) -> Any:  # noqa: ANN401 - what JSON can say
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {name: _mended(inner) for name, inner in value.items()}
    return [_mended(inner) for inner in value] if isinstance(value, list) else value


def _tool_use(call: Call, at: int, answer: str) -> ToolUse:
    identity = call_id(call.identity, at, answer)
    if call.custom is not None:
        return ToolUse(identity, call.custom.name or "", call.custom.input or "", custom=True)
    function = call.function or Function()
    return ToolUse(identity, function.name or "", arguments_of(function.arguments))


def _written(call: ToolUse, asked: Asked) -> dict[str, Any]:
    identity, name = asked.call_id(call.id, ID_CHARACTERS, ID_LENGTH), asked.names.get(call.name, call.name)
    if call.custom:
        return {"id": identity, "type": "custom", "custom": {"name": name, "input": call.arguments}}
    return {"id": identity, "type": "function", "function": {"name": name, "arguments": call.arguments or "{}"}}
