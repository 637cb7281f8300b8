"""A playbook: a policy tested as a transcript of what happened and what it said.

::

    assert (
        playbook(2, 1, max_cycles=1)  # two models: the first may be tried twice, the second once
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> ContentSeen(1, 1.0, complete=True)
        << Deliver(1)
    )

``>>`` is an event that goes in, ``<<`` the command that must come out. ``assert`` plays it; where the policy says
something else, the error is the transcript up to there, with what was expected and what came. (The notation is that of
mitmproxy's tests of its proxy layers.) Times are binary fractions, so that sums are exact.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Self

import pytest

from hydrallm.policy.attempts import Attempts
from hydrallm.policy.breaker import Breaker
from hydrallm.policy.budget import Budget
from hydrallm.policy.kinds import RULES
from hydrallm.policy.plan import Candidate, Clocks, Plan

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hydrallm.policy.commands import Command
    from hydrallm.policy.events import Event
    from hydrallm.policy.kinds import Kind, Rule


class Playbook:
    """Events and the commands expected after them, played when the playbook's truth is asked for."""

    def __init__(
        self, plan: Plan, chance: Callable[[], float], breakers: Sequence[Breaker] | None, budget: Budget | None
    ) -> None:
        breakers = breakers or [Breaker() for _ in plan.candidates]
        self.policy = Attempts(plan, chance, breakers, budget or Budget())
        self.played = False
        self._lines: list[tuple[Event, Command | None]] = []

    def __rshift__(self, event: Event) -> Self:
        self._lines.append((event, None))
        return self

    def __lshift__(self, command: Command) -> Self:
        event, expected = self._lines.pop()
        assert expected is None, "each event has one answer"
        self._lines.append((event, command))
        return self

    def __bool__(self) -> bool:
        assert not self.played, "a playbook is played once"
        self.played = True
        transcript: list[str] = []
        for event, expected in self._lines:
            assert expected is not None, f"no command is expected after {event}"
            command = self.policy.step(event)
            transcript.append(f"   >> {event}")
            if command != expected:
                raise AssertionError("\n".join(["", *transcript, f"-  << {expected}", f"+  << {command}"]))
            transcript.append(f"   << {command}")
        return True


MakePlaybook = Callable[..., Playbook]
CLOCKS = Clocks(connect=5.0, total=32.0, first_token=128.0, idle=60.0)


@pytest.fixture
def playbook() -> Iterator[MakePlaybook]:
    """Makes playbooks; one that was never played is an error, for it has tested nothing."""
    made: list[Playbook] = []

    def make(
        *attempts: int,
        intervals: tuple[float, ...] = (),
        chance: Callable[[], float] = lambda: 0.5,
        max_cycles: int = 1,
        deadline: float = 512.0,
        max_wait: float = 4.0,
        exponential: bool = False,
        rules: Mapping[Kind, Rule] = RULES,
        breakers: Sequence[Breaker] | None = None,
        budget: Budget | None = None,
    ) -> Playbook:
        """Return a playbook for a chain in which each model has as many ``attempts``, 0.5 s apart by default."""
        padded = itertools.chain(intervals, itertools.repeat(0.5))
        candidates = tuple(
            Candidate(count, interval, CLOCKS) for count, interval in zip(attempts, padded, strict=False)
        )
        plan = Plan(candidates, max_cycles, deadline, max_wait, exponential, rules)
        made.append(Playbook(plan, chance, breakers, budget))
        return made[-1]

    yield make
    assert all(one.played for one in made), "a playbook was written but not asserted"
