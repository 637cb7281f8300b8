"""What providers really say, and the kind that it is.

``golden/errors.jsonl`` has the bodies, as documented or as users reported them, each with its status and, by hand, the
kind that it is where our own key was shown.
"""

from __future__ import annotations

import json
import time
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


PHRASES = [
    "insufficient balance",
    "credit balance is too low",
    "payment required",
    "model x does not exist",
    "invalid model",
    "API key not valid",
    "server busy",
    "too many requests",
]


@pytest.mark.parametrize("phrase", PHRASES)
@pytest.mark.parametrize("status", [400, 422, 500])
@pytest.mark.parametrize(
    "message",
    [
        "Invalid schema for function '{}': not an object",
        'Tool "{}" was not found in the list of tools',
        "No tool is called `{}`, only `get_weather`",
        "No tool is called \u201c{}\u201d",
        "Tool 'it's {}' is not one",
        "Tool 'a' {} 'b' is not one",
        "Tool '{} and so on, until it is cut",
        "Could not fetch https://example.com/{}/x",
        "tools.0.{}: Extra inputs are not permitted",
        "Unknown field: {}",
    ],
)
def test_no_name_that_a_client_has_made_up_speaks_against_the_model(message: str, status: int, phrase: str) -> None:
    if "https:" in message:
        phrase = phrase.replace(" ", "%20")
    said = classify(status, ("invalid_request_error", ""), message.format(phrase), own_credential=True)
    assert said is (Kind.SERVER if status == 500 else Kind.CLIENT_ERROR)


@pytest.mark.parametrize("phrase", PHRASES)
@pytest.mark.parametrize("name", ["unknown_parameter", "invalid_value", "UnsupportedParameter", "invalid_type"])
def test_an_error_that_blames_the_request_says_nothing_against_the_model(name: str, phrase: str) -> None:
    for status, kind in ((400, Kind.CLIENT_ERROR), (404, Kind.UNSUPPORTED), (0, None)):
        assert classify(status, ("invalid_request_error", name), phrase, own_credential=True) is kind
    length = "This model's maximum context length is 8 tokens."
    assert classify(400, ("", name), length, own_credential=True) is Kind.CONTEXT_LENGTH


@pytest.mark.parametrize(
    ("message", "rest"),
    [
        ("the model 'm' isn't there, it's gone", "the model '_' isn't there, it's gone"),
        ("your team's users' credit", "your team's users' credit"),
        ("a `b` c `d` e", "a '_' e"),
        ("POST /v1/x, (GET v1/models/y) or https://h/z; no", "POST _, (GET _ or _; no"),
        ("models/gemini-9 is not found", "models/gemini-9 is not found"),
        ("", ""),
    ],
)
def test_what_is_left_without_quotations_and_paths(message: str, rest: str) -> None:
    assert wording.unquoted(message) == rest


@pytest.mark.parametrize("piece", ["'", "'a ", '"`', "/", "a/ ", "\\", "a"])
def test_finding_quotations_takes_no_longer_for_odd_ones(piece: str) -> None:
    started = time.process_time()
    for _ in range(20):
        wording.unquoted((piece * wording.START)[: wording.START])
    assert time.process_time() - started < 0.5


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
