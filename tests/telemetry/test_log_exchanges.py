"""The lines that the log has for attempts, exchanges and models."""

from __future__ import annotations

import datetime
import io
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hydrallm.message import Request
from hydrallm.policy.breaker import State
from hydrallm.policy.kinds import Kind
from hydrallm.secret import Secret
from hydrallm.telemetry.log import LEVELS, Level, Log
from hydrallm.telemetry.masking import Mask
from hydrallm.telemetry.records import AttemptRecord, CredentialChange, ExchangeRecord, ModelChange, Shed

NOW = datetime.datetime(2026, 11, 22, 13, 34, 5, 123456, tzinfo=datetime.UTC)
KEY = "canary/0123+456"
STEERING = "\x1b]0;owned\x07\x9b31m\r\n\t\b\x7f\u202e\u2028\u0085\ud800\x00"

anything = st.text(st.characters(codec=None, categories=None), max_size=40)


def log(stream: io.StringIO, style: str = "json", level: Level = Level.DEBUG) -> Log:
    return Log(stream, level, style, Mask([Secret(KEY)]), now=lambda: NOW)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def exchange(**changes: Any) -> ExchangeRecord:  # noqa: ANN401 - any field
    record = ExchangeRecord(0.0, "0194e3", "POST", "/v1/chat/completions", "openai-chat", "gpt-client")
    record.attempts.append(AttemptRecord(1, "openai", "gpt-4o", 0.5, 1.25))
    for name, value in changes.items():
        setattr(record, name, value)
    return record


def test_what_was_turned_away_is_one_line_with_the_number_and_none_for_each() -> None:
    stream = io.StringIO()
    one = log(stream)
    for _ in range(1000):
        one.exchange_ended(exchange(outcome="shed", status=503, detail="9 requests are being answered"))
    one.shed(Shed("server.max_exchanges", "9 requests are being answered", 1000))
    assert lines(stream) == [
        {
            "time": "2026-11-22T13:34:05.123+00:00",
            "level": "warn",
            "message": "overloaded: 9 requests are being answered",
            "limit": "server.max_exchanges",
            "times": 1000,
        }
    ]


@pytest.mark.parametrize(("loud", "level"), [(False, "warn"), (True, "error")])
def test_a_failed_attempt_is_one_line(loud: bool, level: str) -> None:
    stream = io.StringIO()
    attempt = AttemptRecord(2, "openai", "gpt-4o", 0.5, 1.25, Kind.RATE_LIMITED, 429, "slow down", "{}", loud)
    log(stream).attempt_failed(exchange(), attempt)
    assert lines(stream) == [
        {
            "time": "2026-11-22T13:34:05.123+00:00",
            "level": level,
            "message": "attempt 2 failed, rate_limited (429): slow down",
            "id": "0194e3",
            "endpoint": "openai",
            "model": "gpt-4o",
            "waited": 0.5,
            "seconds": 1.25,
            "body": "{}",
        }
    ]


def test_without_a_status_none_is_shown() -> None:
    stream = io.StringIO()
    log(stream).attempt_failed(exchange(), AttemptRecord(1, "e", "m", kind=Kind.UNREACHABLE, detail="refused"))
    assert lines(stream)[0]["message"] == "attempt 1 failed, unreachable: refused"


def test_an_answered_exchange_is_one_line() -> None:
    stream = io.StringIO()
    log(stream).exchange_ended(exchange(status=200, first_byte=0.3121, seconds=2.34567, sent=99))
    assert lines(stream) == [
        {
            "time": "2026-11-22T13:34:05.123+00:00",
            "level": "info",
            "message": "POST /v1/chat/completions 200",
            "id": "0194e3",
            "endpoint": "openai",
            "model": "gpt-4o",
            "requested": "gpt-client",
            "attempts": 1,
            "first_byte": 0.312,
            "seconds": 2.346,
            "bytes": 99,
        }
    ]


