"""A conversation composed for Converse; the judge is AWS's service model (see conftest)."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from hydrallm.formats.canonical import (
    Cache,
    Choice,
    Composed,
    Document,
    Image,
    Message,
    Part,
    Request,
    Role,
    Source,
    Text,
    Thinking,
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
)
from hydrallm.formats.facts import Facts

Compose = Callable[..., tuple[dict[str, Any], Composed]]
Refused = Callable[..., tuple[str, ...]]

CLAUDE, NOVA = "us.anthropic.claude-sonnet-4-5-20250929-v1:0", "us.amazon.nova-pro-v1:0"
LLAMA = "us.meta.llama3-3-70b-instruct-v1:0"
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()
HELLO = Message(Role.USER, (Text("hello"),))
SCHEMA = {"type": "object", "properties": {"x": {"type": "integer"}}}
TOOL = Tool("look", "looks", msgspec.Raw(msgspec.json.encode(SCHEMA)))
CALLED = (
    HELLO,
    Message(Role.ASSISTANT, (ToolUse("call-1", "look", '{"x": 1}'),)),
    Message(Role.USER, (ToolResult("call-1", (Text("seen"),)),)),
)


def ask(*messages: Message, **members: Any) -> Request:  # noqa: ANN401 - any member of a Request
    return Request(format="openai-chat", messages=messages or (HELLO,), **members)


def user(*parts: Part) -> Message:
    return Message(Role.USER, parts)


def test_a_conversation(compose: Compose) -> None:
    system = (Text("be kind"), Text(" "), Text("be brief", cache=Cache("1h")))
    wire, composed = compose(ask(*CALLED, system=system, tools=(TOOL,)))
    assert wire == {
        "system": [{"text": "be kind"}, {"text": "be brief"}, {"cachePoint": {"type": "default", "ttl": "1h"}}],
        "toolConfig": {
            "tools": [{"toolSpec": {"name": "look", "description": "looks", "inputSchema": {"json": SCHEMA}}}],
        },
        "messages": [
            {"role": "user", "content": [{"text": "hello"}]},
            {"role": "assistant", "content": [{"toolUse": {"toolUseId": "call-1", "name": "look", "input": {"x": 1}}}]},
            {"role": "user", "content": [{"toolResult": {"toolUseId": "call-1", "content": [{"text": "seen"}]}}]},
        ],
    }
    assert composed == Composed(composed.body)


def test_case_13_tools_in_the_history_and_none_in_the_request(compose: Compose) -> None:
    parallel = (
        HELLO,
        Message(Role.ASSISTANT, (Text("\n"), ToolUse("a", "look", ""), ToolUse("b", "go", "{}"))),
        user(Text("and then?"), ToolResult("a", (Text(""),), is_error=True)),
        user(ToolResult("b", (), is_error=False)),
    )
    wire, composed = compose(ask(*parallel), LLAMA)
    assert [tool["toolSpec"]["name"] for tool in wire["toolConfig"]["tools"]] == ["look", "go"]
    assert [block["toolUse"]["input"] for block in wire["messages"][1]["content"]] == [{}, {}]
    assert wire["messages"][2]["content"] == [
        {"toolResult": {"toolUseId": "a", "content": [{"text": ""}], "status": "error"}},
        {"toolResult": {"toolUseId": "b", "content": [], "status": "success"}},
        {"text": "and then?"},
    ]
    assert composed.dropped == ()
    assert compose(ask(*parallel))[0]["additionalModelRequestFields"] == {"tool_choice": {"type": "none"}}


def test_instructions_in_the_middle_stay_where_they_are(compose: Compose) -> None:
    talk = (
        HELLO,
        Message(Role.ASSISTANT, (Text("yes?"),)),
        Message(Role.SYSTEM, (Text("be brief"),)),
        user(Text("go")),
    )
    wire, _ = compose(ask(*talk))
    told = {"text": "<system>\nbe brief\n</system>"}
    assert wire["messages"][2] == {"role": "user", "content": [told, {"text": "go"}]}


def test_a_conversation_that_begins_with_the_assistant(compose: Compose) -> None:
    wire, _ = compose(ask(Message(Role.ASSISTANT, (Text("Welcome!"),)), HELLO))
    assert [message["role"] for message in wire["messages"]] == ["user", "assistant", "user"]


@pytest.mark.parametrize("messages", [(), (user(),), (user(Text(" \n")),), (Message(Role.ASSISTANT, (Text(""),)),)])
def test_no_conversation(refused: Refused, messages: tuple[Message, ...]) -> None:
    request = Request(format="openai-chat", messages=messages)
    assert refused(request) == ("a conversation without a word in it",)


def test_instructions_alone_are_a_question(compose: Compose) -> None:
    wire, _ = compose(Request(format="openai-chat", system=(Text("do it"),)))
    assert wire["messages"] == [{"role": "user", "content": [{"text": "do it"}]}]
    assert "system" not in wire


def test_a_turn_to_be_continued(compose: Compose, refused: Refused) -> None:
    begun = ask(HELLO, Message(Role.ASSISTANT, (Text("Once upon \n"),)))
    assert compose(begun)[0]["messages"][1]["content"] == [{"text": "Once upon"}]
    assert refused(begun, facts=Facts(prefill=False)) == ("the model does not continue an assistant's turn",)


def test_thoughts_of_others_are_stripped_from_the_copy(compose: Compose) -> None:
    thoughts = (
        Thinking("mine", "c2ln", maker="anthropic"),
        Thinking(redacted="ZW5j", maker="anthropic"),
        Thinking("unsigned", maker="anthropic"),
        Thinking("theirs", "b3BlbmFp", maker="openai"),
    )
    request = ask(HELLO, Message(Role.ASSISTANT, (*thoughts, Text("hi"))), HELLO)
    assert compose(request)[1].dropped == ("thinking",)
    assert compose(request)[0]["messages"][1]["content"] == [
        {"reasoningContent": {"reasoningText": {"text": "mine", "signature": "c2ln"}}},
        {"reasoningContent": {"redactedContent": "ZW5j"}},
        {"text": "hi"},
    ]
    assert compose(request, NOVA)[0]["messages"][1]["content"] == [{"text": "hi"}]
    assert compose(ask(HELLO, Message(Role.ASSISTANT, thoughts), HELLO), NOVA)[0]["messages"] == [
        {"role": "user", "content": [{"text": "hello"}, {"text": "hello"}]}
    ]


@pytest.mark.parametrize("name", ["a.b", "x" * 65, "ü", "", "mcp__server__tool:1"])
def test_names_and_ids_are_mapped_reversibly(compose: Compose, name: str) -> None:
    history = (HELLO, Message(Role.ASSISTANT, (ToolUse(name, name, "{}"),)), user(ToolResult(name, (Text("1"),))))
    tools = (Tool(name), Tool("other"))
    wire, composed = compose(ask(*history, tools=tools, tool_choice=ToolChoice(Choice.TOOL, name)))
    use = wire["messages"][1]["content"][0]["toolUse"]
    assert composed.names == {use["name"]: name}
    assert composed.ids == {use["toolUseId"]: name}
    assert wire["messages"][2]["content"][0]["toolResult"]["toolUseId"] == use["toolUseId"]
    assert wire["toolConfig"]["toolChoice"] == {"tool": {"name": use["name"]}}
    assert wire["toolConfig"]["tools"][0]["toolSpec"]["name"] == use["name"]


def test_a_long_history_is_composed_alike_every_turn(compose: Compose) -> None:
    once, again = compose(ask(*CALLED, tools=(Tool("a.b"),)))[0], compose(ask(*CALLED, HELLO, tools=(Tool("a.b"),)))[0]
    assert once["toolConfig"] == again["toolConfig"]
    assert once["messages"][:2] == again["messages"][:2]


def test_images(compose: Compose) -> None:
    sources = (Source(data=PNG, media_type="image/jpg"), Source(data=PNG), Source(data=PNG, media_type="image/webp"))
    wire, composed = compose(ask(user(*(Image(source, "high") for source in sources))))
    assert [block["image"]["format"] for block in wire["messages"][0]["content"]] == ["jpeg", "png", "webp"]
    assert composed.dropped == ("detail",)


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        (Image(Source(url="https://h/x.png")), "the URL of an image"),
        (Image(Source(file="file-1")), "the id of a file at another provider"),
        (Image(Source(media_type="image/png")), "there is nothing in the image"),
        (Image(Source(data=PNG, media_type="image/tiff")), "an image of the type image/tiff"),
        (Image(Source(data="A" * 5_300_000)), "the image is larger than the 3.75 MB that Converse takes"),
        (
            Document(Source(url="https://h/x.pdf", media_type="application/pdf")),
            "the URL of a document",
        ),
        (Document(Source(data="AA==", media_type="application/zip")), "a document of the type application/zip"),
        (
            Document(Source(data="A" * 6_300_000, media_type="application/pdf")),
            "the document is larger than the 4.5 MB",
        ),
    ],
)
def test_case_12_parts_that_cannot_be_said(refused: Refused, part: Part, reason: str) -> None:
    (found,) = refused(ask(user(Text("look"), part)))
    assert found.startswith(reason)


def test_all_reasons_at_once(refused: Refused) -> None:
    many = user(*(Image(Source(data=PNG)) for _ in range(21)), *(Document(text="x") for _ in range(6)))
    facts = Facts(images=False, documents=False, tools=False)
    assert refused(ask(many, tools=(TOOL,)), facts=facts) == (
        "the model takes no tools",
        "Converse takes at most 20 images in a turn",
        "Converse takes at most 5 documents in a turn",
        "the model takes no images",
        "the model takes no documents",
    )


def test_documents(compose: Compose) -> None:
    pdf = Source(data="JVBERg==", media_type="application/pdf")
    documents = (
        Document(pdf, name="  My  report (v2) [x].pdf!"),
        Document(pdf, name="My report (v2) [x] pdf"),
        Document(text="plain", name="x" * 300, context="why", citations=True),
        Document(Source(data="YQ==", media_type="text/x-python"), name=""),
        Document(Source(data="YQ=="), name="table.csv"),
    )
    wire, _ = compose(ask(user(*documents)))
    said = [block["document"] for block in wire["messages"][0]["content"][:-1]]
    assert [document["format"] for document in said] == ["pdf", "pdf", "txt", "txt", "csv"]
    assert [document["name"] for document in said[:2]] == ["My report (v2) [x] pdf", "My report (v2) [x] pdf 2"]
    assert (said[2]["context"], said[2]["citations"]) == ("why", {"enabled": True})
    assert base64.b64decode(said[2]["source"]["bytes"]) == b"plain"
    allowed = re.compile(r"(?!.*\s\s)[a-zA-Z0-9\s()\[\]-]+")
    assert all(allowed.fullmatch(document["name"]) for document in said)
    assert len({document["name"] for document in said}) == len(said)


def test_images_of_the_assistant(refused: Refused) -> None:
    request = ask(HELLO, Message(Role.ASSISTANT, (Image(Source(data=PNG)),)), HELLO)
    assert refused(request) == ("an image or a document in an assistant's turn",)


def test_a_result_with_an_image(compose: Compose) -> None:
    result = ToolResult("call-1", (Text("here:"), Image(Source(data=PNG), cache=Cache())))
    wire, _ = compose(ask(*CALLED[:2], user(result), tools=(TOOL,)))
    assert wire["messages"][2]["content"] == [
        {
            "toolResult": {
                "toolUseId": "call-1",
                "content": [{"text": "here:"}, {"image": {"format": "png", "source": {"bytes": PNG}}}],
            }
        },
        {"cachePoint": {"type": "default"}},
    ]


def test_cache_marks_come_after_what_they_mark(compose: Compose) -> None:
    mark = Cache("5m")
    request = ask(
        user(Text("a", cache=mark), Text(" ", cache=Cache("1h")), Text("b")),
        tools=(msgspec.structs.replace(TOOL, cache=mark),),
        cache=Cache(),
    )
    wire, _ = compose(request)
    assert wire["messages"][0]["content"] == [
        {"text": "a"},
        {"cachePoint": {"type": "default", "ttl": "1h"}},
        {"text": "b"},
        {"cachePoint": {"type": "default"}},
    ]
    assert wire["toolConfig"]["tools"][1] == {"cachePoint": {"type": "default", "ttl": "5m"}}
    bare, composed = compose(request, facts=Facts(cache=False))
    assert "cachePoint" not in json.dumps(bare)
    assert composed.dropped == ("cache",)


def test_the_last_four_marks_stay(compose: Compose) -> None:
    tool = msgspec.structs.replace(TOOL, cache=Cache())
    five = user(*(Text(word, cache=Cache()) for word in "abcd"))
    wire, composed = compose(ask(five, tools=(tool,)))
    assert len(wire["toolConfig"]["tools"]) == 1, "it has no mark after it"
    assert json.dumps(wire["messages"]).count("cachePoint") == 4
    assert composed.dropped == ("cache",)


def test_a_mark_on_the_whole_prompt_is_not_one_too_many(compose: Compose) -> None:
    four = user(*(Text(word, cache=Cache()) for word in "abcd"))
    wire, _ = compose(ask(four, Message(Role.ASSISTANT, (Text("yes"),)), HELLO, cache=Cache()))
    assert json.dumps(wire).count("cachePoint") == 4
