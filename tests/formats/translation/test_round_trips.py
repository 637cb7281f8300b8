"""There and back: what a client must find again in its answer, and a model in the client's next request."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from hydrallm.formats.canonical import Target, Text, Thinking, ToolUse
from hydrallm.formats.canonical_answer import (
    Added,
    Answer,
    Ended,
    PartEnded,
    PartStarted,
    Started,
    Stop,
    Stopped,
    Usage,
    Used,
)
from hydrallm.formats.codec import Asked
from hydrallm.formats.facts import Facts

if TYPE_CHECKING:
    from hydrallm.formats.canonical_answer import Event
    from hydrallm.formats.codec import Codec

Codecs = dict[str, "Codec"]
Seen = Callable[..., dict[str, Any]]
Legal = Callable[[str, bytes], dict[str, Any]]

FORMATS = ("chat", "responses", "messages", "invoke", "converse")
CLAUDES = ("messages", "invoke", "converse")
CLIENTS = pytest.mark.parametrize("client", FORMATS)
MODELS = pytest.mark.parametrize("model", FORMATS)
CLAUDE = Target("us.anthropic.claude-sonnet-4-5-20250929-v1:0", Facts(budget=True))
GPT = Target("gpt", Facts(efforts=("low", "medium", "high")))
TARGETS = {name: CLAUDE if name in CLAUDES else GPT for name in FORMATS}

NAME = "weather.of/the city of Oslo " + "x" * 60
ID = "toolu:1/" + "y" * 70
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
ARGUMENTS = {"city": "Oslo"}


def openai_call(client: str) -> list[dict[str, Any]]:
    told = json.dumps(ARGUMENTS)
    if client == "chat":
        called = {"id": ID, "type": "function", "function": {"name": NAME, "arguments": told}}
        said = {"role": "assistant", "content": None, "tool_calls": [called]}
        return [said, {"role": "tool", "tool_call_id": ID, "content": "rain"}]
    item = {"type": "function_call", "call_id": ID, "name": NAME, "arguments": told}
    return [item, {"type": "function_call_output", "call_id": ID, "output": "rain"}]


def odd_request(client: str) -> bytes:
    """Return a request with a tool and a call whose name and id not every format allows."""
    hi: dict[str, Any] = {"role": "user", "content": "hi"}
    function = {"name": NAME, "parameters": SCHEMA}
    used = {"type": "tool_use", "id": ID, "name": NAME, "input": ARGUMENTS}
    result = {"type": "tool_result", "tool_use_id": ID, "content": "rain"}
    turns = [hi, {"role": "assistant", "content": [used]}, {"role": "user", "content": [result]}]
    tools = [{"name": NAME, "input_schema": SCHEMA}]
    bodies: dict[str, dict[str, Any]] = {
        "chat": {
            "model": "m",
            "messages": [hi, *openai_call("chat")],
            "tools": [{"type": "function", "function": function}],
        },
        "responses": {
            "model": "m",
            "input": [hi, *openai_call("responses")],
            "tools": [{"type": "function", **function, "strict": False}],
        },
        "messages": {"model": "m", "max_tokens": 4000, "messages": turns, "tools": tools},
        "invoke": {
            "anthropic_version": "bedrock-2023-05-31",
            "max_tokens": 4000,
            "messages": turns,
            "tools": tools,
        },
        "converse": {
            "messages": [
                {"role": "user", "content": [{"text": "hi"}]},
                {
                    "role": "assistant",
                    "content": [{"toolUse": {"toolUseId": ID, "name": NAME, "input": ARGUMENTS}}],
                },
                {"role": "user", "content": [{"toolResult": {"toolUseId": ID, "content": [{"text": "rain"}]}}]},
            ],
            "toolConfig": {"tools": [{"toolSpec": {"name": NAME, "inputSchema": {"json": SCHEMA}}}]},
        },
    }
    return json.dumps(bodies[client]).encode()


@MODELS
@CLIENTS
def test_a_client_finds_its_own_names_and_ids_again(client: str, model: str, codecs: Codecs, seen: Seen) -> None:
    request = codecs[client].read_request(odd_request(client), model="m", stream=False)
    composed = codecs[model].compose(request, TARGETS[model])
    sent = codecs[model].read_request(composed.body, model="m", stream=False)
    (tool,) = sent.tools
    # The model calls the tool by the name that it was told, and (as one that continues) by the id.
    (used,) = [part for message in sent.messages for part in message.parts if isinstance(part, ToolUse)]
    assert used.name == tool.name
    answer = Answer(
        "a", "up", (ToolUse(used.id, tool.name, json.dumps(ARGUMENTS)),), Stop.TOOL_USE, usage=Usage(1, output=1)
    )
    from_model = codecs[model].read_answer(codecs[model].write_answer(answer, Asked("m", "0123456789abcdef", 0)))
    asked = Asked("m", "0123456789abcdef", 0, names=composed.names, ids=composed.ids)
    view = seen(client, codecs[client].write_answer(from_model, asked), streamed=False)
    assert view["parts"] == [["call", ID, NAME, ARGUMENTS]]
    events: list[Event] = [Started("a", "up"), PartStarted(0, ToolUse(used.id, tool.name, ""))]
    events += [Added(0, json.dumps(ARGUMENTS)), PartEnded(0), Used(answer.usage), Stopped(Stop.TOOL_USE), Ended()]
    stream = codecs[model].writer(Asked("m", "0123456789abcdef", 0)).feed(events)
    again = codecs[client].writer(asked).feed(codecs[model].reader().feed(stream))
    assert seen(client, again, streamed=True)["parts"] == [["call", ID, NAME, ARGUMENTS]]


@MODELS
@CLIENTS
def test_odd_names_and_ids_are_made_legal(client: str, model: str, codecs: Codecs, legal: Legal) -> None:
    request = codecs[client].read_request(odd_request(client), model="m", stream=False)
    body = legal(model, codecs[model].compose(request, TARGETS[model]).body)
    told = json.dumps(body)
    # Chat, Responses and Converse demand [a-zA-Z0-9_-]{1,64}; Messages {1,128}, and as much of an id.
    assert NAME not in told
    if model in CLAUDES:
        assert ID not in told


MADE_UP = ["functions.search:0", "chatcmpl-tool-0123456789abcdef0123456789abcdef", "a" * 100, "call 1/é"]
"""Ids of calls, as some servers make them up."""
LONGEST = {"chat": 40, "responses": 64, "messages": 256, "invoke": 256, "converse": 64}


@CLIENTS
@pytest.mark.parametrize("made_up", MADE_UP)
def test_the_id_of_a_call_is_one_that_the_client_s_format_takes_back(
    client: str, made_up: str, codecs: Codecs, seen: Seen
) -> None:
    asked, called = Asked("m", "0123456789abcdef", 0), ToolUse(made_up, "f", "{}")
    answer = Answer("a", "up", (called,), Stop.TOOL_USE, usage=Usage(1, output=1))
    (part,) = seen(client, codecs[client].write_answer(answer, asked), streamed=False)["parts"]
    allowed = r"[\x20-\U0010FFFF]+" if client in {"chat", "responses"} else r"[a-zA-Z0-9_-]+"
    assert re.fullmatch(allowed, part[1])
    assert len(part[1]) <= LONGEST[client]
    events: list[Event] = [Started("a", "up"), PartStarted(0, called), PartEnded(0), Used(answer.usage)]
    stream = codecs[client].writer(asked).feed([*events, Stopped(Stop.TOOL_USE), Ended()])
    assert seen(client, stream, streamed=True)["parts"] == [part], "plain and streamed, it is the same"


def next_request(client: str, answer: dict[str, Any]) -> bytes:
    """Return what a client asks next: it sends the answer back as it was, and goes on."""
    hi, again = {"role": "user", "content": "hi"}, {"role": "user", "content": "again"}
    budget = {"type": "enabled", "budget_tokens": 2000}
    match client:
        case "chat":
            turns = [hi, answer["choices"][0]["message"], again]
            return json.dumps({"model": "m", "reasoning_effort": "high", "messages": turns}).encode()
        case "responses":
            turns = [hi, *answer["output"], again]
            return json.dumps({"model": "m", "reasoning": {"effort": "high"}, "input": turns, "store": False}).encode()
        case "converse":
            turns = [
                {"role": "user", "content": [{"text": "hi"}]},
                answer["output"]["message"],
                {"role": "user", "content": [{"text": "again"}]},
            ]
            return json.dumps({"messages": turns, "additionalModelRequestFields": {"thinking": budget}}).encode()
        case _:
            turns = [hi, {"role": "assistant", "content": answer["content"]}, again]
            top = {"model": "m"} if client == "messages" else {"anthropic_version": "bedrock-2023-05-31"}
            return json.dumps({**top, "max_tokens": 4000, "thinking": budget, "messages": turns}).encode()


SIGNED = Thinking("Rain, probably.", "c2lnbmVk", maker="anthropic")
HIDDEN = Thinking(redacted="aGlkZGVu", maker="anthropic")
ENCRYPTED = Thinking("Rain, probably.", "ZW5jcnlwdGVk", maker="openai", id="rs_1")
THOUGHTS = {"signed": (SIGNED, "messages"), "redacted": (HIDDEN, "messages"), "encrypted": (ENCRYPTED, "responses")}


def kept(codecs: Codecs, client: str, thought: Thinking, model: str) -> tuple[bytes, bytes]:
    """Return a client's next request after an answer with a thought, and what it is for ``model``."""
    answer = Answer("msg_1", "up", (thought, Text("It rains.")), Stop.END, usage=Usage(1, output=1))
    asked = Asked("m", "0123456789abcdef", 0)
    body = next_request(client, json.loads(codecs[client].write_answer(answer, asked)))
    request = codecs[client].read_request(body, model="m", stream=False)
    return body, codecs[model].compose(request, TARGETS[model]).body


