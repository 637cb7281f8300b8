"""Answers nested deeper than a parser goes: they are answers unless an error stands on top."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from hydrallm.formats import answer
from hydrallm.formats.base import Problem

if TYPE_CHECKING:
    from collections.abc import Callable

EXAMINES = [
    answer.examine_chat,
    answer.examine_completion,
    answer.examine_response,
    answer.examine_message,
    answer.examine_count,
    answer.examine_invoke,
    answer.examine_converse,
]
EACH = pytest.mark.parametrize("examine", EXAMINES, ids=lambda examine: examine.__name__)
DEEP = b"[" * 100_000 + b"]" * 100_000
GOOD = (
    b'"choices":[{"message":{"content":"x"}}],"content":[],"type":"message","input_tokens":3,'
    b'"output":{"message":{}},"stopReason":"end_turn"'
)


@EACH
@pytest.mark.parametrize(
    "body", [b'{%b,"x":%b}' % (GOOD, DEEP), b'{"x":%b,%b}' % (DEEP, GOOD), b'{"error":null,"x":%b}' % DEEP, DEEP]
)
def test_what_is_too_deep_to_tell_is_passed_on(examine: Callable[[bytes], Problem | None], body: bytes) -> None:
    assert examine(body) is None


@EACH
@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b'{"error":{"message":"m","code":429},"x":%b}' % DEEP, Problem(429, "", "429", "m")),
        (b'\xef\xbb\xbf {"a":[1,{"b":","}],"x":%b , "error" : {"message":"m"} }' % DEEP, Problem(message="m")),
        (b'{"x":"}\\"]","y":%b,"type":"error","message":"m"}' % DEEP, Problem(message="m")),
        (b'{"error":%b}' % DEEP, Problem(message="(nested too deep to read)")),
        (b'{"x":1,"error":{"message":%b},"y":2}' % DEEP, Problem(message="(nested too deep to read)")),
        (b'{"success":false,"msg":"m","x":%b}' % DEEP, Problem(message="m")),
        (b'{"error":{"message":"m"},"x":%b' % (DEEP * 4), Problem(message="m")),
    ],
)
def test_an_error_on_top_of_it_is_an_error(
    examine: Callable[[bytes], Problem | None], body: bytes, problem: Problem
) -> None:
    assert examine(body) == problem


@EACH
def test_around_the_depth_at_which_parsers_give_up_nothing_raises(
    examine: Callable[[bytes], Problem | None],
) -> None:
    for depth in range(850, 1050):
        deep = b'{"a":' * depth + b"1" + b"}" * depth
        assert examine(b'{"error":%b}' % deep) is not None
        assert examine(b'{"error":{"message":"m"},"x":%b}' % deep) == Problem(message="m")


@pytest.mark.parametrize("filling", [b"[" * 8_000_000, b'"x\\"' * 2_000_000, b"1," * 4_000_000, b"\\" * 8_000_000])
def test_the_work_is_bounded(filling: bytes) -> None:
    started = time.process_time()
    answer.examine_chat(b'{"x":' + b"[" * 2_000 + b"]" * 2_000 + b',"y":"' + filling)
    answer.examine_chat(b'{"x":' + b"[" * 2_000 + b"]" * 2_000 + b',"y":[' + filling)
    assert time.process_time() - started < 1.0
