"""How Claude is told to think, or not to.

PURE. Models differ (https://docs.anthropic.com/en/docs/build-with-claude/extended-thinking): older ones take a budget
(``enabled``), newer ones decide for themselves (``adaptive``) and are only told how much effort to make, and some
cannot be told not to think. A budget is at least 1,024 tokens and less than ``max_tokens``, which counts thoughts too.

Thinking is not legal everywhere: not with a tool choice that forces a call, unless the model says so; not with an
assistant's turn to be continued; and with a budget not in the middle of a tool loop whose last turn shows no thought,
as it is when another maker's model began it. Where it cannot be, it is switched off, or the model cannot serve. Who
does not think makes no more than a high effort (https://platform.claude.com/docs/en/models/opus-5/migration-guide).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from hydrallm.formats import reasons
from hydrallm.formats.canonical import UnservedError
from hydrallm.formats.effort import NONE, budget_of, nearest, of_budget

if TYPE_CHECKING:
    from hydrallm.formats.canonical import Reasoning
    from hydrallm.formats.facts import Facts

MIN_BUDGET = 1024

_DISABLED = {"type": "disabled"}


class Circumstances(msgspec.Struct, frozen=True):
    """What else the request says that thinking depends on.

    Attributes:
        native: it came in Anthropic's own words, in which an effort alone does not ask for thoughts.
        max_tokens: as the client said it; None if it did not.
        forced: a call of a tool is forced.
        prefill: an assistant's turn is to be continued.
        thoughtless_loop: it is in the middle of a tool loop whose last turn does not begin with a thought.
    """

    native: bool
    max_tokens: int | None
    forced: bool
    prefill: bool
    thoughtless_loop: bool


class Plan(msgspec.Struct, frozen=True):
    """What is said about thinking.

    Attributes:
        config: the member ``thinking``; None to say nothing.
        effort: ``output_config.effort``; empty to say nothing.
        max_tokens: with room for the thoughts.
        dropped: whether something that the client asked for is not said.
    """

    config: Mapping[str, Any] | None
    effort: str
    max_tokens: int
    dropped: bool = False

    @property
    def thinks(self) -> bool:
        """Whether the model is told to think; other members are then restricted."""
        return self.config is not None and self.config is not _DISABLED


def plan(asked: Reasoning | None, facts: Facts, request: Circumstances) -> Plan:
    """Return what to say to a model.

    Args:
        asked: what the client wants.
        facts: what is known of the model.
        request: what else there is.

    Raises:
        UnservedError: the model always thinks, and here it may not.
    """
    limit = facts.max_output
    max_tokens = facts.default_output if request.max_tokens is None else request.max_tokens
    max_tokens = max_tokens if limit is None else min(max_tokens, limit)
    effort = _effort(asked, facts)
    obstacle = _obstacle(facts, request)
    wanted = _wanted(asked, native=request.native)
    if not wanted:
        off = wanted is False
        if facts.thinks_always:
            if obstacle:
                raise UnservedError((obstacle,))
            return Plan(None, nearest(NONE, facts.efforts) if off else effort, max_tokens, off or _lost(asked, effort))
        off = off or bool(obstacle and facts.adaptive)  # some think unless they are told not to
        said = off and (facts.adaptive or facts.budget)
        made = _at_most_high(effort, facts) if said else effort
        return Plan(_DISABLED if said else None, made, max_tokens, _lost(asked, effort))
    assert asked is not None  # noqa: S101 - it is what is wanted
    config, max_tokens = _config(asked, facts, request, max_tokens)
    if obstacle or config is None:
        if facts.thinks_always and obstacle:
            raise UnservedError((obstacle,))
        if not (facts.adaptive or facts.budget) or facts.thinks_always:
            return Plan(None, effort, max_tokens, dropped=True)
        return Plan(_DISABLED, _at_most_high(effort, facts), max_tokens, dropped=True)
    return Plan(config, effort, max_tokens)


def _wanted(asked: Reasoning | None, *, native: bool) -> bool | None:
    """Return whether thoughts are wanted; None if the client did not say."""
    if asked is None:
        return None
    if asked.enabled is False or asked.effort == NONE:
        return False
    if asked.enabled or asked.adaptive or asked.budget is not None:
        return True
    return True if asked.effort and not native else None


def _effort(asked: Reasoning | None, facts: Facts) -> str:
    if asked is None or not facts.efforts:
        return ""
    if asked.effort in {"", NONE}:
        if asked.budget is None or facts.budget:
            return ""
        return nearest(of_budget(asked.budget), facts.efforts)
    return nearest(asked.effort, facts.efforts)


def _at_most_high(effort: str, facts: Facts) -> str:
    """Return the effort for a model that is told not to think: beside that, more than ``high`` is refused."""
    return nearest("high", facts.efforts) if effort in {"xhigh", "max"} else effort


def _lost(asked: Reasoning | None, effort: str) -> bool:
    """Return whether an effort was asked for that is not said."""
    return asked is not None and asked.effort not in {"", NONE} and not effort


def _obstacle(facts: Facts, request: Circumstances) -> str:
    """Return why the model may not think here; empty if it may."""
    if request.forced and not facts.forced_tool_thinking:
        return reasons.FORCED_CALL_THINKING
    if request.prefill:
        return reasons.CONTINUED_TURN
    return ""


def _config(
    asked: Reasoning, facts: Facts, request: Circumstances, max_tokens: int
) -> tuple[Mapping[str, Any] | None, int]:
    """Return the member ``thinking``, or None if the model cannot think here, and the tokens with room for it."""
    display = asked.display or ("summarized" if asked.summary and facts.adaptive else "")
    shown = {"display": display} if display else {}
    adaptive = {"type": "adaptive", **shown} if facts.adaptive else None
    if not facts.budget or request.thoughtless_loop or (adaptive and asked.budget is None):
        return adaptive, max_tokens
    budget, max_tokens = _budget(asked, facts, request.max_tokens, max_tokens)
    if budget is None:
        return adaptive, max_tokens
    return {"type": "enabled", "budget_tokens": budget, **shown}, max_tokens


def _budget(asked: Reasoning, facts: Facts, said: int | None, max_tokens: int) -> tuple[int | None, int]:
    """Return a legal budget, or None if there is none, and the tokens of the whole answer."""
    budget = asked.budget
    if budget is None:
        budget = budget_of(asked.effort, None if said is None else max_tokens)
    budget = max(budget, MIN_BUDGET)
    if said is None:
        max_tokens = budget + facts.default_output
        max_tokens = max_tokens if facts.max_output is None else min(max_tokens, facts.max_output)
    if max_tokens <= MIN_BUDGET:
        return None, max_tokens
    return min(budget, max_tokens - 1), max_tokens
