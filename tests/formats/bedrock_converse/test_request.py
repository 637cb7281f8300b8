"""Requests of Converse, read: as boto3's serializer writes them, and as nobody should."""

from __future__ import annotations

import base64
import json
from typing import Any

import botocore.session
import msgspec
import pytest
from botocore.serialize import create_serializer
from hypothesis import given
from hypothesis import strategies as st

from hydrallm.formats.bedrock_converse_codec import BedrockConverseCodec
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
    Target,
    Text,
    Thinking,
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
    UntranslatableError,
)
from hydrallm.formats.facts import Facts

CODEC = BedrockConverseCodec()
MODEL = botocore.session.get_session().get_service_model("bedrock-runtime")
OPERATION = MODEL.operation_model("Converse")
EFFORTS = ("low", "medium", "high", "xhigh", "max")
CLAUDE = Target("us.anthropic.claude-sonnet-4-5-20250929-v1:0", Facts(budget=True, efforts=EFFORTS))
PNG = b"\x89PNG\r\n\x1a\n"
PNG64 = base64.b64encode(PNG).decode()


def sent(**params: Any) -> bytes:  # noqa: ANN401 - botocore has no types
    """Return the body that boto3 sends."""
    request = create_serializer("rest-json").serialize_to_request({"modelId": "m", **params}, OPERATION)
    body: bytes = request["body"]
    return body


def read(body: bytes) -> Request:
    return CODEC.read_request(body, model="m", stream=True)


def asked(**params: Any) -> Request:  # noqa: ANN401 - botocore has no types
    return read(sent(messages=[{"role": "user", "content": [{"text": "hi"}]}], **params))


def said(*content: dict[str, Any]) -> tuple[Request, tuple[Part, ...]]:
    request = read(sent(messages=[{"role": "user", "content": list(content)}]))
    return request, request.messages[0].parts


def test_a_request() -> None:
    request = asked(
        system=[{"text": "be kind"}, {"cachePoint": {"type": "default", "ttl": "1h"}}],
        inferenceConfig={"maxTokens": 9, "temperature": 0.5, "topP": 0.9, "stopSequences": ["END"]},
        toolConfig={
            "tools": [
                {
                    "toolSpec": {
                        "name": "f",
                        "description": "does",
                        "inputSchema": {"json": {"type": "object", "x": 1}},
                        "strict": True,
                    }
                },
                {"cachePoint": {"type": "default"}},
            ],
            "toolChoice": {"tool": {"name": "f"}},
        },
        outputConfig={
            "textFormat": {
                "type": "json_schema",
                "structure": {"jsonSchema": {"schema": '{"type": "object"}', "name": "n", "description": "d"}},
            }
        },
        requestMetadata={"user_id": "bob", "team": "a"},
        serviceTier={"type": "flex"},
        performanceConfig={"latency": "optimized"},
    )
    assert msgspec.structs.replace(request, names={}) == Request(
        format="bedrock-converse",
        model="m",
        stream=True,
        system=(Text("be kind", cache=Cache("1h")),),
        messages=(Message(Role.USER, (Text("hi"),)),),
        tools=(Tool("f", "does", request.tools[0].schema, strict=True, cache=Cache()),),
        tool_choice=ToolChoice(Choice.TOOL, "f"),
        max_tokens=9,
        temperature=0.5,
        top_p=0.9,
        stop=("END",),
        output=JsonOutput(request.output.schema if request.output else None, "n", "d"),
        user="bob",
        metadata={"team": "a"},
        tier="flex",
        extra={"performanceConfig": request.extra["performanceConfig"]},
    )
    assert msgspec.json.decode(request.tools[0].schema or b"") == {"type": "object", "x": 1}
    assert msgspec.json.decode((request.output and request.output.schema) or b"") == {"type": "object"}


