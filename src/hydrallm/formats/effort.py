"""Efforts: how much a model is to think, in words.

PURE. All makers have the same words and each model takes some of them; one that it does not take is an error 400 at
OpenAI, Anthropic and Amazon. So a model is told the nearest of those that it takes.
https://platform.openai.com/docs/guides/reasoning, https://docs.anthropic.com/en/docs/build-with-claude/effort
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from hydrallm.formats.canonical import Reasoning
    from hydrallm.formats.facts import Facts

NONE = "none"

_ORDER = (NONE, "minimal", "low", "medium", "high", "xhigh", "max")
_EFFORTS = ((4096, "low"), (16384, "medium"))

BUDGETS = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16384, "xhigh": 32768, "max": 32768}
"""The tokens that an effort may think, for models that take a budget only."""


def nearest(effort: str, taken: Collection[str]) -> str:
    """Return the effort of ``taken`` that is nearest to ``effort``, and of two the lower one.

    Not to think is no little effort: no other word becomes ``none``. It becomes the lowest, if it is not taken.

    Returns:
        Empty where there is none: ``effort`` is no word that anybody knows, or nothing is taken.
    """
    if effort in taken:
        return effort
    known = [word for word in _ORDER if word in taken and word != NONE]
    if effort not in _ORDER or not known:
        return ""
    wanted = _ORDER.index(effort)
    return min(known, key=lambda word: abs(_ORDER.index(word) - wanted))


def of_budget(budget: int | None) -> str:
    """Return the effort that thinking so many tokens is; empty for no budget."""
    if budget is None:
        return ""
    return next((effort for below, effort in _EFFORTS if budget < below), "high")


def budget_of(effort: str, most: int | None) -> int:
    """Return the tokens that an effort may think.

    Args:
        effort: any word; one that nobody knows, and none, is ``medium``.
        most: tokens of the whole answer, as the client said it: half of them are for the answer.
    """
    budget = BUDGETS.get(effort, BUDGETS["medium"])
    return budget if most is None else min(budget, most // 2)


def told(reasoning: Reasoning, facts: Facts, *, forced: bool) -> tuple[str, bool]:
    """Return the effort that a model is told, and whether that is something else than the client wants.

    Args:
        reasoning: what the client wants.
        facts: of the model.
        forced: a call of a tool is forced. With a model that takes none while it thinks, the call comes first.

    Returns:
        The effort is empty to say nothing.
    """
    off = reasoning.enabled is False or reasoning.effort == NONE
    wanted = NONE if off else reasoning.effort or of_budget(reasoning.budget)
    if not wanted:
        return "", False
    silenced = forced and not off and not facts.forced_tool_thinking
    taken = [effort for effort in facts.efforts if effort != NONE or not facts.thinks_always]
    said = nearest(NONE if silenced else wanted, taken)
    if silenced:
        return said if said == NONE else "", True
    if off:  # a model that knows no effort does as it does, and is not told
        return said, said != NONE and (facts.thinks_always or bool(taken))
    return said, not said
