"""A tool's call and its result, there and back: a program sends back what its SDK gave it, as the SDKs' manuals say."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.e2e.translation.conftest import spoken, streaming, whole
from tests.e2e.translation.scenes import FORMATS, SCENES
from tests.formats.translation.conftest import check_request
from tests.formats.translation.requests.conftest import told
from tests.formats.translation.test_answers import ANSWERS, THOUGHT, expected

if TYPE_CHECKING:
    from tests.e2e.translation.conftest import Stage

pytestmark = pytest.mark.asyncio(loop_scope="session")

CLAUDES = ("messages", "invoke", "converse")
IN_SUITE = {("chat", "messages"), ("messages", "chat"), ("responses", "converse"), ("invoke", "responses")}
PAIRS = [
    pytest.param(client, model, marks=[] if (client, model) in IN_SUITE else [pytest.mark.matrix])
    for client in FORMATS
    for model in FORMATS
]
RESULT = {"call_1": "rain", "call_2": "noon"}
SEAL = b"c2ln"
"""The signature of the canned thoughts."""


def next_turn(client: str, body: dict[str, Any], answer: Any) -> dict[str, Any]:  # noqa: ANN401 - the SDK's
    """Return the request that goes on after ``answer``, whose calls have had their results."""
    match client:
        case "chat":
            said = answer.choices[0].message
            results = [
                {"role": "tool", "tool_call_id": call.id, "content": RESULT[call.id]} for call in said.tool_calls
            ]
            return body | {"messages": [*body["messages"], said, *results]}
        case "responses":
            results = [
                {"type": "function_call_output", "call_id": item.call_id, "output": RESULT[item.call_id]}
                for item in answer.output
                if item.type == "function_call"
            ]
            asked = [{"role": "user", "content": body["input"]}]
            return body | {"input": [*asked, *answer.output, *results]}
        case "converse":
            message = answer["output"]["message"]
            ids = [block["toolUse"]["toolUseId"] for block in message["content"] if "toolUse" in block]
            results = [{"toolResult": {"toolUseId": id_, "content": [{"text": RESULT[id_]}]}} for id_ in ids]
            return body | {"messages": [*body["messages"], message, {"role": "user", "content": results}]}
        case _:
            ids = [block.id for block in answer.content if block.type == "tool_use"]
            results = [{"type": "tool_result", "tool_use_id": id_, "content": RESULT[id_]} for id_ in ids]
            said = {"role": "assistant", "content": answer.content}
            return body | {"messages": [*body["messages"], said, {"role": "user", "content": results}]}


def carried(client: str, model: str) -> bool:
    """Return whether a thought of ``model`` comes back to it with the next request of ``client``.

    A thought is taken back by its maker only, and only with its seal, for which Chat has no place. A Responses model's
    canned thoughts have none, so they are no more than what its own client sends.
    """
    return client == model or (model in CLAUDES and client != "chat")


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize("answer", ["one tool", "two tools", "thinking and a tool"])
@pytest.mark.parametrize(("client", "model"), PAIRS)
async def test_a_tool_s_result_finds_its_call(
    client: str, model: str, answer: str, streamed: bool, stage: Stage
) -> None:
    body = request(client, thinking="thinking" in answer)
    stage.play(answer, "text")
    first = await stage.ask(client, f"to-{model}", body, streamed=streamed)
    assert first.view == expected(answer, client)
    again = next_turn(client, body, first.answer)
    second = await stage.ask(client, f"to-{model}", again, streamed=streamed)
    assert second.view == expected("text", client)
    received = stage.provider.received[-1]
    assert [spoken(each) for each in stage.provider.received] == [model, model]
    if client == model:  # its bytes pass, with the empty text that a program may have got from a stream
        turns = [[part for part in turn if part] for turn in told(model, json.loads(received.body))["turns"]]
    else:
        turns = told(model, check_request(model, received.body))["turns"]
    parts: list[Any] = [part[1] if part[0] == "text" else part for part in first.view["parts"]]
    kept = [part for part in parts if part != THOUGHT or carried(client, model)]
    calls = [part for part in parts if part[0] == "call"]
    results = [["result", call[1], RESULT[call[1]]] for call in calls]
    assert turns == [["user", "hi"], ["assistant", *kept], ["user", *results]]
    sealed = THOUGHT in kept and model in CLAUDES
    assert (SEAL in received.body) == sealed
    assert b"hydrallm:" not in received.body


def request(client: str, *, thinking: bool) -> dict[str, Any]:
    """Return a question with two tools, and thinking if wanted."""
    tools = SCENES["one call at a time"].bodies
    body = dict(tools[client if client in tools else "messages"])
    for name in ("parallel_tool_calls", "tool_choice"):
        body.pop(name, None)
    if client == "converse":
        specs = [
            {"toolSpec": {"name": tool["name"], "inputSchema": {"json": tool["input_schema"]}}}
            for tool in body["tools"]
        ]
        body = SCENES["thinking"].bodies[client] | {"toolConfig": {"tools": specs}}
        del body["additionalModelRequestFields"]
    if thinking:
        asked = SCENES["thinking"].bodies[client]
        body |= {name: asked[name] for name in asked if name not in body}
    return body


PATCH = "*** Begin Patch"


def patching(name: str) -> dict[str, Any]:
    """Return the canned call of a tool as one of a tool that has to be given free text."""
    told_ = json.dumps(ANSWERS["one tool"][name])
    for word, other in (("weather", "patch"), ("city", "input"), ("Oslo", PATCH)):
        told_ = told_.replace(word, other)
    answer: dict[str, Any] = json.loads(told_)
    return answer


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize("model", ["messages", "invoke", "converse"])
async def test_a_tool_that_takes_free_text(model: str, streamed: bool, stage: Stage) -> None:
    """Codex's ``apply_patch`` is such a tool; elsewhere it is a function with one text."""
    stage.fail(whole(patching(model), model, streamed=streamed))
    asked = {"input": "hi", "tools": [{"type": "custom", "name": "patch"}], "model": f"to-{model}"}
    calls = await asyncio.to_thread(custom_calls, stage, asked, streamed)
    assert [(call.call_id, call.name, call.input) for call in calls] == [("call_1", "patch", PATCH)]
    (received,) = stage.provider.received
    assert streaming(received) == streamed
    ((name, schema),) = told(model, check_request(model, received.body))["tools"]
    assert (name, schema["properties"].keys()) == ("patch", {"input"})
    result = {"type": "custom_tool_call_output", "call_id": "call_1", "output": "done"}
    again = asked | {"input": [{"role": "user", "content": "hi"}, *calls, result]}
    await asyncio.to_thread(custom_calls, stage, again, streamed)
    turns = told(model, check_request(model, stage.provider.received[-1].body))["turns"]
    called = ["assistant", ["call", "call_1", "patch", {"input": PATCH}]]
    assert turns == [["user", "hi"], called, ["user", ["result", "call_1", "done"]]]


def custom_calls(stage: Stage, asked: dict[str, Any], streamed: bool) -> list[Any]:
    """Return the calls of free-text tools in an answer."""
    sdk: Any = stage.sdks.openai.responses
    if streamed:
        with sdk.stream(**asked) as stream:
            answer = stream.get_final_response()
    else:
        answer = sdk.create(**asked)
    return [item for item in answer.output if item.type == "custom_tool_call"]
