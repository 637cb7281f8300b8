"""Efforts: the nearest that a model takes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrallm.formats.canonical import Reasoning
from hydrallm.formats.effort import budget_of, nearest, of_budget, told
from hydrallm.formats.facts import Facts

ORDER = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
TAKEN = st.lists(st.sampled_from(ORDER), unique=True)


@pytest.mark.parametrize(
    ("effort", "taken", "found"),
    [
        ("high", ("low", "high"), "high"),
        ("medium", ("low", "high"), "low"),
        ("max", ("low", "medium", "high"), "high"),
        ("minimal", ("none", "low"), "low"),
        ("none", ("low", "high"), "low"),
        ("none", ("none", "low"), "none"),
        ("low", ("none",), ""),
        ("low", (), ""),
        ("huge", ("low", "high"), ""),
        ("huge", ("huge",), "huge"),
    ],
)
def test_the_nearest(effort: str, taken: tuple[str, ...], found: str) -> None:
    assert nearest(effort, taken) == found


@given(st.sampled_from(ORDER), TAKEN)
def test_no_other_effort_is_nearer(effort: str, taken: list[str]) -> None:
    found = nearest(effort, taken)
    distances = [abs(ORDER.index(word) - ORDER.index(effort)) for word in taken if word != "none" or effort == "none"]
    assert (found in taken) == bool(distances and (effort in taken or set(taken) != {"none"}))
    if found and effort != "none":
        assert abs(ORDER.index(found) - ORDER.index(effort)) == min(distances)


def test_budgets() -> None:
    assert [of_budget(budget) for budget in (None, 1024, 10_000, 32_000)] == ["", "low", "medium", "high"]
    assert [budget_of(effort, None) for effort in ("minimal", "", "huge", "max")] == [1024, 8192, 8192, 32768]
    assert (budget_of("high", 4000), budget_of("low", 8000)) == (2000, 2048)


@pytest.mark.parametrize("effort", ["low", "medium", "high"])
def test_an_effort_is_the_same_by_way_of_its_budget(effort: str) -> None:
    assert of_budget(budget_of(effort, None)) == effort


@pytest.mark.parametrize(
    ("reasoning", "facts", "forced", "expected"),
    [
        (Reasoning(adaptive=True), Facts(efforts=ORDER), False, ("", False)),
        (Reasoning(effort="high"), Facts(efforts=ORDER), True, ("high", False)),
        (Reasoning(effort="high"), Facts(), False, ("", True)),
        (Reasoning(effort="high"), Facts(efforts=ORDER, forced_tool_thinking=False), True, ("none", True)),
        (Reasoning(effort="high"), Facts(efforts=("low",), forced_tool_thinking=False), True, ("", True)),
        (Reasoning(enabled=False), Facts(efforts=ORDER), False, ("none", False)),
        (Reasoning(enabled=False), Facts(efforts=ORDER, thinks_always=True), False, ("minimal", True)),
        (Reasoning(enabled=False), Facts(thinks_always=True), False, ("", True)),
        (Reasoning(enabled=False), Facts(), False, ("", False)),
    ],
)
def test_what_a_model_is_told(reasoning: Reasoning, facts: Facts, forced: bool, expected: tuple[str, bool]) -> None:
    assert told(reasoning, facts, forced=forced) == expected
