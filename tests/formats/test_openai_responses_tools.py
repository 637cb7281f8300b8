"""Tools as Codex offers them: namespaces, and tools that OpenAI runs. OpenAI's SDK is the judge of what comes back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from openai.types.responses import Response, ResponseFunctionToolCall
from openai.types.responses.response_create_params import ResponseCreateParams
from pydantic import TypeAdapter

from hydrallm.formats.anthropic_messages_codec import AnthropicMessagesCodec
from hydrallm.formats.bedrock_converse_codec import BedrockConverseCodec
from hydrallm.formats.bedrock_invoke_codec import BedrockInvokeCodec
from hydrallm.formats.canonical import Choice, Request, Target, Text, ToolChoice, ToolUse
from hydrallm.formats.canonical_answer import Added, Answer, Ended, PartEnded, PartStarted, Started, Stop, Stopped
from hydrallm.formats.codec import Asked
from hydrallm.formats.facts import Facts
from hydrallm.formats.openai_chat_codec import OpenAIChatCodec
from hydrallm.formats.openai_responses_codec import OpenAIResponsesCodec

if TYPE_CHECKING:
    from hydrallm.formats.canonical_answer import Event
    from hydrallm.formats.codec import Codec

CODEC = OpenAIResponsesCodec()
MODELS: list[Codec] = [
    OpenAIChatCodec(),
    CODEC,
    AnthropicMessagesCodec(),
    BedrockInvokeCodec(),
    BedrockConverseCodec(),
]
EVERY = pytest.mark.parametrize("model", MODELS, ids=lambda codec: codec.name)
TARGET = Target("us.anthropic.claude-sonnet-4-5-20250929-v1:0", Facts())
PARAMS: TypeAdapter[Any] = TypeAdapter(ResponseCreateParams)


def function(name: str, description: str = "d") -> dict[str, Any]:
    schema = {"type": "object", "properties": {"code": {"type": "string"}}}
    return {"type": "function", "name": name, "description": description, "parameters": schema, "strict": False}


AGENTS = {
    "type": "namespace",
    "name": "multi_agent_v1",
    "description": "Other agents.",
    "tools": [function("spawn_agent", "Begins one."), function("wait", "Waits.")],
}
BROWSER = {"type": "namespace", "name": "mcp__browser", "description": "", "tools": [function("js")]}
CODEX: dict[str, Any] = {
    "model": "gpt-5.5-codex",
    "instructions": "Be an agent.",
    "input": [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "go"}]},
        {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "x"}},
        {
            "type": "function_call",
            "call_id": "call_1",
            "name": "js",
            "namespace": "mcp__browser",
            "arguments": '{"code":"1"}',
        },
        {"type": "function_call_output", "call_id": "call_1", "output": "1"},
    ],
    "tools": [function("shell"), AGENTS, BROWSER, {"type": "web_search"}],
    "tool_choice": "auto",
    "parallel_tool_calls": False,
    "store": False,
    "stream": True,
    "include": ["reasoning.encrypted_content"],
}


def read(**members: Any) -> Request:  # noqa: ANN401 - any JSON
    body = CODEX | members
    PARAMS.validate_python(body)
    return CODEC.read_request(json.dumps(body).encode(), model="", stream=False)


def test_a_tool_in_a_namespace_is_a_tool() -> None:
    request = read()
    assert request.bound == ()
    composed = MODELS[0].compose(request, TARGET)
    tools = [tool["function"] for tool in json.loads(composed.body)["tools"]]
    names = ["shell", "multi_agent_v1__spawn_agent", "multi_agent_v1__wait", "mcp__browser__js"]
    assert [tool["name"] for tool in tools] == names
    assert [tool["description"] for tool in tools] == ["d", "Other agents.\n\nBegins one.", "Waits.", "d"]
    assert all(tool["parameters"] == function("f")["parameters"] for tool in tools)


@EVERY
def test_its_calls_come_back_with_the_namespace(model: Codec) -> None:
    request = read()
    composed = model.compose(request, TARGET)
    assert set(composed.dropped) == {"tools.web_search", "input.web_search_call"}
    (call,) = [
        part
        for message in model.read_request(composed.body, model="m", stream=True).messages
        for part in message.parts
        if isinstance(part, ToolUse)
    ]
    assert call.name == "mcp__browser__js"
    # The model calls it again, and another one that is in no namespace.
    again, other = ToolUse("call_2", call.name, call.arguments), ToolUse("call_3", "shell", "{}")
    asked = Asked("m", "0123456789abcdef", 0, names=composed.names, ids=composed.ids, custom=composed.custom)
    body = CODEC.write_answer(Answer("a", "m", (again, other), Stop.TOOL_USE), asked)
    events: list[Event] = [Started("a", "m")]
    for index, part in enumerate((again, other)):
        events += [PartStarted(index, ToolUse(part.id, part.name, "")), Added(index, part.arguments), PartEnded(index)]
    stream = CODEC.writer(asked).feed([*events, Stopped(Stop.TOOL_USE), Ended()])
    sent = [json.loads(event.partition(b"data: ")[2]) for event in stream.split(b"\n\n")[:-1]]
    done = [event["item"] for event in sent if event["type"] == "response.output_item.done"]
    added = [event["item"] for event in sent if event["type"] == "response.output_item.added"]
    whole = Response.model_validate_json(body, strict=True).output
    last = Response.model_validate(sent[-1]["response"]).output
    for items in (whole, last, [ResponseFunctionToolCall.model_validate(item) for item in done]):
        first, second = items
        assert isinstance(first, ResponseFunctionToolCall)
        assert isinstance(second, ResponseFunctionToolCall)
        assert (first.namespace, first.name, first.arguments) == ("mcp__browser", "js", '{"code":"1"}')
        assert (second.namespace, second.name) == (None, "shell")
    assert (added[0]["namespace"], added[0]["name"], "namespace" in added[1]) == ("mcp__browser", "js", False)
    # The history that the client then sends is what the model has said.
    history = CODEX["input"] + [item.to_dict() for item in whole]
    assert read(input=history).messages[-1].parts[-2:] == (
        ToolUse("call_2", "mcp__browser\x1fjs", '{"code":"1"}'),
        ToolUse("call_3", "shell", "{}"),
    )


@pytest.mark.parametrize(
    "choice",
    [
        {"type": "function", "name": "js"},
        {"type": "function", "name": "js", "namespace": "mcp__browser"},
        {"type": "function", "namespace": "mcp__browser", "name": "js"},
    ],
)
def test_the_choice_of_a_tool_in_a_namespace(choice: dict[str, str]) -> None:
    assert read(tool_choice=choice).tool_choice == ToolChoice(Choice.TOOL, "mcp__browser\x1fjs")
    body = json.loads(MODELS[0].compose(read(tool_choice=choice), TARGET).body)
    assert body["tool_choice"] == {"type": "function", "function": {"name": "mcp__browser__js"}}


def test_a_tool_that_would_have_the_same_name_is_another_one() -> None:
    body = json.loads(MODELS[0].compose(read(tools=[BROWSER, function("mcp__browser__js")]), TARGET).body)
    names = [tool["function"]["name"] for tool in body["tools"]]
    assert len(set(names)) == 2
    assert body["messages"][2]["tool_calls"][0]["function"]["name"] == names[0]


def test_tools_that_were_loaded_in_the_conversation_are_tools() -> None:
    loaded = [
        *CODEX["input"],
        {"type": "tool_search_call", "call_id": "c", "arguments": {}, "execution": "client", "status": "completed"},
        {"type": "tool_search_output", "call_id": "c", "execution": "client", "tools": [function("late"), BROWSER]},
        {"type": "additional_tools", "role": "developer", "tools": [function("later")]},
    ]
    request = read(input=loaded, tools=[function("shell"), {"type": "tool_search"}])
    assert [tool.name for tool in request.tools] == ["shell", "late", "mcp__browser\x1fjs", "later"]
    assert set(request.extra) == {"tools.tool_search", "input.tool_search_call", "input.web_search_call"}
    assert request.bound == ()


HOSTED: list[dict[str, Any]] = [
    {"type": "web_search"},
    {"type": "web_search_preview"},
    {"type": "file_search", "vector_store_ids": ["vs_1"]},
    {"type": "code_interpreter", "container": {"type": "auto"}},
    {"type": "image_generation"},
    {"type": "mcp", "server_label": "a", "server_url": "https://a"},
]


@EVERY
@pytest.mark.parametrize("tool", HOSTED, ids=lambda tool: tool["type"])
def test_a_tool_that_openai_runs_is_dropped_if_it_is_only_offered(model: Codec, tool: dict[str, Any]) -> None:
    composed = model.compose(read(input="hi", tools=[tool, function("shell")]), TARGET)
    assert composed.dropped == (f"tools.{tool['type']}",)
    again = model.read_request(composed.body, model="m", stream=False)
    assert [known.name for known in again.tools] == ["shell"]


def test_what_is_allowed_of_them_is_nothing() -> None:
    allowed = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "web_search"}]}
    assert read(tool_choice=allowed).tool_choice == ToolChoice(Choice.NONE)
    allowed["tools"] = [{"type": "web_search"}, {"type": "function", "name": "shell"}]
    assert read(tool_choice=allowed).tool_choice == ToolChoice(Choice.AUTO, allowed=("shell",))


def test_what_came_of_them_is_left_out_of_the_conversation() -> None:
    request = read()
    kinds = [type(part) for message in request.messages for part in message.parts]
    assert kinds.count(ToolUse) == 1
    assert request.messages[0].parts == (Text("go"),)
