"""A request as Chat Completions has it.

PURE. https://platform.openai.com/docs/api-reference/chat/create. What is composed has to be taken by OpenAI and by the
many servers that are compatible with what OpenAI's API once was. So, where there are two ways to say the same, it is
said in the older and plainer one:

* texts without anything between them are one text, for several servers take nothing but that;
* instructions are one ``system`` message, at the beginning;
* the only tools that may be called are the only ones that are sent;
* what is the default is not said;
* a tool for free text is a function with one argument, for only OpenAI knows another way.

OpenAI's newer models take tools here only if they do not think
(https://developers.openai.com/api/docs/guides/deployment-checklist). They are told not to; those that cannot be are not
served here. Responses serves all of them, and keeps the thoughts: :func:`needs_responses`.
"""

from __future__ import annotations

import hashlib
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from hydrallm.formats import reasons
from hydrallm.formats.canonical import Choice, Composed, ToolResult, ToolUse, UnservedError
from hydrallm.formats.custom_tools import Functions, as_functions, nested_format
from hydrallm.formats.defaults import asks
from hydrallm.formats.effort import NONE, told
from hydrallm.formats.openai_chat_conversation import NAME_CHARACTERS, NAME_LENGTH, Conversation, Record
from hydrallm.formats.openai_chat_request import NAME
from hydrallm.formats.renaming import Renaming

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hydrallm.formats.canonical import JsonOutput, Message, Request, Target, Tool, ToolChoice
    from hydrallm.formats.facts import Facts

_STOPS = 4
_TEMPERATURE = 2.0
_USER = 64  # characters, beyond which OpenAI answers 400

_TIERS = {
    "default": "default",
    "standard_only": "default",
    "flex": "flex",
    "scale": "scale",
    "priority": "priority",
    "fast": "fast",
}
"""Service tiers, by the words of all formats. ``auto`` is the default of all."""


def compose(request: Request, target: Target) -> Composed:
    """Return ``request`` as a chat request for ``target``; see :class:`~hydrallm.formats.codec.Codec`."""
    if request.bound:
        raise UnservedError(request.bound)
    return _Composition(request, target).composed()


def needs_responses(request: Request, facts: Facts) -> bool:
    """Return whether Responses serves ``request`` better than Chat, for a model of which ``facts`` are known.

    That is where there are tools, or calls of them in the conversation, and the model takes tools in Chat only if it
    does not think, or not at all.
    """
    return facts.chat_tools != "any" and (bool(request.tools) or _has_tools(request.messages))


