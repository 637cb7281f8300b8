from __future__ import annotations

import pytest

from hydrallm.exchange.verdict import retry_headers, verdict
from hydrallm.policy.commands import GiveUp
from hydrallm.policy.kinds import Kind
from hydrallm.telemetry.records import AttemptRecord


@pytest.mark.parametrize("kind", Kind)
def test_what_did_not_answer_in_time_is_a_504_and_all_else_a_502(kind: Kind) -> None:
    told = verdict(GiveUp(kind, None, spent=True), [AttemptRecord(1, "e", "m", kind=kind)])
    assert told.status == (504 if kind is Kind.SLOW_START else 502)
    assert told.code == f"upstream_{kind}"


def test_the_message_tells_the_last_failure_of_each_model_in_order() -> None:
    attempts = [
        AttemptRecord(1, "a", "m", kind=Kind.SERVER, status=500),
        AttemptRecord(2, "b", "m", kind=Kind.UNREACHABLE, detail="refused"),
        AttemptRecord(3, "a", "m", kind=Kind.RATE_LIMITED, status=429, detail="slowly"),
    ]
    message = verdict(GiveUp(Kind.RATE_LIMITED, None, spent=True), attempts).message
    assert message == "every model failed (3 attempts): a/m rate_limited 429, slowly; b/m unreachable, refused"


def test_stopping_early_is_not_called_failing() -> None:
    message = verdict(GiveUp(Kind.CUT, None, spent=False), [AttemptRecord(1, "a", "m", kind=Kind.CUT)]).message
    assert message.startswith("stopped early, ")


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
