"""A leak is told from noise, and from what only fills up at the beginning."""

from __future__ import annotations

import random

import pytest
from tests.soak.slope import Sample, leaks, rise


def samples(rss: list[float], tasks: list[int] | None = None) -> list[Sample]:
    running = tasks or [25] * len(rss)
    return [
        Sample(10.0 * at, size, 60, 50, task, 30_000) for at, (size, task) in enumerate(zip(rss, running, strict=True))
    ]


def test_a_line_is_measured_from_end_to_end() -> None:
    assert rise(samples([40.0 + at for at in range(21)]), "rss") == pytest.approx(20.0)
    assert rise(samples([40.0] * 20), "rss") == 0.0
    assert rise(samples([40.0]), "rss") == 0.0


def test_memory_that_climbs_is_a_leak() -> None:
    dice = random.Random(1)
    climbing = [40.0 + 0.2 * at + dice.uniform(-1, 1) for at in range(100)]
    assert leaks(samples(climbing)) == {"rss": pytest.approx(15.0, abs=1.5)}


def test_noise_and_caches_that_fill_are_none() -> None:
    dice = random.Random(2)
    noisy = [min(60.0, 40.0 + at) + dice.uniform(-3, 3) for at in range(100)]
    assert leaks(samples(noisy)) == {}


def test_so_are_tasks_that_pile_up() -> None:
    assert leaks(samples([40.0] * 60, [20 + at for at in range(60)])) == {"tasks": pytest.approx(44.0)}
