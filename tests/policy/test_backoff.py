from __future__ import annotations

import random
import statistics

from hypothesis import given
from hypothesis import strategies as st

from hydrallm.policy.backoff import CAP, backoff

intervals = st.floats(0.0, 3600.0)
tries = st.integers(1, 10_000)
chances = st.floats(0.0, 1.0, exclude_max=True)


@given(intervals, tries, chances)
def test_a_fixed_interval_is_just_that(interval: float, count: int, chance: float) -> None:
    assert backoff(interval, count, exponential=False, chance=chance) == interval


@given(intervals, tries, chances)
def test_backoff_is_at_most_the_cap_or_the_interval_where_that_is_longer(
    interval: float, count: int, chance: float
) -> None:
    assert 0.0 <= backoff(interval, count, exponential=True, chance=chance) <= max(CAP, interval)


def test_the_longest_backoff_doubles_up_to_the_cap() -> None:
    longest = [backoff(1.0, count, exponential=True, chance=1.0) for count in range(1, 8)]
    assert longest == [2.0, 4.0, 8.0, 16.0, CAP, CAP, CAP]


def test_full_jitter_spreads_evenly_from_nothing_on() -> None:
    chance = random.Random(7)
    waits = [backoff(1.0, 3, exponential=True, chance=chance.random()) for _ in range(10_000)]
    # The deciles of an even distribution between 0 and 8 s.
    for decile, wait in enumerate(statistics.quantiles(waits, n=10), start=1):
        assert abs(wait - 0.8 * decile) < 0.2