@pytest.mark.parametrize(
    ("choice", "read_as"), [({"auto": {}}, ToolChoice(Choice.AUTO)), ({"any": {}}, ToolChoice(Choice.REQUIRED))]
)
def test_tool_choices(choice: dict[str, Any], read_as: ToolChoice) -> None:
    tool = {"toolSpec": {"name": "f", "inputSchema": {"json": {}}}}
    assert asked(toolConfig={"tools": [tool], "toolChoice": choice}).tool_choice == read_as


def test_blocks() -> None:
    request, parts = said(
        {"cachePoint": {"type": "default"}},
        {"text": "look"},
        {"image": {"format": "png", "source": {"bytes": PNG}}},
        {"cachePoint": {"type": "default", "ttl": "5m"}},
        {"document": {"format": "pdf", "name": "a", "source": {"bytes": b"%PDF"}, "citations": {"enabled": True}}},
        {"document": {"format": "txt", "name": "b", "source": {"bytes": "plän".encode()}, "context": "c"}},
        {"document": {"format": "txt", "name": "b", "source": {"bytes": b"\xff"}}},
        {"document": {"format": "txt", "name": "c", "source": {"text": "words"}}},
        {"document": {"name": "d", "source": {"content": [{"text": "one"}, {"text": "two"}]}}},
        {"searchResult": {"source": "http://h", "title": "t", "content": [{"text": "found"}]}},
        {"toolUse": {"toolUseId": "i", "name": "f", "input": {"a": [1, None]}}},
        {
            "toolResult": {
                "toolUseId": "i",
                "status": "error",
                "content": [{"json": {"b": 1}}, {"text": "t"}, {"image": {"format": "png", "source": {"bytes": PNG}}}],
            }
        },
        {"toolResult": {"toolUseId": "j", "status": "success", "content": []}},
        {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "c2ln"}}},
        {"cachePoint": {"type": "default"}},
        {"reasoningContent": {"redactedContent": b"enc"}},
        {"reasoningContent": {"reasoningText": {"text": "aloud"}}},
    )
    assert request.bound == ()
    assert parts == (
        Text("look"),
        Image(Source(data=PNG64, media_type="image/png"), cache=Cache("5m")),
        Document(
            Source(data=base64.b64encode(b"%PDF").decode(), media_type="application/pdf"), name="a", citations=True
        ),
        Document(text="plän", name="b", context="c"),
        Document(Source(data="/w==", media_type="text/plain"), name="b"),
        Document(text="words", name="c"),
        Document(text="one\n\ntwo", name="d"),
        Document(text="found", name="t", context="http://h"),
        ToolUse("i", "f", '{"a": [1, null]}'),
        ToolResult(
            "i", (Text('{"b": 1}'), Text("t"), Image(Source(data=PNG64, media_type="image/png"))), is_error=True
        ),
        ToolResult("j", (), is_error=False, cache=Cache()),
        Thinking("hm", "c2ln", maker="anthropic"),
        Thinking(redacted="ZW5j", maker="anthropic"),
        Thinking("aloud"),
    )


def test_cited_text_is_text_with_its_sources() -> None:
    citation = {"title": "t", "location": {"web": {"url": "http://h"}}}
    _, (part,) = said({"citationsContent": {"content": [{"text": "a"}, {"text": "b"}], "citations": [citation]}})
    assert isinstance(part, Text)
    assert part.text == "ab"
    assert json.loads(bytes(part.citations or b"")) == [citation]


@pytest.mark.parametrize(
    ("block", "reason"),
    [
        ({"image": {"format": "png", "source": {"s3Location": {"uri": "s3://b/x"}}}}, "an image in S3"),
        ({"document": {"name": "a", "source": {"s3Location": {"uri": "s3://b/x"}}}}, "a document in S3"),
        ({"video": {"format": "mp4", "source": {"bytes": b"v"}}}, "content of the type 'video'"),
        ({"audio": {"format": "mp3", "source": {"bytes": b"v"}}}, "content of the type 'audio'"),
        ({"guardContent": {"text": {"text": "x"}}}, "content of the type 'guardContent'"),
        ({"toolAddition": {"tool": {"name": "f"}}}, "content of the type 'toolAddition'"),
        (
            {"toolUse": {"toolUseId": "i", "name": "f", "input": {}, "type": "server_tool_use"}},
            "a call of a tool that AWS runs",
        ),
        (
            {"toolResult": {"toolUseId": "i", "content": [], "type": "web"}},
            "the result of a tool that AWS runs",
        ),
    ],
)
def test_blocks_that_only_converse_has(block: dict[str, Any], reason: str) -> None:
    request, parts = said({"text": "a"}, block)
    assert request.bound == (reason,)
    assert parts == (Text("a"),)


