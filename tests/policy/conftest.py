"""A playbook: a policy tested as a transcript of what happened and what it said.

::

    assert (
        playbook(plan(model(attempts=2)))
        >> Started(0.0, stream=False)
        << Try(1, A, expires=30.0)
        >> ContentSeen(1)
        << Deliver(1)
    )

``>>`` is an event that goes in, ``<<`` the command that must come out. ``assert`` plays it; where the policy says
something else, the error is the transcript up to there, with what was expected and what came. (The notation is that of
mitmproxy's tests of its proxy layers.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Self

import pytest

from hydrallm.policy.attempts import Attempts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hydrallm.policy.attempts import Command, Event
    from hydrallm.policy.plan import Plan


class Playbook:
    """Events and the commands expected after them, played when the playbook's truth is asked for."""

    def __init__(self, plan: Plan, chance: float) -> None:
        self._policy = Attempts(plan, lambda: chance)
        self._lines: list[tuple[Event, Command | None]] = []
        self.played = False

    def __rshift__(self, event: Event) -> Self:
        self._lines.append((event, None))
        return self

    def __lshift__(self, command: Command) -> Self:
        event, expected = self._lines.pop()
        assert expected is None, "each event has one answer"
        self._lines.append((event, command))
        return self

    def __bool__(self) -> bool:
        self.played = True
        transcript: list[str] = []
        for event, expected in self._lines:
            assert expected is not None, f"no command is expected after {event}"
            command = self._policy.step(event)
            transcript.append(f"   >> {event}")
            if command != expected:
                raise AssertionError("\n".join(["", *transcript, f"-  << {expected}", f"+  << {command}"]))
            transcript.append(f"   << {command}")
        return True


MakePlaybook = Callable[..., Playbook]


@pytest.fixture
def playbook() -> Iterator[MakePlaybook]:
    """Makes playbooks; one that was never played is an error, for it has tested nothing."""
    made: list[Playbook] = []

    def make(plan: Plan, *, chance: float = 0.5) -> Playbook:
        made.append(Playbook(plan, chance))
        return made[-1]

    yield make
    assert all(one.played for one in made), "a playbook was written but not asserted"
