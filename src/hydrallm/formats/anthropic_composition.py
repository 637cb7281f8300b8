"""A request, as a body of Anthropic's Messages.

PURE. https://docs.anthropic.com/en/api/messages. Which members are legal depends on the model, on the version of the
API (from 2026-10-21 on there is no sampling, no document in the assistant's turns, no citation in the user's) and on
each other (thinking restricts sampling). What may be sent is decided for each model from what the client asked, and
nothing that is left out is left out silently.

The turns of a conversation need not alternate here, but the results of a turn's calls must all be in the next one, in
front. So turns of one role are joined. Instructions in the middle become words of the user's, where they stand, with
tags around them that say whose they are: only the newest models take a turn of the system's, and only after the user's
and before the model's (https://platform.claude.com/docs/en/build-with-claude/mid-conversation-system-messages).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from hydrallm.formats import reasons
from hydrallm.formats.anthropic_content import NATIVE, Block, Carrier, Content, Marks, count_marks, mark
from hydrallm.formats.anthropic_thinking import Circumstances, Plan, plan
from hydrallm.formats.canonical import Choice, Composed, Role, Text, ToolResult, ToolUse, UnservedError
from hydrallm.formats.custom_tools import as_functions
from hydrallm.formats.defaults import asks
from hydrallm.formats.instructions import instruction

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hydrallm.formats.canonical import Message, Request, Target, Tool

VERSION = "2023-06-01"
"""Of the API, where the endpoint's settings do not say."""

_WITHOUT_SAMPLING = "2026-10-21"
_MIN_TOP_P = 0.95  # while the model thinks
_NO_SCHEMA = msgspec.Raw(b'{"type":"object","properties":{}}')
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_CHOICES = {Choice.AUTO: "auto", Choice.REQUIRED: "any", Choice.TOOL: "tool", Choice.NONE: "none"}

# Members of a request that this format does not know, where they ask for something.
_UNKNOWN = ("seed", "frequency_penalty", "presence_penalty", "verbosity", "metadata", "cache_key")

# Those that a count of tokens knows.
_COUNTED = frozenset(
    {"model", "messages", "system", "tools", "tool_choice", "thinking", "output_config", "cache_control"}
)


def compose(request: Request, target: Target, carrier: Carrier, rest: dict[str, Any]) -> Composed:
    """Return ``request`` as a body of Messages.

    Args:
        request: what the client asks.
        target: the model.
        carrier: what the API takes that bodies of Messages are sent to.
        rest: members that are the API's own; the body begins with them.

    Raises:
        UnservedError: it cannot be said, or the model cannot do it; with all reasons.
    """
    if request.bound:
        raise UnservedError(request.bound)
    composition = _Composition(request, target, carrier)
    body = {**rest, **composition.body()}
    return composition.composed(body)


def compose_count(request: Request, target: Target, carrier: Carrier) -> Composed:
    """Return the body that asks how many tokens ``request`` has; see :func:`compose`."""
    if request.bound:
        raise UnservedError(request.bound)
    composition = _Composition(request, target, carrier)
    body = {"model": target.model, **composition.body()}
    return composition.composed({name: value for name, value in body.items() if name in _COUNTED})