def test_every_kind_of_block_is_decided_on() -> None:
    known = {"text", "image", "document", "toolUse", "toolResult", "cachePoint", "reasoningContent",
             "citationsContent", "searchResult"}  # fmt: skip
    bound = {"video", "audio", "guardContent", "toolAddition", "toolRemoval"}
    assert set(MODEL.shape_for("ContentBlock").members) == known | bound


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        (
            {"guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1"}},
            "`guardrailConfig`, a guardrail of Bedrock's",
        ),
        ({"promptVariables": {"a": {"text": "b"}}}, "`promptVariables`, of a prompt that is stored at Bedrock"),
        (
            {"toolConfig": {"tools": [{"systemTool": {"name": "nova_grounding"}}], "toolChoice": {"any": {}}}},
            "a forced call of a tool that AWS runs",
        ),
        ({"system": [{"guardContent": {"text": {"text": "x"}}}]}, "content of the type 'guardContent'"),
    ],
)
def test_members_that_only_converse_has(params: dict[str, Any], reason: str) -> None:
    assert asked(**params).bound == (reason,)


def test_a_tool_that_aws_runs_is_done_without_if_it_is_only_offered() -> None:
    spec = {"toolSpec": {"name": "f", "inputSchema": {"json": {}}}}
    tools = [{"systemTool": {"name": "nova_grounding"}}, spec]
    choices: list[dict[str, Any]] = [{"auto": {}}, {"any": {}}, {"tool": {"name": "f"}}]
    for choice in choices:
        request = asked(toolConfig={"tools": tools, "toolChoice": choice})
        assert (request.bound, [tool.name for tool in request.tools]) == ((), ["f"])
        assert list(request.extra) == ["toolConfig.tools.systemTool"]


def test_every_member_is_decided_on() -> None:
    body = {"messages", "system", "inferenceConfig", "toolConfig", "additionalModelRequestFields", "requestMetadata",
            "serviceTier", "outputConfig"}  # fmt: skip
    bound, extra = {"guardrailConfig", "promptVariables"}, {"performanceConfig", "additionalModelResponseFieldPaths"}
    assert set(OPERATION.input_shape.members) - {"modelId"} == body | bound | extra


@pytest.mark.parametrize(
    ("fields", "members"),
    [
        (
            {"thinking": {"type": "enabled", "budget_tokens": 2000}},
            {"reasoning": Reasoning(enabled=True, budget=2000)},
        ),
        ({"thinking": {"type": "disabled"}}, {"reasoning": Reasoning(enabled=False)}),
        (
            {"thinking": {"type": "adaptive", "display": "omitted"}, "output_config": {"effort": "max"}},
            {"reasoning": Reasoning(enabled=True, adaptive=True, effort="max", display="omitted")},
        ),
        ({"reasoning_effort": "low"}, {"reasoning": Reasoning(effort="low")}),
        ({"reasoning": {"effort": "low"}}, {"reasoning": Reasoning(effort="low")}),
        (
            {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "high"}},
            {"reasoning": Reasoning(enabled=True, effort="high")},
        ),
        ({"top_k": 5}, {"top_k": 5}),
        ({"inferenceConfig": {"topK": 5}}, {"top_k": 5}),
        (
            {"tool_choice": {"type": "any", "disable_parallel_tool_use": True}},
            {"tool_choice": ToolChoice(Choice.REQUIRED), "parallel": False},
        ),
        ({"tool_choice": {"type": "tool", "name": "f"}}, {"tool_choice": ToolChoice(Choice.TOOL, "f")}),
    ],
)
def test_the_makers_own_fields(fields: dict[str, Any], members: dict[str, Any]) -> None:
    assert asked(additionalModelRequestFields=fields) == msgspec.structs.replace(asked(), **members)


