"""Replies as data: what a TOML or JSON script decodes to, and what is refused."""

from __future__ import annotations

import tomllib
from typing import get_args

import msgspec
import pytest

from hydrallm.faults.script import Answer, Cut, Fail, Flood, Hang, Malformed, Raw, Reply, Stall, StreamError

SCRIPT = """
[[replies]]
reply = "fail"
status = 429
headers = { retry-after = "1" }

[[replies]]
reply = "cut"
at = "inside_event"
events = 3
how = "rst"
delay = 0.5

[[replies]]
reply = "answer"
interim = [103]
"""


def test_a_toml_script_decodes_to_replies() -> None:
    replies = msgspec.convert(tomllib.loads(SCRIPT)["replies"], list[Reply])
    assert replies == [
        Fail(status=429, headers={"retry-after": "1"}),
        Cut(at="inside_event", events=3, how="rst", delay=0.5),
        Answer(interim=(103,)),
    ]


@pytest.mark.parametrize(
    "reply",
    [Answer(), Fail(), Hang(), Cut(), Stall(), StreamError(), Malformed(), Flood(), Raw(data="\x00\xff")],
    ids=lambda reply: type(reply).__name__,
)
def test_every_reply_survives_json(reply: Reply) -> None:
    assert msgspec.json.decode(msgspec.json.encode(reply), type=Reply) == reply


def test_the_cases_above_are_all_the_replies_there_are() -> None:
    assert set(get_args(Reply)) == {Answer, Fail, Hang, Cut, Stall, StreamError, Malformed, Flood, Raw}


@pytest.mark.parametrize(
    "table",
    [
        {"reply": "explode"},
        {"reply": "fail", "status": 99},
        {"reply": "fail", "stauts": 500},
        {"reply": "cut", "at": "somewhere"},
        {"reply": "answer", "delay": -1.0},
        {"reply": "answer", "interim": [200]},
        {"status": 500},
    ],
    ids=str,
)
def test_what_is_no_reply_is_refused(table: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(table, Reply)