CARRIED = [(client, name) for client in ("responses", "messages", "invoke", "converse") for name in THOUGHTS]
"""What clients can send back: Chat has no place for a seal."""

SHOWN_TO_OTHERS = [
    (model, client, name)
    for model in FORMATS
    for client in FORMATS
    for name, (thought, _) in THOUGHTS.items()
    if (thought.maker == "anthropic") != (model in CLAUDES)
]


@pytest.mark.parametrize(("client", "name"), CARRIED)
def test_a_thought_comes_back_to_its_maker(client: str, name: str, codecs: Codecs, legal: Legal) -> None:
    thought, model = THOUGHTS[name]
    body, composed = kept(codecs, client, thought, model)
    legal(client, body)
    legal(model, composed)
    assert (thought.signature or thought.redacted).encode() in composed
    assert thought.text.encode() in composed
    assert b"hydrallm:" not in composed


@pytest.mark.parametrize(("model", "client", "name"), SHOWN_TO_OTHERS)
def test_nobody_else_is_shown_a_thought_s_seal(
    model: str, client: str, name: str, codecs: Codecs, legal: Legal
) -> None:
    thought, _ = THOUGHTS[name]
    _, composed = kept(codecs, client, thought, model)
    legal(model, composed)
    assert (thought.signature or thought.redacted).encode() not in composed
    assert b"hydrallm:" not in composed
