from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from hydrallm.formats.thought_removal import without_thoughts

OWN = {"type": "thinking", "thinking": "hm", "signature": "EqQB"}
FOREIGN = {"type": "thinking", "thinking": "hm", "signature": "hydrallm:openai:rs_1:gAAA"}
SEALED = {"type": "redacted_thinking", "data": "hydrallm:openai:rs_1:gAAA"}
TEXT = {"type": "text", "text": "hello"}
CALL = {"type": "tool_use", "id": "t", "name": "f", "input": {"n": 1}}
RESULT = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "1"}]}
ON, OFF = {"type": "enabled", "budget_tokens": 1024}, {"type": "disabled"}


def messages(*spoken: dict[str, Any], **more: object) -> dict[str, Any]:
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": [*spoken]}, RESULT]
    return {"model": "m", "max_tokens": 2048, "messages": turns} | more


def spoken(body: bytes | None) -> Any:  # noqa: ANN401 - JSON
    assert body is not None
    return json.loads(body)["messages"][1]["content"]


def test_only_foreign_thoughts_go_where_only_those_are_refused() -> None:
    body = json.dumps(messages(OWN, FOREIGN, TEXT, SEALED, CALL)).encode()
    assert spoken(without_thoughts(body, foreign=True)) == [OWN, TEXT, CALL]
    assert spoken(without_thoughts(body, foreign=False)) == [TEXT, CALL]


def test_what_is_no_thought_goes_on_as_the_bytes_that_it_was() -> None:
    odd = '{"type" : "tool_use","id":"t", "name":"f","input":{"n":12345678901234567890123, "x":0.1000,"x":"\\u00e9"}}'
    more = '{ "unknown" :[1e400] ,"role":"user", "content":[{"type":"server_thing", "type2":{}}]}'
    body = f'{{"messages":[{{"role":"assistant","content":[{json.dumps(FOREIGN)},{odd}]}},{more}],"top":1.50}}'.encode()
    cleared = without_thoughts(body, foreign=True)
    assert cleared is not None
    assert odd.encode() in cleared
    assert b'"unknown":[1e400]' in cleared
    assert b'"top":1.50' in cleared
    assert b"hydrallm" not in cleared


def test_a_turn_of_nothing_but_thoughts_goes_whole() -> None:
    cleared = without_thoughts(json.dumps(messages(FOREIGN)).encode(), foreign=True)
    assert cleared is not None
    assert [turn["role"] for turn in json.loads(cleared)["messages"]] == ["user", "user"]


@pytest.mark.parametrize(
    ("blocks", "thinking", "told"),
    [
        ([FOREIGN, CALL], ON, OFF),
        ([CALL], ON, OFF),
        ([OWN, CALL], ON, None),
        ([FOREIGN, TEXT], ON, ON),
        ([FOREIGN, CALL], {"type": "adaptive"}, {"type": "adaptive"}),
        ([CALL], OFF, None),
    ],
)
def test_without_the_thought_that_led_to_a_call_there_is_no_thinking(
    blocks: list[dict[str, Any]], thinking: dict[str, Any], told: dict[str, Any] | None
) -> None:
    cleared = without_thoughts(json.dumps(messages(*blocks, thinking=thinking)).encode(), foreign=True)
    assert (None if cleared is None else json.loads(cleared)["thinking"]) == told


def test_converse_says_it_in_its_own_way() -> None:
    signed = {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "hydrallm:openai:rs_1:gAAA"}}}
    redacted = {"reasoningContent": {"redactedContent": base64.b64encode(b"hydrallm:openai:rs_1:x").decode()}}
    own = {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "EqQB"}}}
    call = {"toolUse": {"toolUseId": "t", "name": "f", "input": {}}}
    turns = [{"role": "assistant", "content": [signed, redacted, own, call]}]
    fields = {"additionalModelRequestFields": {"thinking": ON, "top_k": 3}}
    body = json.dumps({"messages": turns} | fields).encode()
    cleared = without_thoughts(body, foreign=True)
    assert cleared is not None
    assert json.loads(cleared) == {"messages": [{"role": "assistant", "content": [own, call]}]} | fields
    cleared = without_thoughts(body, foreign=False)
    assert cleared is not None
    assert json.loads(cleared)["additionalModelRequestFields"] == {"thinking": OFF, "top_k": 3}


def test_responses_has_items() -> None:
    own = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}
    foreign = own | {"encrypted_content": "hydrallm:anthropic::EqQB"}
    said, tool = {"role": "user", "content": "hi"}, {"type": "web_search_call", "id": "ws_1"}
    body = json.dumps({"input": [said, own, foreign, tool], "tools": [{"type": "web_search"}]}).encode()
    cleared = without_thoughts(body, foreign=True)
    assert cleared is not None
    assert json.loads(cleared) == {"input": [said, own, tool], "tools": [{"type": "web_search"}]}


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{", b'{"messages":5}', b'{"messages":[5]}', b'{"messages":[{"role":"assistant","content":[5]}]}',
     b'{"input":"hydrallm:x:"}', b'{"messages":[{"role":"assistant","content":"hydrallm:x:"}]}', b"[" * 100_000,
     b'{"messages":[{"role":"assistant","content":[{"type":["thinking"]}]}]}', b'{"model":"\xff"}', b"{}"],
)  # fmt: skip
def test_what_cannot_be_read_or_has_no_thoughts_is_left_as_it_is(body: bytes) -> None:
    assert without_thoughts(body, foreign=True) is None
    assert without_thoughts(body, foreign=False) is None