class _Composition:
    """A body on its way."""

    def __init__(self, request: Request, target: Target, carrier: Carrier) -> None:
        version = (target.version or VERSION).removeprefix("bedrock-")
        functions = as_functions(request)
        self._request = request = functions.request
        self._custom = functions.custom
        self._facts = target.facts
        self._carrier = carrier
        self._strict = version >= _WITHOUT_SAMPLING
        self._marks = Marks(count_marks(request), taken=target.facts.cache)
        self._content = Content(request, carrier, self._marks, strict_turns=self._strict)
        self._dropped = self._content.dropped
        self._dropped.update(dict.fromkeys(functions.dropped))
        self._reasons = self._content.reasons

    def composed(self, body: dict[str, Any]) -> Composed:
        """Return ``body`` with what is known about it."""
        if self._reasons:
            raise UnservedError(tuple(self._reasons))
        dropped, content = self._request.named(self._dropped), self._content
        custom = tuple(map(content.names.of, self._custom))
        return Composed(msgspec.json.encode(body), dropped, content.names.changed, content.ids.changed, custom)

    def body(self) -> dict[str, Any]:
        """Return the members; whatever speaks against it is noted."""
        request = self._request
        self._check()
        tools, choice = self._tools()
        system = self._content.blocks(request.system, Role.USER)
        turns = self._turns()
        if not turns and system:  # instructions alone are a question
            turns, system = [{"role": "user", "content": system}], []
        if not (turns or self._reasons):
            self._reasons[reasons.NO_WORDS] = None
        thinking = self._thinking(turns, choice)
        body: dict[str, Any] = {"max_tokens": thinking.max_tokens, "messages": [_short(turn) for turn in turns]}
        if system:
            body["system"] = _plain(system)
        if tools:
            body["tools"] = tools
        if choice is not None:
            body["tool_choice"] = choice
        if thinking.config is not None:
            body["thinking"] = thinking.config
        self._sample(body, thinking)
        self._configure(body, thinking)
        self._label(body)
        self._repeat(body)
        if self._marks.refused:
            self._dropped["cache"] = None
        return body

    def _check(self) -> None:
        """Note what the model cannot do, and what this format cannot say at all."""
        request, facts = self._request, self._facts
        parts = [part for message in request.messages for part in message.parts]
        inner = [part for result in parts if isinstance(result, ToolResult) for part in result.content]
        kinds = {type(part).__name__ for part in (*parts, *inner)}
        schema, choice = request.output and request.output.schema, request.tool_choice
        for able, asked, reason in (
            (facts.images, "Image" in kinds, reasons.IMAGES),
            (facts.documents, "Document" in kinds, reasons.DOCUMENTS),
            (facts.tools, request.tools or "ToolUse" in kinds, reasons.TOOLS),
            (facts.json_output, schema is not None, reasons.SCHEMA),
            (facts.forced_tool, choice and choice.forces, reasons.FORCED_CALL),
            (bool(request.tools), choice and choice.forces, reasons.NO_TOOLS),
        ):
            if asked and not able:
                self._reasons[reason] = None
        for name in _UNKNOWN:
            if asks(request, name):
                self._dropped[name] = None
        if any(message.name for message in request.messages):
            self._dropped["name"] = None

    # ---- the conversation

    def _turns(self) -> list[Block]:
        instructed = self._facts.system_turns and self._carrier.system_turns
        content = self._content
        said: list[Block] = [
            {"role": message.role.value, "content": blocks}
            for message in self._request.messages
            if (blocks := _plain_blocks(message) or content.blocks(message.parts, message.role))
        ]
        turns = _joined(_placed(_joined(said), taken=instructed))
        for turn in turns:
            if turn["role"] == "user":
                turn["content"].sort(key=lambda block: block["type"] != "tool_result")
        if turns and turns[-1]["role"] == "assistant":
            self._prefill(turns[-1]["content"])
        if (cache := self._request.cache) and turns and self._facts.cache and not self._carrier.prompt_mark:
            _mark_last(turns, mark(cache))
        return turns

    def _prefill(self, content: list[Block]) -> None:
        """Make the last turn, which the model is to continue, one that it can."""
        if not self._facts.prefill:
            self._reasons[reasons.CONTINUED_TURN] = None
        if content[-1]["type"] == "text":  # the API refuses white space at its end
            content[-1] = {**content[-1], "text": content[-1]["text"].rstrip()}

    # ---- tools

    def _tools(self) -> tuple[list[Block], Block | None]:
        """Return the tools, and the choice among them."""
        asked = self._request.tool_choice
        choice = asked.choice if asked else None
        allowed = set(asked.allowed) if asked else set()
        tools = [self._tool(tool) for tool in self._request.tools if not allowed or tool.name in allowed]
        if not tools:
            # Calls in the history need their tools, though no more of them are wanted.
            tools = [{"name": name, "input_schema": _NO_SCHEMA} for name in self._called()]
            return tools, {"type": "none"} if tools else None
        if choice is None and self._request.parallel is not False:
            return tools, None
        said: Block = {"type": _CHOICES[choice or Choice.AUTO]}
        if asked and choice is Choice.TOOL:
            said["name"] = self._content.names.of(asked.name)
        if self._request.parallel is False and choice is not Choice.NONE:
            said["disable_parallel_tool_use"] = True
        return tools, said

    def _tool(self, tool: Tool) -> Block:
        if tool.native is not None:
            return self._marks.put(_MEMBERS.decode(tool.native), tool.cache)
        block: Block = {"name": self._content.names.of(tool.name)}
        if tool.description:
            block["description"] = tool.description
        block["input_schema"] = _schema(tool.schema)
        if tool.strict and self._facts.json_output:
            block["strict"] = True
        elif tool.strict:  # it is the same machinery
            self._dropped["strict"] = None
        return self._marks.put(block, tool.cache)

    def _called(self) -> Iterable[str]:
        parts = [part for message in self._request.messages for part in message.parts]
        names = [self._content.names.of(part.name) for part in parts if isinstance(part, ToolUse)]
        return dict.fromkeys(names or ["tool"] * any(isinstance(part, ToolResult) for part in parts))

    # ---- settings

    def _thinking(self, turns: list[Block], choice: Block | None) -> Plan:
        request = self._request
        circumstances = Circumstances(
            native=request.format in NATIVE,
            max_tokens=request.max_tokens,
            # Where no forced call is taken at all, that has been said.
            forced=self._facts.forced_tool and choice is not None and choice["type"] in {"any", "tool"},
            prefill=bool(turns) and turns[-1]["role"] == "assistant",
            thoughtless_loop=_is_thoughtless_loop(turns),
        )
        try:
            thinking = plan(request.reasoning, self._facts, circumstances)
        except UnservedError as error:
            self._reasons.update(dict.fromkeys(error.reasons))
            return Plan(None, "", 0)
        if thinking.dropped:
            self._dropped["reasoning"] = None
        return thinking

    def _sample(self, body: dict[str, Any], thinking: Plan) -> None:
        request = self._request
        sampling = {"temperature": request.temperature, "top_p": request.top_p, "top_k": request.top_k}
        asked = {name: value for name, value in sampling.items() if value is not None}
        if self._strict or not self._facts.sampling:
            refused = asked
        elif thinking.thinks:
            refused = {name: value for name, value in asked.items() if name != "top_p" or value < _MIN_TOP_P}
        elif "temperature" in asked and "top_p" in asked:
            refused = {"top_p": asked["top_p"]}  # newer models take one of the two
        else:
            refused = {}
        for name, value in asked.items():
            if name not in refused:
                body[name] = min(max(value, 0), 1) if name != "top_k" else value
            elif asks(request, name):
                self._dropped[name] = None

    def _configure(self, body: dict[str, Any], thinking: Plan) -> None:
        request = self._request
        config: dict[str, Any] = {"effort": thinking.effort} if thinking.effort else {}
        if request.output is not None and request.output.schema is not None:
            config["format"] = {"type": "json_schema", "schema": request.output.schema}
        elif request.output is not None:
            self._dropped["output"] = None
        if config:
            body["output_config"] = config
        if stop := [text for text in request.stop if text.strip()]:
            body["stop_sequences"] = stop
        if len(stop) < len(request.stop):
            self._dropped["stop"] = None

    def _label(self, body: dict[str, Any]) -> None:
        """Say whose request it is and how it is to be treated."""
        request = self._request
        if request.user:
            body["metadata"] = {"user_id": request.user}
        if request.tier in self._carrier.tiers:
            body["service_tier"] = request.tier
        elif asks(request, "tier"):
            self._dropped["tier"] = None
        if request.cache and self._facts.cache and self._carrier.prompt_mark:
            body["cache_control"] = mark(request.cache)

    def _repeat(self, body: dict[str, Any]) -> None:
        """Say again what nobody here knows, if the client has said it to an API of the same format."""
        for name, raw in self._request.extra.items():
            member, _, inner = name.partition(".")
            if self._request.format != self._carrier.name or (inner and member != "output_config"):
                self._dropped[name] = None
            elif inner:
                body.setdefault(member, {})[inner] = raw
            else:
                body[member] = raw


