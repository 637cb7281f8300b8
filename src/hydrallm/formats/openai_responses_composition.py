"""A request as OpenAI's Responses has it.

PURE. https://platform.openai.com/docs/api-reference/responses/create. What is composed says everything itself, and
nothing is stored: a client of another format did not ask for that, and has no way to refer to it.

What Responses has no member for:

* texts that end an answer. One that goes on where it should have ended is another answer, so such a request is not
  served;
* that a tool failed; its result says so in words, as results did before there was such a mark;
* the continuation of an assistant turn, and images in one.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from hydrallm.formats import reasons
from hydrallm.formats.canonical import Choice, Composed, Role, ToolResult, ToolUse, UnservedError
from hydrallm.formats.defaults import asks
from hydrallm.formats.effort import told
from hydrallm.formats.openai_responses_input import LONGEST_NAME, NAME_CHARACTERS, Input
from hydrallm.formats.openai_responses_request import NAME, TEMPERATURE_MAX
from hydrallm.formats.renaming import Renaming

if TYPE_CHECKING:
    from hydrallm.formats.canonical import Request, Target, Tool, ToolChoice

Members: TypeAlias = "dict[str, Any]"

_LEAST_TOKENS = 16
"""The API refuses a smaller ``max_output_tokens``; some clients ask for one token, to see whether a model answers."""

_LONGEST = 64
"""Characters of an identifier of a user or a cache. OpenAI answers 400 beyond that, and Claude Code's is longer."""

_TIERS = {
    "auto": "auto",
    "default": "default",
    "standard_only": "default",
    "flex": "flex",
    "scale": "scale",
    "priority": "priority",
    "fast": "fast",
    "ultrafast": "ultrafast",
}
"""The service tiers that there are here, by the words of all formats."""

_PAIRS, _KEY, _VALUE = 16, 64, 512
"""The bounds of ``metadata``: pairs, and characters of keys and of values."""

_ENCRYPTED = "reasoning.encrypted_content"

_INNER = frozenset({"reasoning"})
"""Members of which members that nobody knows are said again. Tools that OpenAI runs are dropped even here."""


def compose(request: Request, target: Target) -> Composed:
    """Return ``request`` as a body of Responses for ``target``; see :class:`~hydrallm.formats.codec.Codec`.

    Raises:
        UnservedError: it cannot be said, or the model cannot do it.
    """
    if request.bound:
        raise UnservedError(request.bound)
    return _Composition(request, target).composed()


def _shortened(identifier: str) -> str:
    """Return an identifier that is not too long. It only has to be the same the next time."""
    if len(identifier) <= _LONGEST:
        return identifier
    return hashlib.sha256(identifier.encode("utf-8", "surrogatepass")).hexdigest()


