"""The breaker, as transcripts: ``>>`` is what happens to the model, ``<<`` how its breaker then stands."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, Self

import pytest

from hydrallm.policy.breaker import FEWEST, FIRST_OPEN, IN_A_ROW, LONGEST_OPEN, WINDOW, Breaker, State
from hydrallm.policy.kinds import RULES, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator


class Failed(NamedTuple):
    """A try failed."""

    at: float
    kind: Kind = Kind.SERVER
    probe: bool = False
    began: float = math.inf

    def happen(self, breaker: Breaker) -> None:
        breaker.failed(self.kind, RULES[self.kind], self.at, probe=self.probe, began=self.began)


class Passed(NamedTuple):
    """A try brought an answer."""

    at: float
    began: float = math.inf

    def happen(self, breaker: Breaker) -> None:
        breaker.passed(self.at, began=self.began)


class Released(NamedTuple):
    """A probe told nothing, as its client left."""

    at: float
    began: float = math.inf

    def happen(self, breaker: Breaker) -> None:
        breaker.release(self.at, began=self.began)


class Cooled(NamedTuple):
    """The upstream wants to be left alone."""

    until: float

    def happen(self, breaker: Breaker) -> None:
        breaker.cool(self.until, Kind.RATE_LIMITED)


class Asked(NamedTuple):
    """An exchange that has other models comes by."""

    at: float

    def happen(self, breaker: Breaker) -> str:
        if not breaker.admits(self.at):
            return "kept away"
        return "a probe" if breaker.begin(self.at) else "let in"


Happening = Failed | Passed | Released | Cooled | Asked


class Transcript:
    """What happens to a breaker and how it then stands; played when its truth is asked for."""

    def __init__(self) -> None:
        self.played = False
        self._lines: list[tuple[Happening, str]] = []

    def __rshift__(self, happening: Happening) -> Self:
        self._lines.append((happening, ""))
        return self

    def __lshift__(self, stands: str) -> Self:
        happening, unknown = self._lines.pop()
        assert not unknown, "a breaker stands in one way"
        self._lines.append((happening, stands))
        return self

    def __bool__(self) -> bool:
        self.played = True
        breaker = Breaker()
        told: list[str] = []
        for happening, expected in self._lines:
            stands = happening.happen(breaker) or stand(breaker)
            told.append(f"   >> {happening}")
            if expected and stands != expected:
                raise AssertionError("\n".join(["", *told, f"-  << {expected}", f"+  << {stands}"]))
        return True


Make = Callable[[], Transcript]


def stand(breaker: Breaker) -> str:
    return "closed" if breaker.state is State.CLOSED else f"{breaker.state} until {breaker.until:g}"


@pytest.fixture
def transcript() -> Iterator[Make]:
    """Makes transcripts; one that was never played is an error, for it has tested nothing."""
    made: list[Transcript] = []

    def make() -> Transcript:
        made.append(Transcript())
        return made[-1]

    yield make
    assert all(one.played for one in made), "a transcript was written but not asserted"


def opened(transcript: Make, at: float = 0.0) -> Transcript:
    """Return a transcript in which the breaker has opened at ``at``."""
    story = transcript()
    for _ in range(IN_A_ROW):
        story = story >> Failed(at)
    return story << f"open until {at + FIRST_OPEN:g}"


# -- closed to open ----------------------------------------------------------------------------------------------------


def test_five_failures_in_a_row_open_it(transcript: Make) -> None:
    assert (
        transcript()
        >> Failed(1.0)
        >> Failed(2.0)
        >> Failed(3.0)
        >> Failed(400.0)
        << "closed"
        >> Asked(400.0)
        << "let in"
        >> Failed(401.0)
        << "open until 406"
        >> Asked(401.0)
        << "kept away"
    )


def test_a_success_breaks_the_row(transcript: Make) -> None:
    story = transcript()
    for number in range(4 * IN_A_ROW):
        at = number * WINDOW  # so that the share says nothing
        story = story >> (Passed(at) if number % IN_A_ROW == IN_A_ROW - 1 else Failed(at)) << "closed"
    assert story


def test_half_of_many_exchanges_open_it(transcript: Make) -> None:
    story = transcript()
    for _ in range(FEWEST // 2):
        story = story >> Passed(1.0) >> Failed(1.0)
    assert story << f"open until {1 + FIRST_OPEN:g}"


def test_half_of_few_exchanges_say_nothing(transcript: Make) -> None:
    story = transcript()
    for _ in range(FEWEST // 2 - 1):
        story = story >> Passed(1.0) >> Failed(1.0) << "closed"
    assert story >> Passed(1.0) << "closed"


def test_less_than_half_of_many_does_not_open_it(transcript: Make) -> None:
    story = transcript()
    for _ in range(10 * FEWEST):
        story = story >> Passed(1.0) >> Passed(1.0) >> Failed(1.0) << "closed"
    assert story


def test_a_share_is_of_one_window(transcript: Make) -> None:
    story = transcript()
    for number in range(10 * FEWEST):
        at = number * WINDOW / (FEWEST - 2)  # fewer than say something in any window
        story = story >> (Failed(at) if number % 2 else Passed(at)) << "closed"
    assert story


@pytest.mark.parametrize("kind", [kind for kind in Kind if RULES[kind].opens])
def test_some_failures_say_it_all(kind: Kind, transcript: Make) -> None:
    opens = RULES[kind].opens
    assert (
        transcript()
        >> Failed(1.0, kind)
        << f"open until {1 + opens:g}"
        >> Asked(1.0 + opens - 0.5)
        << "kept away"
        >> Asked(1.0 + opens)
        << "a probe"
    )


def test_the_longer_time_wins_while_it_is_open(transcript: Make) -> None:
    assert (
        opened(transcript)
        >> Failed(1.0, Kind.QUOTA)
        << "open until 301"
        >> Failed(2.0, Kind.MISCONFIGURED)
        << "open until 301"
        >> Failed(3.0)
        << "open until 301"
    )


# -- open to half open to closed ---------------------------------------------------------------------------------------


def test_a_probe_that_passes_closes_it(transcript: Make) -> None:
    assert (
        opened(transcript)
        >> Asked(4.5)
        << "kept away"
        >> Asked(5.0)
        << "a probe"
        >> Asked(5.0)
        << "kept away"
        >> Passed(6.0, began=5.0)
        << "closed"
        >> Asked(6.0)
        << "let in"
    )


def test_after_closing_it_begins_anew(transcript: Make) -> None:
    assert (
        opened(transcript)
        >> Asked(5.0)
        >> Passed(6.0)
        >> Failed(7.0)
        >> Failed(7.0)
        >> Failed(7.0)
        >> Failed(7.0)
        << "closed"
        >> Failed(7.0)
        << "open until 12"
    )


def test_probes_that_fail_double_the_time_up_to_the_longest(transcript: Make) -> None:
    assert (
        opened(transcript)
        >> Asked(5.0)
        << "a probe"
        >> Failed(5.0, probe=True, began=5.0)
        << "open until 15"
        >> Asked(15.0)
        >> Failed(15.0, probe=True, began=15.0)
        << "open until 35"
        >> Asked(35.0)
        >> Failed(35.0, probe=True, began=35.0)
        << "open until 55"
    )
    assert LONGEST_OPEN == 20.0


def test_the_time_after_a_probe_counts_from_its_beginning(transcript: Make) -> None:
    assert opened(transcript) >> Asked(5.0) << "a probe" >> Failed(9.0, probe=True, began=5.0) << "open until 15"


def test_a_probe_for_an_empty_account_fails_for_long(transcript: Make) -> None:
    assert opened(transcript) >> Asked(5.0) >> Failed(5.0, Kind.QUOTA, probe=True, began=5.0) << "open until 305"


def test_a_probe_that_hangs_keeps_others_away_for_its_period_only(transcript: Make) -> None:
    story = opened(transcript)
    for began, period in ((5.0, 5.0), (10.0, 10.0), (20.0, 20.0), (40.0, 20.0), (60.0, 20.0)):
        story = story >> Asked(began) << "a probe" >> Asked(began + period - 0.5) << "kept away"
    assert story


def test_a_probe_that_hangs_after_a_long_time_does_not_keep_others_away_for_as_long(transcript: Make) -> None:
    assert (
        transcript()
        >> Failed(0.0, Kind.QUOTA)
        >> Asked(300.0)
        << "a probe"
        >> Asked(319.5)
        << "kept away"
        >> Asked(320.0)
        << "a probe"
    )


def test_a_hanging_probe_that_fails_at_last_does_not_speak_for_the_one_after_it(transcript: Make) -> None:
    assert (
        opened(transcript)
        >> Asked(5.0)
        >> Asked(10.0)
        << "a probe"
        >> Failed(11.0, probe=True, began=5.0)
        << "half_open until 20"
        >> Passed(12.0, began=10.0)
        << "closed"
        >> Failed(13.0, probe=True, began=5.0)
        << "closed"
    )


def test_a_hanging_probe_that_passes_at_last_is_as_good_as_any(transcript: Make) -> None:
    assert opened(transcript) >> Asked(5.0) >> Asked(10.0) << "a probe" >> Passed(11.0, began=5.0) << "closed"


def test_a_probe_whose_client_leaves_makes_room_for_another(transcript: Make) -> None:
    assert (
        opened(transcript)
        >> Asked(5.0)
        << "a probe"
        >> Released(6.0, began=5.0)
        << "half_open until 6"
        >> Asked(6.0)
        << "a probe"
        >> Released(7.0, began=5.0)  # not this one
        >> Asked(7.0)
        << "kept away"
    )


def test_a_release_means_nothing_unless_half_open(transcript: Make) -> None:
    assert transcript() >> Released(1.0) << "closed"
    assert opened(transcript) >> Released(1.0) << "open until 5"


# -- tries that are made though it is open, and old news ---------------------------------------------------------------


def test_a_forced_try_that_fails_changes_nothing(transcript: Make) -> None:
    assert (
        opened(transcript)
        >> Failed(1.0, began=0.5)
        << "open until 5"
        >> Asked(5.0)
        << "a probe"
        >> Failed(6.0, began=5.5)
        << "half_open until 10"
    )


def test_a_forced_try_that_passes_closes_it(transcript: Make) -> None:
    assert opened(transcript) >> Passed(1.0, began=0.5) << "closed"


def test_an_answer_that_began_before_it_opened_does_not_close_it(transcript: Make) -> None:
    assert (
        opened(transcript, at=10.0)
        >> Passed(11.0, began=9.0)
        << "open until 15"
        >> Asked(15.0)
        << "a probe"
        >> Passed(16.0, began=9.0)
        << "half_open until 20"
    )


def test_failures_that_began_before_it_closed_do_not_open_it_again(transcript: Make) -> None:
    story = opened(transcript) >> Asked(5.0) >> Passed(6.0, began=5.0) << "closed"
    for _ in range(2 * IN_A_ROW):
        story = story >> Failed(7.0, began=5.5) << "closed"
    assert story >> Failed(7.0, Kind.QUOTA, began=5.5) << "closed"


# -- cooling -----------------------------------------------------------------------------------------------------------


def test_a_model_that_cools_is_left_alone_until_then(transcript: Make) -> None:
    assert (
        transcript()
        >> Cooled(60.0)
        << "closed"
        >> Asked(59.5)
        << "kept away"
        >> Passed(59.5)  # of an exchange that was under way
        >> Asked(59.5)
        << "kept away"
        >> Asked(60.0)
        << "let in"
    )


def test_the_longest_cooldown_counts(transcript: Make) -> None:
    assert transcript() >> Cooled(60.0) >> Cooled(30.0) >> Asked(45.0) << "kept away"


def test_an_open_model_that_cools_longer_is_left_alone_for_longer(transcript: Make) -> None:
    assert opened(transcript) >> Cooled(60.0) >> Asked(30.0) << "kept away" >> Asked(60.0) << "a probe"


def test_what_answers_has_cooled_down(transcript: Make) -> None:
    assert opened(transcript) >> Cooled(60.0) >> Passed(30.0, began=29.0) << "closed" >> Asked(30.0) << "let in"
