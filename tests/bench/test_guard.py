from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from bench.counted import KINDS, UNITS, WAYS
from bench.errors import BenchError
from bench.guard import FIGURES, TOLERANCE, Count, compared, counts, total

ROOT = Path(__file__).parents[2]
UNIT = "pass-through: request"


def sections(direct: list[int], proxied: list[int], yardstick: int) -> list[int]:
    """What callgrind writes: before each counted section there is another one."""
    return [part for cost in (*direct, *proxied, yardstick) for part in (999, cost * UNITS)]


def test_what_client_and_upstream_take_is_not_the_proxys() -> None:
    found = counts(sections([20, 7], [100, 10, 200, 20, 300, 30], 40))
    assert [(count.instructions, count.ratio) for count in found] == [
        (80, 2.0),
        (3, 0.075),
        (180, 4.5),
        (13, 0.325),
        (280, 7.0),
        (23, 0.575),
    ]
    assert [count.unit for count in found] == [f"{way.name}: {kind}" for way in WAYS for kind in KINDS]


def test_a_run_that_was_not_marked_is_no_figure() -> None:
    with pytest.raises(BenchError, match="has counted 1 sections and not 18"):
        counts([1])


def test_the_total_of_a_profile_is_read() -> None:
    assert total("# callgrind format\nevents: Ir\n\nsummary: 7\n\nfn=(1)\n0 12\n\ntotals: 123\n") == 123
    with pytest.raises(BenchError, match="without a total"):
        total("# callgrind format\n")


@pytest.mark.parametrize(("ratio", "words"), [
    (4 * (1 + TOLERANCE) + 0.01, "more instructions than guard.json says, and 8% are allowed"),
    (4 * (1 + TOLERANCE) - 0.01, ""),
    (4 * (1 - TOLERANCE) - 0.01, ""),
])  # fmt: skip
def test_what_has_become_dearer_is_said_with_what_to_do(ratio: float, words: str) -> None:
    lines, verdicts = compared([Count(UNIT, 500_000, ratio)], {UNIT: 4.0})
    assert bool(verdicts) == bool(words)
    assert words in "".join(verdicts)
    assert ("it has become cheaper" in lines[-1]) == (ratio < 4 * (1 - TOLERANCE))


def test_what_has_no_figure_is_not_passed_over() -> None:
    _, verdicts = compared([Count(UNIT, 500_000, 4.0)], {})
    assert verdicts == [
        "pass-through: request: there is no figure to compare with; make guard ARGS=--update records it"
    ]


def test_there_is_a_figure_for_each_unit() -> None:
    for figures in msgspec.json.decode(FIGURES.read_bytes()).values():
        assert list(figures) == [f"{way.name}: {kind}" for way in WAYS for kind in KINDS]


@pytest.mark.platform("linux")
def test_what_is_counted_runs() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench.counted"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=50
    )
    assert (done.returncode, done.stderr) == (0, "")