def test_the_chain_is_named_where_it_is_not_the_default_one() -> None:
    stream = io.StringIO()
    log(stream).exchange_ended(exchange(status=200, chain="small"))
    assert lines(stream)[0]["chain"] == "small"


FIGHT = [
    AttemptRecord(1, "openai", "gpt-4o", 0.0, 1.25, Kind.OVERLOADED, 529, "busy"),
    AttemptRecord(2, "openai", "gpt-4o", 0.5, 0.01, Kind.UNREACHABLE, 0, "refused"),
    AttemptRecord(3, "azure", "gpt 4", 0.0, 2.5, None, 200),
]


def test_the_line_of_an_exchange_names_each_attempt() -> None:
    stream = io.StringIO()
    log(stream).exchange_ended(exchange(status=200, attempts=FIGHT))
    (line,) = lines(stream)
    assert line["tried"] == [
        {"endpoint": "openai", "model": "gpt-4o", "kind": "overloaded", "status": 529, "seconds": 1.25},
        {"endpoint": "openai", "model": "gpt-4o", "kind": "unreachable", "waited": 0.5, "seconds": 0.01},
        {"endpoint": "azure", "model": "gpt 4", "status": 200, "seconds": 2.5},
    ]
    assert line["attempts"] == 3


def test_for_people_the_attempts_are_a_phrase_each() -> None:
    stream = io.StringIO()
    log(stream, "console").exchange_ended(exchange(status=200, attempts=FIGHT))
    (line,) = stream.getvalue().splitlines()
    assert line.endswith(
        'tried="openai/gpt-4o overloaded 529 in 1.25s; '
        'after 0.5s: openai/gpt-4o unreachable in 0.01s; azure/gpt 4 200 in 2.5s"'
    )


@pytest.mark.parametrize("style", ["json", "console"])
def test_one_attempt_is_named_if_it_failed_and_not_if_it_answered(style: str) -> None:
    for attempt, named in [(FIGHT[0], True), (FIGHT[2], False)]:
        stream = io.StringIO()
        log(stream, style).exchange_ended(exchange(status=200, attempts=[attempt]))
        assert ("tried" in stream.getvalue()) is named
    stream = io.StringIO()
    log(stream, style).exchange_ended(exchange(status=403, attempts=[]))
    assert "tried" not in stream.getvalue()


@given(anything, anything)
@example(STEERING, STEERING)
def test_names_of_endpoints_and_models_break_no_line(endpoint: str, model: str) -> None:
    attempts = [AttemptRecord(1, endpoint, model, 0.5, 1.0, Kind.CUT), AttemptRecord(2, KEY, KEY, 0.0, 1.0)]
    for style in ("json", "console"):
        stream = io.StringIO()
        log(stream, style).exchange_ended(exchange(status=200, attempts=attempts))
        line = stream.getvalue()
        assert len(line.splitlines()) == 1
        assert line[:-1].isprintable()
        assert KEY not in line


def test_a_hold_and_dropped_events_are_told_where_there_were_some() -> None:
    stream = io.StringIO()
    one = log(stream)
    one.exchange_ended(exchange(status=200, held=1.23456, dropped_events=2))
    one.exchange_ended(exchange(status=200))
    first, second = lines(stream)
    assert (first["held"], first["dropped_events"]) == (1.235, 2)
    assert not {"held", "dropped_events"} & set(second)


# -- models ------------------------------------------------------------------------------------------------------------


def test_a_breaker_that_opens_is_a_warning_with_its_cause_and_time() -> None:
    stream = io.StringIO()
    log(stream).model_changed(ModelChange("openai", "gpt-4o", State.OPEN, Kind.OVERLOADED, 4.98765))
    assert lines(stream) == [
        {
            "time": "2026-11-22T13:34:05.123+00:00",
            "level": "warn",
            "message": "breaker open: this model is skipped while another is left",
            "endpoint": "openai",
            "model": "gpt-4o",
            "cause": "overloaded",
            "retry_in": 4.988,
        }
    ]


