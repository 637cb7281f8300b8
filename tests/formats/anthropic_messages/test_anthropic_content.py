"""Pictures, documents and cache marks."""

from __future__ import annotations

import base64
import json

import msgspec
import pytest
from tests.formats.anthropic_messages.samples import (
    ASSISTANT,
    CALL,
    HI,
    INVOKE,
    PDF,
    PNG,
    STRICT,
    USER,
    Body,
    F,
    asked,
    composed,
    unserved,
)

from hydrallm.formats.canonical import (
    Cache,
    Document,
    Image,
    Message,
    Part,
    Source,
    Target,
    Text,
    ToolResult,
    UnservedError,
)
from hydrallm.formats.facts import Facts


def test_four_marks_at_most_and_the_last(body: Body) -> None:
    parts = tuple(Text(str(number), cache=Cache()) for number in range(5))
    request = asked(Message(USER, parts), system=(Text("s", cache=Cache()),))
    sent = body(request)
    assert "cache_control" in str(sent)
    assert [("cache_control" in block) for block in sent["messages"][0]["content"]] == [False, True, True, True, True]
    assert "cache_control" not in sent["system"]
    assert composed(request).dropped == ("cache",)


def test_a_model_without_marks(body: Body) -> None:
    request = asked(Message(USER, (Text("a", cache=Cache()),)), cache=Cache())
    assert "cache_control" not in str(body(request, Facts(cache=False)))
    assert composed(request, Facts(cache=False)).dropped == ("cache",)


def test_a_mark_for_the_whole_prompt(body: Body) -> None:
    request = asked(cache=Cache("1h"))
    mark = {"type": "ephemeral", "ttl": "1h"}
    assert body(request)["cache_control"] == mark
    sent = json.loads(INVOKE.compose(request, Target("claude", Facts())).body)
    assert "cache_control" not in sent, "Bedrock refuses it there"
    assert sent["messages"][0]["content"] == [{"type": "text", "text": "hi", "cache_control": mark}]


@pytest.mark.parametrize(
    ("part", "source"),
    [
        (Image(Source(url="https://x/i")), {"type": "url", "url": "https://x/i"}),
        (Document(Source(url="https://x/d")), {"type": "url", "url": "https://x/d"}),
        (Image(Source(data="/9j/4A")), {"type": "base64", "media_type": "image/jpeg", "data": "/9j/4A"}),
        (
            Image(Source(data="AA", media_type="image/jpg")),
            {"type": "base64", "media_type": "image/jpeg", "data": "AA"},
        ),
        (
            Document(Source(data="JVBERi0", media_type="application/octet-stream")),
            {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0"},
        ),
        (
            Document(Source(data=base64.b64encode("a,ä".encode()).decode(), media_type="text/csv")),
            {"type": "text", "media_type": "text/plain", "data": "a,ä"},
        ),
    ],
)
def test_sources(body: Body, part: Part, source: object) -> None:
    assert body(asked(Message(USER, (part,))))["messages"][0]["content"][0]["source"] == source


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        (Image(Source(data="AA", media_type="image/tiff")), "an image of the type image/tiff"),
        (Document(Source(data="AA", media_type="application/msword")), "a document of the type application/msword"),
        (Image(Source(file="file-1")), "the id of a file at another provider"),
    ],
)
def test_sources_that_cannot_be_said(part: Part, reason: str) -> None:
    assert unserved(asked(Message(USER, (part,)))) == (reason,)


def test_files_are_their_own_provider_s(body: Body) -> None:
    request = asked(Message(USER, (Image(Source(file="file_1")),)), format="anthropic-messages")
    assert body(request)["messages"][0]["content"][0]["source"] == {"type": "file", "file_id": "file_1"}
    with pytest.raises(UnservedError):
        INVOKE.compose(request, Target("claude", Facts()))


def test_bedrock_fetches_nothing() -> None:
    for part in (Image(Source(url="https://x")), Document(Source(url="https://x"))):
        with pytest.raises(UnservedError, match="the URL of a"):
            INVOKE.compose(asked(Message(USER, (part,))), Target("claude", Facts()))


def test_all_reasons_are_given_at_once() -> None:
    request = asked(
        Message(USER, (PNG, PDF)),
        Message(ASSISTANT, (PNG, CALL)),
        Message(USER, (ToolResult("t1", (PNG,)),)),
        tools=(F,),
    )
    assert set(unserved(request, Facts(images=False, documents=False, tools=False))) == {
        "the model takes no images",
        "the model takes no documents",
        "the model takes no tools",
        "an image or a document in an assistant's turn",
    }


def test_the_strict_version_of_the_api(body: Body) -> None:
    (reason,) = unserved(asked(HI, Message(ASSISTANT, (PDF,)), HI), version=STRICT)
    assert reason == "an image or a document in an assistant's turn"
    cited = Text("so", citations=msgspec.Raw(json.dumps([CITATION]).encode()))
    request = asked(Message(USER, (cited,)), Message(ASSISTANT, (cited,)), HI, format="anthropic-messages")
    turns = body(request, version=STRICT)["messages"]
    assert turns[0]["content"] == "so"
    assert turns[1]["content"][0]["citations"] == [CITATION]
    assert body(request)["messages"][0]["content"][0]["citations"] == [CITATION]


CITATION = {
    "type": "char_location",
    "cited_text": "s",
    "document_index": 0,
    "document_title": None,
    "end_char_index": 1,
    "start_char_index": 0,
}
