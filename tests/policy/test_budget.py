from __future__ import annotations

import itertools

from hypothesis import example, given
from hypothesis import strategies as st

from hydrallm.policy.budget import CAPACITY, PER_SECOND, SHARE, Budget


def withdrawn(budget: Budget, at: float) -> int:
    """Return how many retries ``budget`` grants at one moment."""
    return sum(1 for _ in itertools.takewhile(lambda _: budget.withdraw(at), range(10_000)))


# -- transcripts -------------------------------------------------------------------------------------------------------


def test_a_new_account_is_full() -> None:
    budget = Budget(share=0.0, per_second=0.0, capacity=3.0)
    assert [budget.withdraw(at) for at in (1.0, 2.0, 3.0, 4.0, 1e9)] == [True, True, True, False, False]


def test_time_pays_in_and_the_capacity_is_the_most_that_is_saved() -> None:
    budget = Budget(share=0.0, per_second=2.0, capacity=4.0)
    assert withdrawn(budget, 100.0) == 4
    assert withdrawn(budget, 100.25) == 0
    assert withdrawn(budget, 100.5) == 1
    assert withdrawn(budget, 101.5) == 2
    assert withdrawn(budget, 1000.0) == 4


def test_exchanges_pay_in() -> None:
    budget = Budget(share=0.25, per_second=0.0, capacity=2.0)
    assert withdrawn(budget, 0.0) == 2
    for _ in range(7):
        budget.deposit()
    assert withdrawn(budget, 0.0) == 1
    budget.deposit()
    assert withdrawn(budget, 0.0) == 1
    for _ in range(100):
        budget.deposit()
    assert withdrawn(budget, 0.0) == 2


def test_a_denied_retry_costs_nothing() -> None:
    budget = Budget(share=0.5, per_second=0.0, capacity=1.0)
    assert withdrawn(budget, 0.0) == 1
    budget.deposit()
    assert not any(budget.withdraw(0.0) for _ in range(100))
    budget.deposit()
    assert budget.withdraw(0.0)


def test_a_clock_that_stands_still_or_goes_back_pays_nothing_and_takes_nothing() -> None:
    budget = Budget(share=0.0, per_second=1.0, capacity=2.0)
    assert budget.withdraw(10.0)
    assert budget.withdraw(9.5)
    assert not budget.withdraw(10.0)
    assert not budget.withdraw(-1e9)
    assert not budget.withdraw(10.5)
    assert budget.withdraw(11.0)


def test_the_numbers_are_those_that_are_promised() -> None:
    """A fifth of the traffic and ten a second, with ten quiet seconds saved up."""
    assert (SHARE, PER_SECOND, CAPACITY) == (0.2, 10.0, 100.0)
    budget = Budget()
    assert withdrawn(budget, 0.0) == 100
    assert withdrawn(budget, 1.0) == 10
    for _ in range(50):
        budget.deposit()
    assert withdrawn(budget, 1.0) in {9, 10}  # a fifth is no binary fraction


def test_a_total_outage_is_not_multiplied_for_long() -> None:
    """200 exchanges a second for a minute, each of which would like to try three times."""
    budget = Budget()
    retries = [0] * 60
    for exchange in range(60 * 200):
        at = exchange / 200
        budget.deposit()
        retries[int(at)] += budget.withdraw(at) + budget.withdraw(at)
    # When what was saved up is spent, a second has its share of 200 exchanges, and ten more.
    assert all(abs(count - (0.2 * 200 + 10)) <= 1 for count in retries[5:])
    assert sum(retries) <= 100 + 0.2 * 12_000 + 10 * 60


# -- invariants --------------------------------------------------------------------------------------------------------

budgets = st.tuples(st.floats(0.0, 1.0), st.floats(0.0, 50.0), st.floats(0.0, 200.0))
happenings = st.lists(
    st.tuples(st.sampled_from(["exchange", "retry", "retries"]), st.sampled_from([-5.0, 0.0, 0.0, 0.01, 1.0, 60.0])),
    max_size=40,
)


@given(budgets, happenings)
@example((0.2, 10.0, 100.0), [("retries", 0.0), ("retries", 60.0), ("exchange", 0.0), ("retries", 0.0)])
def test_any_span_has_at_most_what_was_saved_and_what_came_in(
    account: tuple[float, float, float], course: list[tuple[str, float]]
) -> None:
    """Over a span of t seconds with n exchanges: at most capacity + share * n + rate * t."""
    share, rate, capacity = account
    budget = Budget(share, rate, capacity)
    now = 0.0
    seen: list[tuple[float, bool, int]] = []  # the time, whether an exchange began, how many retries were granted
    for what, step in course:
        now += step
        if what == "exchange":
            budget.deposit()
        granted = sum(budget.withdraw(now) for _ in range({"exchange": 0, "retry": 1, "retries": 300}[what]))
        seen.append((now, what == "exchange", granted))
    for first in range(len(seen)):
        exchanges = retries = 0
        earliest = latest = seen[first][0]
        for at, is_exchange, granted in seen[first:]:
            earliest, latest = min(earliest, at), max(latest, at)
            exchanges += is_exchange
            retries += granted
            assert retries <= capacity + share * exchanges + rate * (latest - earliest) + 1e-6


@given(budgets, st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=50))
def test_it_never_grants_more_than_it_holds_at_any_moment(
    account: tuple[float, float, float], moments: list[float]
) -> None:
    share, rate, capacity = account
    budget = Budget(share, rate, capacity)
    for at in moments:
        budget.deposit()
        assert withdrawn(budget, at) <= capacity
        assert not budget.withdraw(at), "it goes into debt"