class _Composition:
    """A request being composed."""

    def __init__(self, request: Request, target: Target) -> None:
        self._request = request
        self._facts = target.facts
        self._model = target.model
        self._input = Input(request, target.facts)
        self._dropped = self._input.dropped
        self._reasons = self._input.reasons

    def composed(self) -> Composed:
        request = self._request
        body: Members = {"model": self._model, "store": False, **self._input.members()}
        for say in (self._tools, self._sampling, self._reasoning, self._text, self._identity, self._others):
            body.update(say())
        if request.stream:
            body["stream"] = True
        self._repeat(body)
        if self._reasons:
            raise UnservedError(tuple(self._reasons))
        try:
            encoded = msgspec.json.encode(body)
        except UnicodeEncodeError:
            raise UnservedError((reasons.HALF_CHARACTER,)) from None
        names, ids = self._input.names, self._input.ids
        return Composed(encoded, request.named(self._dropped), dict(names.changed), dict(ids.changed))

    def _repeat(self, body: Members) -> None:
        """Say again what nobody here knows, if the client has said it to this API."""
        for name, raw in self._request.extra.items():
            member, _, inner = name.partition(".")
            if self._request.format != NAME or (inner and member not in _INNER):
                self._dropped[name] = None
            elif inner:
                body.setdefault(member, {})[inner] = raw
            else:
                body[member] = raw

    # ---- tools

    def _tools(self) -> Members:
        request, choice = self._request, self._request.tool_choice
        called = any(isinstance(part, ToolUse | ToolResult) for said in request.messages for part in said.parts)
        if (request.tools or called) and not self._facts.tools:
            self._reasons[reasons.TOOLS] = None
        if not request.tools:
            if choice is not None and choice.forces:
                self._reasons[reasons.NO_TOOLS] = None
            return {}
        members: Members = {"tools": [self._tool(tool) for tool in request.tools]}
        if choice is not None:
            members["tool_choice"] = self._choice(choice)
        if request.parallel is not None:
            members["parallel_tool_calls"] = request.parallel
        return members

    def _tool(self, tool: Tool) -> Members:
        if tool.cache is not None:
            self._dropped["cache"] = None
        if tool.native is not None:
            self._reasons[reasons.client_tool(tool.name, "Anthropic")] = None
        item: Members = {"type": "custom" if tool.custom else "function", "name": self._input.names.of(tool.name)}
        if tool.description is not None:
            item["description"] = tool.description
        if tool.custom:
            return item if tool.schema is None else item | {"format": tool.schema}
        # What is not said is false elsewhere and true here, and a schema that was not written for it is then refused.
        return item | {"parameters": tool.schema, "strict": bool(tool.strict)}

    def _choice(self, choice: ToolChoice) -> str | Members:
        facts = self._facts
        if choice.forces and not facts.forced_tool:
            self._reasons[reasons.FORCED_CALL] = None
        elif choice.forces and facts.thinks_always and not facts.forced_tool_thinking:
            self._reasons[reasons.FORCED_CALL_THINKING] = None
        if choice.choice is Choice.TOOL:
            return self._reference(choice.name)
        if choice.allowed and choice.choice is not Choice.NONE:
            allowed = [self._reference(name) for name in choice.allowed]
            return {"type": "allowed_tools", "mode": choice.choice.value, "tools": allowed}
        return choice.choice.value

    def _reference(self, name: str) -> Members:
        custom = any(tool.custom for tool in self._request.tools if tool.name == name)
        return {"type": "custom" if custom else "function", "name": self._input.names.of(name)}

    # ---- how the answer is made

    def _sampling(self) -> Members:
        request, facts = self._request, self._facts
        for name in ("top_k", "seed", "frequency_penalty", "presence_penalty"):
            if asks(request, name):
                self._dropped[name] = None
        if request.stop:
            self._reasons[reasons.stop_sequences(len(request.stop), "Responses", 0)] = None
        members: Members = {"temperature": request.temperature, "top_p": request.top_p}
        members = {name: value for name, value in members.items() if value is not None}
        if not facts.sampling:
            self._dropped.update(dict.fromkeys(name for name in members if asks(request, name)))
            members = {}
        if "temperature" in members:
            members["temperature"] = min(members["temperature"], TEMPERATURE_MAX)
        if request.max_tokens is not None:
            most = request.max_tokens if facts.max_output is None else min(request.max_tokens, facts.max_output)
            members["max_output_tokens"] = max(most, _LEAST_TOKENS)
        return members

    def _reasoning(self) -> Members:
        asked, facts = self._request.reasoning, self._facts
        # A model that has an effort thinks; its thoughts are wanted back, for nothing is stored.
        members: Members = {"include": [_ENCRYPTED]} if facts.efforts else {}
        if asked is None:
            return members
        choice = self._request.tool_choice
        effort, lost = told(asked, facts, forced=choice is not None and choice.forces)
        summary = asked.summary or ("auto" if asked.display == "summarized" else "")
        if lost or (summary and not facts.efforts):
            self._dropped["reasoning"] = None
        if not facts.efforts:
            return members
        said = {name: word for name, word in (("effort", effort), ("summary", summary)) if word}
        return members | ({"reasoning": said} if said else {})

    def _text(self) -> Members:
        request, output = self._request, self._request.output
        said: Members = {}
        if output is not None and output.schema is None:
            said["format"] = {"type": "json_object"}
        elif output is not None:
            if not self._facts.json_output:
                self._reasons[reasons.SCHEMA] = None
            name = Renaming(NAME_CHARACTERS, LONGEST_NAME).of(output.name or "answer")
            form: Members = {"type": "json_schema", "name": name, "schema": output.schema}
            optional = {"description": output.description, "strict": output.strict}
            said["format"] = form | {key: value for key, value in optional.items() if value is not None}
        if request.verbosity:
            said["verbosity"] = request.verbosity
        return {"text": said} if said else {}

    # ---- who asks, and how it is served

    def _identity(self) -> Members:
        request = self._request
        members: Members = {}
        if request.user:
            members["safety_identifier"] = _shortened(request.user)
        if request.cache_key:
            members["prompt_cache_key"] = _shortened(request.cache_key)
        if request.metadata:
            fits = {key: value for key, value in request.metadata.items() if len(key) <= _KEY and len(value) <= _VALUE}
            members["metadata"] = dict(list(fits.items())[:_PAIRS])
            if len(members["metadata"]) < len(request.metadata):
                self._dropped["metadata"] = None
        return members

    def _others(self) -> Members:
        request = self._request
        if request.cache is not None:
            self._dropped["cache"] = None
        if not self._facts.prefill and request.messages and request.messages[-1].role is Role.ASSISTANT:
            self._reasons[reasons.CONTINUED_TURN] = None
        if not request.tier:
            return {}
        if request.tier not in _TIERS:
            self._dropped["tier"] = None
            return {}
        return {"service_tier": _TIERS[request.tier]}
