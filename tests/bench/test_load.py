from __future__ import annotations

import pytest

from bench.errors import BenchError
from bench.load import Outcome, outcome

SAID = """Running 1s test @ http://127.0.0.1:9
  1 threads and 32 connections
bench requests={requests} microseconds=2000000 statuses={statuses} sockets={sockets} timeouts={timeouts} p50=150 p99=900
"""


def test_what_wrk_says_is_read_in_seconds() -> None:
    assert outcome(SAID.format(requests=2000, statuses=0, sockets=0, timeouts=0)) == Outcome(2000, 2.0, 0.00015, 0.0009)


@pytest.mark.parametrize(("wrong", "words"), [
    ("statuses", "1 had a status of failure"),
    ("sockets", "1 connections broke"),
    ("timeouts", "1 no answer in time"),
])  # fmt: skip
def test_a_run_with_failures_is_no_figure(wrong: str, words: str) -> None:
    with pytest.raises(BenchError, match=words):
        outcome(SAID.format(**{"requests": 2000, "statuses": 0, "sockets": 0, "timeouts": 0} | {wrong: 1}))


def test_a_run_without_an_answer_is_no_figure() -> None:
    with pytest.raises(BenchError, match=r"no request was answered within 2\.0 s; --seconds"):
        outcome(SAID.format(requests=0, statuses=0, sockets=0, timeouts=0))


def test_what_wrk_says_instead_is_shown() -> None:
    with pytest.raises(BenchError, match="unable to connect"):
        outcome("unable to connect to 127.0.0.1:9 Connection refused\n")
