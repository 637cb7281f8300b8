"""How much a model thinks, said in Converse's and its maker's words.

PURE. Claude has three forms: a budget (``enabled``), as much as it wants (``adaptive``), and not at all; which of
them a model takes is in its facts. An effort has a member of its own, for the models that take one; where a model has
only a budget, it is a number of tokens. Other makers have words of their own for the
effort.

What does not go together with thinking, for Claude: a temperature, top-k and a low top-p; a forced tool, for some
models; and with a budget a pending call of a tool whose turn does not begin with the thought that led to it.

Sources: https://docs.aws.amazon.com/bedrock/latest/userguide/claude-messages-extended-thinking.html,
https://docs.aws.amazon.com/bedrock/latest/userguide/claude-messages-adaptive-thinking.html and
https://docs.aws.amazon.com/nova/latest/nova2-userguide/extended-thinking.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from hydrallm.formats import reasons
from hydrallm.formats.bedrock_converse_fields import Maker
from hydrallm.formats.canonical import Role, Thinking, ToolUse
from hydrallm.formats.effort import NONE, budget_of, nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hydrallm.formats.bedrock_converse_draft import Draft
    from hydrallm.formats.bedrock_converse_turns import Turn
    from hydrallm.formats.canonical import Reasoning

_LEAST_BUDGET = 1024  # tokens
_USUAL = "medium"


class Thought(msgspec.Struct, frozen=True):
    """What is said of thinking.

    Attributes:
        fields: for ``additionalModelRequestFields``.
        effort: for ``outputConfig``; empty for none.
        thinks: whether the model is told to think.
    """

    fields: dict[str, Any] = {}
    effort: str = ""
    thinks: bool = False


def thought(draft: Draft, turns: Sequence[Turn]) -> Thought:
    """Return what is said of thinking.

    Args:
        draft: the request.
        turns: of the conversation, as they are sent.
    """
    reasoning, facts = draft.request.reasoning, draft.facts
    unforced = draft.forces_a_tool and not facts.forced_tool_thinking
    if draft.forces_a_tool and not facts.forced_tool:
        draft.refuse(reasons.FORCED_CALL)
    elif unforced and facts.thinks_always:
        draft.refuse(reasons.FORCED_CALL_THINKING)
    if reasoning is None:
        return _off(draft) if unforced and facts.adaptive else Thought()  # some think unless they are told not to
    if reasoning.enabled is False or reasoning.effort == NONE:
        return _off(draft)
    if not draft.claude:
        return _effort(reasoning, draft)
    effort = nearest(reasoning.effort, facts.efforts) if reasoning.effort else ""
    form = None if unforced else _form(reasoning, draft, turns)
    if form is None:
        draft.drop("reasoning")
        if facts.adaptive and not facts.thinks_always:  # beside that, more than a high effort is refused
            high = nearest("high", facts.efforts) if effort in {"xhigh", "max"} else effort
            return Thought(_off(draft).fields, high)
        return Thought({}, effort)
    if facts.adaptive and (display := reasoning.display or ("summarized" if reasoning.summary else "")):
        form["display"] = display
    return Thought({"thinking": form}, effort, thinks=True)


def _off(draft: Draft) -> Thought:
    if draft.facts.thinks_always:
        draft.drop("reasoning")
        return Thought()
    told = draft.claude and (draft.facts.adaptive or draft.facts.budget)
    return Thought({"thinking": {"type": "disabled"}} if told else {})


def _form(reasoning: Reasoning, draft: Draft, turns: Sequence[Turn]) -> dict[str, Any] | None:
    """Return Claude's ``thinking``; None if it cannot think here."""
    facts = draft.facts
    if turns and turns[-1].role is Role.ASSISTANT and not facts.thinks_always:
        return None  # a turn to be continued has no room for a thought before it
    if facts.adaptive and (reasoning.budget is None or not facts.budget):
        if reasoning.budget is not None:
            draft.drop("budget")
        return {"type": "adaptive"}
    if not facts.budget or _pending_without_thought(turns):
        return None
    budget = _budget(reasoning, draft)
    return None if budget is None else {"type": "enabled", "budget_tokens": budget}


def _budget(reasoning: Reasoning, draft: Draft) -> int | None:
    """Return the tokens that may be thought; None if an answer has no room for the fewest that are allowed."""
    facts = draft.facts
    room = draft.request.max_tokens
    if room is None:
        room = facts.max_output or facts.default_output
    if facts.max_output is not None:
        room = min(room, facts.max_output)
    if room <= _LEAST_BUDGET:
        return None
    wanted = reasoning.budget
    if wanted is None:
        wanted = budget_of(reasoning.effort, None if draft.request.max_tokens is None else room)
    return max(_LEAST_BUDGET, min(wanted, room - 1))


def _pending_without_thought(turns: Sequence[Turn]) -> bool:
    spoken = [turn for turn in turns if turn.role is Role.ASSISTANT]
    if not spoken or not any(isinstance(part, ToolUse) for part in spoken[-1].parts):
        return False
    return not isinstance(spoken[-1].parts[0], Thinking)


def _effort(reasoning: Reasoning, draft: Draft) -> Thought:
    """Return the effort for a model that is not Claude."""
    request, effort = draft.request, nearest(reasoning.effort or _USUAL, draft.facts.efforts)
    if not effort:
        draft.drop("reasoning")
        return Thought()
    if reasoning.budget is not None:
        draft.drop("budget")
    match draft.maker:
        case Maker.NOVA:
            if effort == "high" and (request.max_tokens, request.temperature, request.top_p) != (None, None, None):
                effort = "medium"  # Nova refuses the high one beside any of these
            return Thought({"reasoningConfig": {"type": "enabled", "maxReasoningEffort": effort}})
        case Maker.OPEN_WEIGHTS:
            return Thought({"reasoning_effort": effort})
        case Maker.OPENAI:
            return Thought({"reasoning": {"effort": effort}})
        case _:
            return Thought({}, effort)