@pytest.mark.parametrize(
    "fields",
    [{"mine": 1}, {"thinking": "much"}, {"top_k": "5"}, {"tool_choice": {"type": "new"}}, {"anthropic_beta": "a"}],
)
def test_fields_that_nobody_knows(fields: dict[str, Any]) -> None:
    ((name, value),) = fields.items()
    request = asked(additionalModelRequestFields=fields)
    assert {key: json.loads(bytes(raw)) for key, raw in request.extra.items()} == {
        f"additionalModelRequestFields.{name}": value
    }
    composed = json.loads(CODEC.compose(request, CLAUDE).body)
    assert composed["additionalModelRequestFields"] == fields


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "this is not a Converse request: the body is no JSON"),
        (b"[]", "this is not a Converse request: expected `object`, got `array`"),
        (b'{"messages":"hi"}', "this is not a Converse request: messages: expected `array`, got `str`"),
        (b'{"messages":[{"role":"user","content":"hi"}]}', "messages[0].content: expected `array`, got `str`"),
        (b'{"messages":[{"role":"tool","content":[]}]}', "messages[0].role: it is 'tool', but must be one of"),
        (b'{"messages":[{"role":"user","content":[{}]}]}', "messages[0].content[0]: exactly one member says what"),
        (b'{"messages":[{"role":"user","content":[{"text":"a","json":1}]}]}', "but it has json, text"),
        (b'{"messages":[{"role":"user","content":[{"text":1}]}]}', "messages[0].content[0].text: expected `str`"),
        (b'{"toolConfig":{"tools":[],"toolChoice":{"none":{}}}}', "toolConfig.toolChoice: it is 'none', but must be"),
        (b'{"additionalModelRequestFields":[]}', "additionalModelRequestFields: expected `object`, got `array`"),
        (b'{"inferenceConfig":{"temperature":1e400}}', "this is not a Converse request"),
        (
            b'{"outputConfig":{"textFormat":{"type":"json_schema","structure":{"jsonSchema":{"schema":"{"}}}}}',
            "outputConfig.textFormat.structure.jsonSchema.schema: ",
        ),
        (b'{"messages":' + b"[" * 5000, "nested too deep"),
        (b'{"x":"\xff"}', "this is not a Converse request"),
    ],
)
def test_what_is_no_request(body: bytes, message: str) -> None:
    with pytest.raises(UntranslatableError) as caught:
        read(body)
    assert message in str(caught.value)


def test_what_clients_send_all_the_same() -> None:
    block = b'{"text":"\\ud83d!","image":null}'
    request = read(b'\xef\xbb\xbf{"modelId":"m","system":null,"messages":[{"role":"user","content":[%b]}]}' % block)
    assert request.messages == (Message(Role.USER, (Text("?!"),)),)
    assert request.extra == {}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
MEMBERS = [*OPERATION.input_shape.members, *MODEL.shape_for("ContentBlock").members]
KNOWN = st.recursive(
    JSON,
    lambda inner: (
        st.dictionaries(st.sampled_from(MEMBERS), inner, max_size=4)
        | st.fixed_dictionaries(
            {"messages": st.lists(st.fixed_dictionaries({"role": st.just("user"), "content": inner}))}
        )
        | st.lists(inner, max_size=2)
    ),
    max_leaves=10,
)


@given(st.binary(max_size=50) | KNOWN.map(lambda value: json.dumps(value).encode()))
def test_nothing_but_an_untranslatable_error(body: bytes) -> None:
    try:
        request = read(body)
    except UntranslatableError:
        return
    assert request.format == "bedrock-converse"
