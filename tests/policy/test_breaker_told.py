"""What a breaker tells of itself: each change of its state, and the cause."""

from __future__ import annotations

from hydrallm.policy.breaker import Breaker, State
from hydrallm.policy.kinds import RULES, Kind


def test_each_change_of_state_is_told_once_and_nothing_else_is() -> None:
    told: list[tuple[State, float, Kind | None]] = []
    breaker = Breaker(lambda changed: told.append((changed.state, changed.until, changed.cause)))
    rule = RULES[Kind.OVERLOADED]
    for at in range(10):
        breaker.failed(Kind.OVERLOADED, rule, float(at), probe=False)
    assert told == [(State.OPEN, 9.0, Kind.OVERLOADED)]
    breaker.begin(10.0)
    breaker.begin(15.0)
    assert told[1:] == [(State.HALF_OPEN, 15.0, Kind.OVERLOADED)]
    breaker.failed(Kind.SERVER, rule, 15.0, probe=True)
    assert told[2:] == [(State.OPEN, 35.0, Kind.SERVER)]
    breaker.begin(35.0)
    breaker.passed(36.0)
    breaker.passed(37.0)
    assert told[3:] == [(State.HALF_OPEN, 55.0, Kind.SERVER), (State.CLOSED, 36.0, None)]


def test_the_cause_is_the_last_failure_since_the_last_success() -> None:
    breaker = Breaker()
    causes = [breaker.cause]
    for at, kind in enumerate([Kind.CUT, Kind.TLS]):
        breaker.failed(kind, RULES[kind], float(at), probe=False)
        causes.append(breaker.cause)
    breaker.passed(3.0)
    causes.append(breaker.cause)
    assert causes == [None, Kind.CUT, Kind.TLS, None]


def test_cooling_does_not_block() -> None:
    breaker = Breaker()
    breaker.cool(60.0, Kind.RATE_LIMITED)
    assert not breaker.blocks(30.0)
