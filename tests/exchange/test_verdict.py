from __future__ import annotations

import pytest

from hydrallm.exchange.verdict import api_error, masked, retry_headers, verdict
from hydrallm.formats.base import ApiError, Problem
from hydrallm.message import Response
from hydrallm.policy.commands import GiveUp
from hydrallm.policy.kinds import Kind
from hydrallm.policy.plan import Plan
from hydrallm.secret import Secret
from hydrallm.telemetry.masking import Mask
from hydrallm.telemetry.records import AttemptRecord, ExchangeRecord, Skip

PLAN = Plan(candidates=(), deadline=60.0)


def record(*attempts: AttemptRecord, skipped: tuple[Skip, ...] = ()) -> ExchangeRecord:
    return ExchangeRecord(0.0, "id", "POST", "/v1/messages", attempts=list(attempts), skipped=list(skipped))


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.UNSERVED])
def test_what_did_not_answer_in_time_is_a_504_what_could_not_be_asked_a_503_and_all_else_a_502(kind: Kind) -> None:
    told = verdict(GiveUp(kind, None, spent=True), PLAN, 1.0, record(AttemptRecord(1, "e", "m", kind=kind)))
    assert told.status == {Kind.SLOW_START: 504, Kind.SATURATED: 503}.get(kind, 502)
    assert told.code == f"upstream_{kind}"


def test_the_message_tells_the_last_failure_of_each_model_in_order() -> None:
    attempts = (
        AttemptRecord(1, "a", "m", kind=Kind.SERVER, status=500),
        AttemptRecord(2, "b", "m", kind=Kind.UNREACHABLE, detail="refused"),
        AttemptRecord(3, "a", "m", kind=Kind.RATE_LIMITED, status=429, detail="slowly"),
    )
    message = verdict(GiveUp(Kind.RATE_LIMITED, None, spent=True), PLAN, 1.0, record(*attempts)).message
    assert message == "every model failed (3 attempts): a/m rate_limited 429, slowly; b/m unreachable, refused"


@pytest.mark.parametrize(
    ("kind", "spent", "seconds", "why"),
    [
        (Kind.CUT, True, 1.0, "every model failed (1 attempt): a/m"),
        (Kind.CUT, True, 60.0, "the deadline of 60 s passed (1 attempt): a/m"),
        (Kind.CUT, False, 1.0, "stopped early, as these models are failing for others too, or another try would be"),
        (Kind.CLIENT_ERROR, False, 1.0, "this kind of failure is not tried again (1 attempt): a/m"),
    ],
)
def test_the_message_says_why_it_is_over(kind: Kind, spent: bool, seconds: float, why: str) -> None:
    told = verdict(GiveUp(kind, None, spent), PLAN, seconds, record(AttemptRecord(1, "a", "m", kind=kind)))
    assert told.message.startswith(why)


def test_the_message_says_that_nobody_could_be_asked() -> None:
    told = verdict(GiveUp(Kind.RATE_LIMITED, None, spent=True), PLAN, 61.0, record())
    assert told.message == "the deadline of 60 s passed (0 attempts): no model could be asked"


def test_a_request_that_cannot_be_put_to_anybody_is_the_clients_to_change_and_each_reason_is_told() -> None:
    skipped = (Skip("a", "m", ("n is over 1",)), Skip("b", "n", ("5 stop sequences", "logprobs")))
    told = verdict(GiveUp(Kind.UNSERVED, None, spent=True), PLAN, 1.0, record(skipped=skipped))
    assert (told.status, told.code) == (400, "unserved")
    said = "no model of the chain can serve this request: a/m: n is over 1; b/n: 5 stop sequences, logprobs"
    assert told.message == said


def test_who_was_not_asked_is_told_beside_who_failed() -> None:
    one = record(AttemptRecord(1, "a", "m", kind=Kind.SERVER, status=500), skipped=(Skip("b", "n", ("logprobs",)),))
    message = verdict(GiveUp(Kind.SERVER, None, spent=True), PLAN, 1.0, one).message
    assert message == "every model failed (1 attempt): a/m server 500; not asked: b/n: logprobs"


def test_secrets_are_taken_out_of_what_an_upstream_said_and_nothing_else_is_changed() -> None:
    mask = Mask([Secret("top-secret-key")])
    body = b'{"error": "no such key: top-secret-key \xff\xc3\xa9"}'
    response = masked(Response(401, [(b"x-echo", b"top-secret-key"), (b"x", b"\xe9")], body), mask)
    assert response == Response(401, [(b"x-echo", b"***"), (b"x", b"\xe9")], body.replace(b"top-secret-key", b"***"))
    problem = Problem(400, "type top-secret-key", "code top-secret-key", "top-secret-key")
    error = api_error(Kind.SERVER, "said top-secret-key", "id", problem, mask)
    assert error == ApiError(400, "said ***", "code ***", "id", "type ***")


@pytest.mark.parametrize(
    ("spent", "after", "headers"),
    [
        (True, None, [(b"x-should-retry", b"false")]),
        (False, None, [(b"x-should-retry", b"true")]),
        (True, 7.0, [(b"x-should-retry", b"false"), (b"retry-after", b"7")]),
        (False, 6.01, [(b"x-should-retry", b"true"), (b"retry-after", b"7")]),
        (False, 0.01, [(b"x-should-retry", b"true"), (b"retry-after", b"1")]),
    ],
)
def test_sdks_are_told_whether_and_when_to_try_again(
    spent: bool, after: float | None, headers: list[tuple[bytes, bytes]]
) -> None:
    assert retry_headers(GiveUp(Kind.SERVER, None, spent, after)) == headers