class _Composition:
    """A request as it is composed."""

    def __init__(self, request: Request, target: Target) -> None:
        functions = Functions(request) if request.format == NAME else as_functions(request)
        self._request = request = functions.request
        self._custom = functions.custom
        self._target = target
        self._facts = target.facts
        self._record = Record()
        self._record.dropped.update(dict.fromkeys(functions.dropped))

    def composed(self) -> Composed:
        request, record = self._request, self._record
        body: dict[str, Any] = {
            "model": self._target.model,
            "messages": Conversation(self._record, request, self._facts).messages(),
        }
        if request.stream:
            # The usage is always wanted, for the record; a client that did not ask for it is not told.
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        tools = self._tools()
        body |= tools | self._sampling() | self._limits() | self._reasoning(tools=bool(tools)) | self._identity()
        if request.output is not None:
            body["response_format"] = self._response_format(request.output)
        for name, raw in request.extra.items():
            if request.format == NAME and "." not in name:
                body[name] = raw
            else:
                record.drop(name)
        if record.reasons:
            raise UnservedError(tuple(record.reasons))
        try:
            encoded = msgspec.json.encode(body)
        except UnicodeEncodeError:
            raise UnservedError((reasons.HALF_CHARACTER,)) from None
        custom = tuple(map(record.names.of, self._custom))
        return Composed(encoded, request.named(record.dropped), record.names.changed, record.ids.changed, custom)

    def _tools(self) -> dict[str, Any]:
        request, choice = self._request, self._request.tool_choice
        if not self._facts.tools and (request.tools or _has_tools(request.messages)):
            self._record.refuse(reasons.TOOLS)
        allowed = choice.allowed if choice is not None else ()
        tools = [self._tool(tool) for tool in request.tools if not allowed or tool.name in allowed]
        if not tools:
            if choice is not None and choice.forces:
                self._record.refuse(reasons.NO_TOOLS)
            return {}
        if self._facts.chat_tools == "none":
            self._record.refuse("the model takes tools in Responses only, not in chat")
        body: dict[str, Any] = {"tools": tools}
        if choice is not None:
            body["tool_choice"] = self._choice(choice)
        if request.parallel is False:
            body["parallel_tool_calls"] = False
        return body

    def _tool(self, tool: Tool) -> dict[str, Any]:
        self._record.mark(tool)
        if tool.native is not None:
            self._record.refuse(reasons.client_tool(tool.name, "Anthropic"))
        said: dict[str, Any] = {"name": self._record.names.of(tool.name)}
        if tool.description is not None:
            said["description"] = tool.description
        if tool.custom:
            form = {} if tool.schema is None else {"format": nested_format(tool.schema)}
            return {"type": "custom", "custom": said | form}
        if tool.schema is not None:
            said["parameters"] = tool.schema
        if tool.strict is not None:
            said["strict"] = tool.strict
        return {"type": "function", "function": said}

    def _choice(self, choice: ToolChoice) -> str | dict[str, Any]:
        facts = self._facts
        if choice.forces and not facts.forced_tool:
            self._record.refuse(reasons.FORCED_CALL)
        elif choice.forces and facts.thinks_always and not facts.forced_tool_thinking:
            self._record.refuse(reasons.FORCED_CALL_THINKING)
        if choice.choice is not Choice.TOOL:
            return choice.choice.value
        custom = any(tool.custom and tool.name == choice.name for tool in self._request.tools)
        kind = "custom" if custom else "function"
        return {"type": kind, kind: {"name": self._record.names.of(choice.name)}}

    def _sampling(self) -> dict[str, Any]:
        request = self._request
        wanted = {
            "temperature": None if request.temperature is None else min(request.temperature, _TEMPERATURE),
            "top_p": request.top_p,
            "frequency_penalty": request.frequency_penalty,
            "presence_penalty": request.presence_penalty,
        }
        said = {name: value for name, value in wanted.items() if value is not None}
        if not self._facts.sampling:
            for name in filter(partial(asks, request), said):
                self._record.drop(name)
            said = {}
        if request.top_k is not None:
            self._record.drop("top_k")
        return said | ({"seed": request.seed} if request.seed is not None else {})

    def _limits(self) -> dict[str, Any]:
        request, facts = self._request, self._facts
        body: dict[str, Any] = {}
        if (most := request.max_tokens) is not None:
            # Models with an effort are OpenAI's newer ones and refuse the older name; other servers may know no other.
            name = "max_completion_tokens" if facts.efforts else "max_tokens"
            body[name] = most if facts.max_output is None else min(most, facts.max_output)
        if stop := [text for text in request.stop if text]:
            body["stop"] = stop
        if len(stop) > _STOPS:
            self._record.refuse(reasons.stop_sequences(len(stop), "Chat Completions", _STOPS))
        return body

    def _reasoning(self, *, tools: bool) -> dict[str, Any]:
        quiet = tools and self._facts.chat_tools == "quiet"
        body: dict[str, Any] = {"reasoning_effort": NONE} if quiet else {}
        if verbosity := self._request.verbosity:
            if self._facts.efforts:
                body["verbosity"] = verbosity
            elif asks(self._request, "verbosity"):
                self._record.drop("verbosity")
        if (reasoning := self._request.reasoning) is None:
            return body
        for field in ("summary", "display"):
            if getattr(reasoning, field):
                self._record.drop(field)
        choice = self._request.tool_choice
        effort, lost = told(reasoning, self._facts, forced=choice is not None and choice.forces)
        if quiet:
            effort, lost = NONE, effort != NONE and bool(effort or reasoning.enabled)
        if lost:
            self._record.drop("effort" if reasoning.effort else "budget" if reasoning.budget else "reasoning")
        return body | ({"reasoning_effort": effort} if effort else {})

    def _identity(self) -> dict[str, Any]:
        request = self._request
        body: dict[str, Any] = {}
        if request.user:
            # Claude Code's is longer than OpenAI takes. It is to be the same from time to time, and no more.
            long = len(request.user) > _USER
            body["user"] = hashlib.sha256(request.user.encode("utf-8", "replace")).hexdigest() if long else request.user
        if request.cache_key:
            body["prompt_cache_key"] = request.cache_key
        if request.metadata:
            self._record.drop("metadata")  # OpenAI refuses it of an answer that is not stored
        if tier := _TIERS.get(request.tier):
            body["service_tier"] = tier
        elif asks(request, "tier"):
            self._record.drop("tier")
        return body

    def _response_format(self, output: JsonOutput) -> dict[str, Any]:
        if output.schema is None:
            return {"type": "json_object"}
        if not self._facts.json_output:
            self._record.refuse(reasons.SCHEMA)
        said: dict[str, Any] = {
            "name": Renaming(NAME_CHARACTERS, NAME_LENGTH).of(output.name or "answer"),
            "schema": output.schema,
        }
        if output.description is not None:
            said["description"] = output.description
        if output.strict is not None:
            said["strict"] = output.strict
        return {"type": "json_schema", "json_schema": said}


def _has_tools(messages: Iterable[Message]) -> bool:
    return any(isinstance(part, ToolUse | ToolResult) for said in messages for part in said.parts)
