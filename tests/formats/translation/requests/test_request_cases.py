"""The nasty cases of requests between formats, one by one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from hydrallm.formats.canonical import Target, UnservedError, UntranslatableError
from hydrallm.formats.facts import Facts

if TYPE_CHECKING:
    from hydrallm.formats.codec import Codec

Codecs = dict[str, "Codec"]
Legal = Callable[[str, bytes], dict[str, Any]]

FORMATS = ("chat", "responses", "messages", "invoke", "converse")
CLAUDE = Target("us.anthropic.claude-sonnet-4-5-20250929-v1:0", Facts(budget=True))
GPT = Target("gpt", Facts(efforts=("low", "medium", "high")))
CLIENTS = pytest.mark.parametrize("client", FORMATS)
MODELS = pytest.mark.parametrize("model", FORMATS)

HISTORY: dict[str, Any] = {
    "model": "m",
    "max_tokens": 4000,
    "thinking": {"type": "enabled", "budget_tokens": 2000},
    "messages": [
        {"role": "user", "content": "hi"},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "", "signature": "c2ln"},
                {"type": "redacted_thinking", "data": "aGlkZGVu"},
                {"type": "text", "text": "Hello."},
            ],
        },
        {"role": "user", "content": "again"},
    ],
}


@pytest.mark.parametrize("model", ["messages", "invoke"])
def test_case_8_thoughts_without_words_go_back_to_their_maker(model: str, codecs: Codecs, legal: Legal) -> None:
    request = codecs["messages"].read_request(json.dumps(HISTORY).encode(), model="", stream=False)
    body = legal(model, codecs[model].compose(request, CLAUDE).body)
    assert body["messages"][1]["content"] == HISTORY["messages"][1]["content"]


def test_case_8_thoughts_without_words_go_back_by_converse(codecs: Codecs, legal: Legal) -> None:
    request = codecs["messages"].read_request(json.dumps(HISTORY).encode(), model="", stream=False)
    assert legal("converse", codecs["converse"].compose(request, CLAUDE).body)["messages"][1]["content"] == [
        {"reasoningContent": {"reasoningText": {"text": "", "signature": "c2ln"}}},
        {"reasoningContent": {"redactedContent": "aGlkZGVu"}},
        {"text": "Hello."},
    ]


@pytest.mark.parametrize("model", ["chat", "responses"])
def test_case_8_they_are_stripped_from_a_copy_for_another_maker(model: str, codecs: Codecs, legal: Legal) -> None:
    request = codecs["messages"].read_request(json.dumps(HISTORY).encode(), model="", stream=False)
    before = request.messages
    composed = codecs[model].compose(request, GPT)
    legal(model, composed.body)
    assert composed.dropped == ("thinking",)
    assert b"c2ln" not in composed.body
    assert b"aGlkZGVu" not in composed.body
    assert codecs["messages"].compose(request, CLAUDE).body.count(b"c2ln") == 1
    assert request.messages == before


@pytest.mark.parametrize(
    "odd",
    [
        b'{"model":"a","model":"b","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}',
        b'{"\\u006dodel":"a","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}',
        b'{"model":"a","max_tokens":9,"messages":[{"role":"user","content":"\\ud800"}]}',
        b'{"model":"a","max_tokens":1e400,"messages":[{"role":"user","content":"hi"}]}',
    ],
    ids=["twice", "escaped", "half a pair", "infinite"],
)
@CLIENTS
@MODELS
def test_case_11_odd_json_is_translated_legally_or_refused(
    model: str, client: str, odd: bytes, codecs: Codecs, legal: Legal
) -> None:
    try:
        request = codecs[client].read_request(odd, model="", stream=False)
        body = codecs[model].compose(request, GPT if model in {"chat", "responses"} else CLAUDE).body
    except (UntranslatableError, UnservedError):
        return  # said to the client as a 400, or the model is skipped; nothing else may come of it
    legal(model, body)
    assert b"1e400" not in body.lower()
    assert b"Infinity" not in body


@pytest.mark.parametrize(
    ("client", "said", "model"),
    [
        ("messages", {"max_tokens": 9, "stop_sequences": list("abcde")}, "chat"),
        (
            "chat",
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "image_url", "image_url": {"url": "https://a.example/b.png"}}],
                    }
                ]
            },
            "converse",
        ),
    ],
    ids=["five stops for Chat", "an image's URL for Converse"],
)
def test_case_12_what_a_format_cannot_say_is_refused_with_a_reason(
    client: str, said: dict[str, Any], model: str, codecs: Codecs, legal: Legal
) -> None:
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}], **said}).encode()
    legal(client, body)
    request = codecs[client].read_request(body, model="", stream=False)
    with pytest.raises(UnservedError):
        codecs[model].compose(request, GPT if model == "chat" else CLAUDE)


@pytest.mark.parametrize("said", [{"n": 2}, {"logprobs": True}, {"modalities": ["audio"]}])
def test_case_12_two_answers_are_for_chat_alone(said: dict[str, Any], codecs: Codecs, legal: Legal) -> None:
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}], **said}).encode()
    legal("chat", body)
    assert codecs["chat"].read_request(body, model="", stream=False).bound


def test_case_13_a_history_of_tools_without_tools_for_converse(codecs: Codecs, legal: Legal) -> None:
    calls = [{"id": f"call_{n}", "type": "function", "function": {"name": "weather", "arguments": "{}"}} for n in "ab"]
    messages = [
        {"role": "user", "content": "hi"},
        {"role": "user", "content": " "},
        {"role": "assistant", "content": "", "tool_calls": calls},
        {"role": "tool", "tool_call_id": "call_a", "content": "rain"},
        {"role": "tool", "tool_call_id": "call_b", "content": "sun"},
    ]
    body = json.dumps({"model": "m", "messages": messages}).encode()
    legal("chat", body)
    request = codecs["chat"].read_request(body, model="", stream=False)
    sent = legal("converse", codecs["converse"].compose(request, CLAUDE).body)
    assert [spec["toolSpec"]["name"] for spec in sent["toolConfig"]["tools"]] == ["weather"]
    assert [message["role"] for message in sent["messages"]] == ["user", "assistant", "user"]
    assert sent["messages"][0]["content"] == [{"text": "hi"}]
    assert [next(iter(block)) for block in sent["messages"][1]["content"]] == ["toolUse", "toolUse"]
    assert [block["toolResult"]["toolUseId"] for block in sent["messages"][2]["content"]] == ["call_a", "call_b"]


MARKED: dict[str, dict[str, Any]] = {
    "messages": {
        "model": "m",
        "max_tokens": 4000,
        "system": [{"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral"}}],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "long", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
                    {"type": "text", "text": "hi"},
                ],
            }
        ],
    },
    "converse": {
        "system": [{"text": "Be kind."}, {"cachePoint": {"type": "default"}}],
        "messages": [
            {
                "role": "user",
                "content": [{"text": "long"}, {"cachePoint": {"type": "default", "ttl": "1h"}}, {"text": "hi"}],
            }
        ],
    },
}


@pytest.mark.parametrize("client", MARKED)
@pytest.mark.parametrize("model", MARKED)
def test_cache_marks_stay_where_they_are(model: str, client: str, codecs: Codecs, legal: Legal) -> None:
    body = json.dumps(MARKED[client]).encode()
    legal(client, body)
    sent = legal(model, codecs[model].compose(codecs[client].read_request(body, model="", stream=False), CLAUDE).body)
    assert (sent["system"], sent["messages"]) == (MARKED[model]["system"], MARKED[model]["messages"])


@pytest.mark.parametrize("client", MARKED)
@pytest.mark.parametrize("model", ["chat", "responses"])
def test_cache_marks_are_dropped_where_there_are_none(model: str, client: str, codecs: Codecs, legal: Legal) -> None:
    request = codecs[client].read_request(json.dumps(MARKED[client]).encode(), model="", stream=False)
    composed = codecs[model].compose(request, GPT)
    assert "cache" not in json.dumps(legal(model, composed.body))
    assert composed.dropped == ({"messages": "cache_control", "converse": "cachePoint"}[client],)
