"""What providers really say, and the kind that it is.

``golden/errors.jsonl`` has the bodies, as documented or as users reported them, each with its status and, by hand, the
kind that it is where our own key was shown.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from hydrallm.formats.problem import read_problem
from hydrallm.policy import wording
from hydrallm.policy.classify import classify
from hydrallm.policy.kinds import Kind

GOLDEN = Path(__file__).parents[1] / "golden" / "errors.jsonl"
ERRORS: list[dict[str, Any]] = [json.loads(line) for line in GOLDEN.read_text(encoding="utf-8").splitlines()]
MESSAGES = [read_problem(400, [], json.dumps(error["body"]).encode()).message for error in ERRORS]
ROWS = (*wording.TELLING_ROWS, *wording.COMMON_ROWS)

OF_THE_REQUEST = {Kind.CLIENT_ERROR, Kind.UNSUPPORTED}
STATUS_SAYS_IT = {"Anthropic, model"}  # not_found_error, and "model: claude-9": nothing but the 404 says that it is one


def kind_of(status: int, body: object) -> Kind | None:
    problem = read_problem(status, [], json.dumps(body).encode())
    return classify(status, (problem.type, problem.code), problem.message, own_credential=True)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error["seen"])
def test_errors(error: dict[str, Any]) -> None:
    assert kind_of(error["status"], error["body"]) == error["kind"]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error["seen"])
def test_inside_a_success_they_are_the_same_but_for_faults_of_the_request(error: dict[str, Any]) -> None:
    kind = Kind(error["kind"])
    unknown = kind in OF_THE_REQUEST or error["seen"] in STATUS_SAYS_IT
    assert kind_of(200, error["body"]) is (None if unknown else kind)


def test_the_golden_errors_are_of_every_kind_that_an_api_can_put_a_word_to() -> None:
    assert {error["kind"] for error in ERRORS} >= {kind for kind, _, _ in ROWS} - {"unauthorized"}
    assert len({error["seen"] for error in ERRORS}) == len(ERRORS)


def test_what_a_message_quotes_is_not_what_it_says() -> None:
    quoted = "credit balance is too low; maximum context length; content management policy; invalid model"
    message = f"Invalid value for 'messages': {'x' * wording.START} {quoted}"
    assert classify(400, ("invalid_request_error", ""), message, own_credential=True) is Kind.CLIENT_ERROR


@pytest.mark.parametrize("row", wording.WORDINGS, ids=lambda row: row.pattern.pattern)
def test_every_pattern_finds_a_message_that_was_seen(row: wording.Wording) -> None:
    assert any(row.pattern.search(message[: wording.START]) for message in MESSAGES)


def test_every_name_stands_in_one_row() -> None:
    names = Counter(wording.bare(name) for _, said, _ in ROWS for name in said.split())
    assert [name for name, count in names.items() if count > 1] == []
    assert names.keys() == wording.TELLING.keys() | wording.COMMON.keys()


def test_every_row_is_of_a_kind_and_says_where_it_was_seen() -> None:
    for kind, _, seen in (*ROWS, *((row.kind, "", row.seen) for row in wording.WORDINGS)):
        assert kind in Kind
        assert seen


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("rate_limit_error", "RateLimitError"),
        ("throttlingException", "ThrottlingException"),
        ("PERMISSION_DENIED", "permission-denied"),
    ],
)
def test_spellings_of_a_name_are_the_same(one: str, other: str) -> None:
    assert wording.bare(one) == wording.bare(other)
    assert wording.bare(one) in wording.COMMON