def test_a_breaker_that_closes_is_told_without_a_cause() -> None:
    stream = io.StringIO()
    log(stream, "console").model_changed(ModelChange("openai", "gpt-4o", State.CLOSED))
    assert stream.getvalue().endswith(" INFO  breaker closed: this model answers again endpoint=openai model=gpt-4o\n")


@pytest.mark.parametrize("state", list(State))
def test_the_state_decides_how_much_a_change_matters(state: State) -> None:
    expected = {State.OPEN: "warn", State.CLOSED: "info", State.HALF_OPEN: "debug"}[state]
    for lowest in Level:
        stream = io.StringIO()
        log(stream, level=lowest).model_changed(ModelChange("e", "m", state))
        assert [line["level"] for line in lines(stream)] == ([expected] if LEVELS[expected] >= lowest else [])


# -- credentials -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "level", "message", "fields"),
    [
        (
            CredentialChange(("a", "b"), source="sso", expires_in=3599.6),
            "info",
            "AWS credentials have come",
            {"endpoints": "a, b", "source": "sso", "expires_in": 3600},
        ),
        (
            CredentialChange(("a",), source="config-file"),
            "info",
            "AWS credentials have come",
            {"endpoints": "a", "source": "config-file"},
        ),
        (
            CredentialChange(("a",), f"it said {KEY}", "sso", 899.9),
            "warn",
            "AWS credentials cannot be refreshed, the old ones are used: it said ***",
            {"endpoints": "a", "source": "sso", "expires_in": 900},
        ),
        (
            CredentialChange(("a",), "run aws sso login"),
            "error",
            "no AWS credentials: run aws sso login",
            {"endpoints": "a"},
        ),
    ],
)
def test_refreshed_credentials(change: CredentialChange, level: str, message: str, fields: dict[str, object]) -> None:
    stream = io.StringIO()
    one = log(stream)
    one.credential_changed(change)
    one.flush()
    (line,) = lines(stream)
    assert line == {"time": "2026-11-22T13:34:05.123+00:00", "level": level, "message": message} | fields


# -- what becomes of exchanges -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "status", "level"),
    [("answered", 200, "info"), ("client_left", 499, "info"), ("cut", 200, "warn"), ("refused", 403, "warn")],
)
def test_the_outcome_decides_how_much_an_exchange_matters(outcome: str, status: int, level: str) -> None:
    for lowest in Level:
        stream = io.StringIO()
        log(stream, level=lowest).exchange_ended(exchange(outcome=outcome, status=status, detail="why"))
        assert [line["level"] for line in lines(stream)] == ([level] if LEVELS[level] >= lowest else [])


def test_an_exchange_without_attempts_is_one_line_too() -> None:
    stream = io.StringIO()
    log(stream).exchange_ended(exchange(attempts=[], outcome="refused", status=421, detail="a foreign Host"))
    assert lines(stream)[0]["message"] == "POST /v1/chat/completions 421 refused: a foreign Host"


def test_what_was_no_http_is_one_line_too() -> None:
    stream = io.StringIO()
    log(stream).exchange_ended(exchange(method="", path="", attempts=[], outcome="refused", status=400, detail="why"))
    assert lines(stream)[0]["message"] == "400 refused: why"


def test_at_debug_an_upstream_request_is_shown_without_what_may_be_a_credential() -> None:
    stream = io.StringIO()
    request = Request(b"POST", b"/v1/x?api_key=unknown-to-us", [(b"authorization", b"Token unknown-to-us")], b"{}")
    one = log(stream)
    assert one.wants_requests
    assert not log(stream, level=Level.INFO).wants_requests
    one.attempt_begun(exchange(), AttemptRecord(1, "openai", "gpt-4o"), request)
    one.flush()
    assert "unknown-to-us" not in stream.getvalue()
    (line,) = lines(stream)
    assert line["message"] == "attempt 1 begins: POST /v1/x"
    assert (line["headers"], line["body_bytes"]) == ("authorization", 2)