def _schema(schema: msgspec.Raw | None) -> msgspec.Raw | dict[str, Any]:
    """Return a tool's schema; whole, but the API wants it to say that it is of an object."""
    if schema is None:
        return _NO_SCHEMA
    try:
        members = _MEMBERS.decode(schema)
    except msgspec.DecodeError:
        return _NO_SCHEMA
    return schema if "type" in members else {"type": "object", **members}


def _joined(turns: list[Block]) -> list[Block]:
    """Return ``turns`` with those of one role that follow each other in one."""
    joined: list[Block] = []
    for turn in turns:
        if joined and joined[-1]["role"] == turn["role"]:
            joined[-1]["content"] += turn["content"]
        else:
            joined.append(turn)
    return joined


def _placed(turns: list[Block], *, taken: bool) -> list[Block]:
    """Return ``turns`` with the system's as the user's where they are not taken, or not there."""
    roles = ["", *[turn["role"] for turn in turns], "assistant"]
    if "system" not in roles:
        return turns
    legal = ("user", "system", "assistant") if taken else ()
    return [
        {"role": "user", "content": [_instruction(block) for block in turn["content"]]}
        if around[1] == "system" and around != legal
        else turn
        for turn, around in zip(turns, zip(roles, roles[1:], roles[2:], strict=False), strict=False)
    ]


def _instruction(block: Block) -> Block:
    """Return a block of the system's as the user says it."""
    return {**block, "text": instruction(block["text"])} if "text" in block else block


def _plain_blocks(message: Message) -> list[Block]:
    """Return the block of a message that is a text with nothing beside it: most are, in long conversations too."""
    part = message.parts[0] if len(message.parts) == 1 else None
    if not isinstance(part, Text) or part.citations is not None or part.cache is not None or not part.text.strip():
        return []
    return [{"type": "text", "text": part.text}]


def _short(turn: Block) -> Block:
    return {"role": turn["role"], "content": _plain(turn["content"])}


def _plain(blocks: list[Block]) -> str | list[Block]:
    """Return ``blocks``, or the text that they are if they are no more than that."""
    if len(blocks) == 1 and len(blocks[0]) == 2 and "text" in blocks[0]:  # the other one is its type
        text: str = blocks[0]["text"]
        return text
    return blocks


def _mark_last(turns: list[Block], cache_control: Block) -> None:
    for turn in reversed(turns):
        content = turn["content"]
        for index in reversed(range(len(content))):
            if content[index]["type"] not in {"thinking", "redacted_thinking"}:
                content[index] = {**content[index], "cache_control": cache_control}
                return


def _is_thoughtless_loop(turns: list[Block]) -> bool:
    """Return whether the last turns are calls and their results, and no thought came before the calls."""
    if len(turns) < 2 or turns[-1]["content"][0]["type"] != "tool_result":
        return False
    content = turns[-2]["content"]
    return turns[-2]["role"] == "assistant" and content[0]["type"] not in {"thinking", "redacted_thinking"}
