from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bench.results import Miss, Results, Sample, Summary, load
from bench.targets import TARGETS, Target

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def results() -> Results:
    """The machine is three times as slow in the second round; of the third round only one subject has a figure."""
    samples = [
        Sample("cpu-1k-32", "nginx", 0, 20.0),
        Sample("cpu-1k-32", "passthrough", 0, 40.0),
        Sample("cpu-1k-32", "nginx", 1, 60.0),
        Sample("cpu-1k-32", "passthrough", 1, 132.0),
        Sample("cpu-1k-32", "passthrough", 2, 400.0),
        Sample("start", "passthrough", 0, 0.5),
        Sample("added-p50", "nginx", 0, 50.0),
        Sample("added-p50", "passthrough", 0, 105.0),
    ]
    titles = {"nginx": "nginx proxy_pass", "passthrough": "HydraLLM, pass-through"}
    return Results({"kernel": "Linux"}, titles, samples, [Miss("chunks", "nginx", "it has gone")])


def test_a_ratio_is_taken_inside_a_round(results: Results) -> None:
    assert results.ratio("cpu-1k-32", "passthrough", "nginx") == pytest.approx((2.0 + 2.2) / 2)
    assert results.ratio("cpu-1k-32", "nginx", "nginx") == 1
    assert results.ratio("start", "passthrough", "nginx") is None


def test_a_summary_is_the_median_and_the_ends(results: Results) -> None:
    assert results.summary("cpu-1k-32", "passthrough") == Summary(132.0, 40.0, 400.0)
    assert results.summary("start", "nginx") is None


def test_what_is_saved_is_what_is_loaded(results: Results, tmp_path: Path) -> None:
    results.save(tmp_path / "results.json")
    assert load(tmp_path / "results.json") == results


def figure(results: Results, title: str) -> float | None:
    (target,) = [target for target in TARGETS if target.title == title]
    return target.figure(results)


def test_a_target_is_a_ratio_a_difference_or_the_figure_itself(results: Results) -> None:
    assert figure(results, "pass-through, CPU per request of 1 KB, to nginx's") == pytest.approx(2.1)
    assert figure(results, "pass-through, added p50 beyond nginx's") == 55.0
    assert figure(results, "start to first answered request") == 0.5
    assert figure(results, "pass-through, CPU per chunk, to nginx's") is None
    assert Target("", "start", "passthrough", 1, "s", "nginx").figure(results) is None
