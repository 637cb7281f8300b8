from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrallm.supervisor.messages import Answer, Lines, Message, Notice, Question, Told, encode

IDS = st.integers(0, 2**53)
CONTENTS = st.recursive(st.none() | st.integers(-9, 9) | st.text(max_size=5), st.lists, max_leaves=5)
MESSAGES: st.SearchStrategy[Message] = st.one_of(
    st.builds(Notice, st.text(max_size=9), st.text(max_size=9)),
    st.builds(Question, IDS, st.text(max_size=9)),
    st.builds(Answer, IDS, CONTENTS.map(lambda value: msgspec.Raw(json.dumps(value).encode()))),
)


@given(st.lists(MESSAGES, max_size=5), st.lists(st.integers(1, 40)))
def test_messages_arrive_however_they_are_cut(messages: list[Message], cuts: list[int]) -> None:
    data = b"".join(map(encode, messages))
    lines = Lines()
    arrived: list[Message] = []
    for cut in cuts:
        arrived += lines.feed(data[:cut])
        data = data[cut:]
    arrived += lines.feed(data)
    assert [encode(message) for message in arrived] == [encode(message) for message in messages]


def test_each_message_is_one_line_of_json() -> None:
    content = msgspec.json.encode([Told(1, 77, "ready", msgspec.Raw(b'{"uptime":1.5}')), Told(2, 0, "dead")])
    line = encode(Answer(7, msgspec.Raw(content)))
    assert line.endswith(b"\n")
    assert json.loads(line) == {
        "type": "answer",
        "id": 7,
        "content": [
            {"worker": 1, "pid": 77, "state": "ready", "content": {"uptime": 1.5}},
            {"worker": 2, "pid": 0, "state": "dead", "content": None},
        ],
    }


@pytest.mark.parametrize("line", [b"{}", b"rubbish", b'{"type":"order"}', b'{"type":"question","id":"x","topic":""}'])
def test_what_is_no_message_is_an_error(line: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        Lines().feed(line + b"\n")
