from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from hydrallm.supervisor.messages import Answer, Lines, Message, Question
from hydrallm.supervisor.slot import Link, Slot, Worker
from hydrallm.supervisor.survey import PATIENCE, Surveys

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.platform("linux", "darwin")


class Crew:
    """Slots with workers that are sockets in the test's hand."""

    def __init__(self) -> None:
        self.slots: list[Slot] = []
        self.ends: list[socket.socket] = []

    def add(self, *, ready: bool = True) -> Link:
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        slot = Slot(len(self.slots) + 1, ())
        slot.worker = Worker(1000 + slot.number, slot, Link(ours))
        slot.worker.ready_at = 1.0 if ready else None
        self.slots.append(slot)
        self.ends.append(theirs)
        return slot.worker.link

    def said_to(self, number: int) -> list[Message]:
        """Return what the worker in a slot has been sent since it was last looked."""
        try:
            return Lines().feed(self.ends[number - 1].recv(1 << 16))
        except BlockingIOError:
            return []

    def asked(self, number: int) -> int:
        (message,) = self.said_to(number)
        assert isinstance(message, Question)
        assert message.topic == "health"
        return message.id

    def answered(self, number: int, id_: int) -> list[dict[str, Any]]:
        (message,) = self.said_to(number)
        assert isinstance(message, Answer)
        assert message.id == id_
        told: list[dict[str, Any]] = json.loads(bytes(message.content))
        return told


@pytest.fixture
def crew() -> Iterator[Crew]:
    made = Crew()
    yield made
    for end in made.ends:
        end.close()
    for slot in made.slots:
        if slot.worker is not None:
            slot.worker.link.close()


def answer(id_: int, value: object) -> Answer:
    return Answer(id_, msgspec.Raw(json.dumps(value).encode()))


def test_the_answers_of_all_come_back_in_order_whoever_is_first(crew: Crew) -> None:
    asker = crew.add()
    crew.add()
    surveys = Surveys()
    surveys.begin(asker, Question(7, "health"), crew.slots, 10.0)
    first, second = crew.asked(1), crew.asked(2)
    surveys.take(answer(second, {"is": 2}))
    assert crew.said_to(1) == []
    assert surveys.due == 10.0 + PATIENCE
    surveys.take(answer(first, {"is": 1}))
    assert crew.answered(1, 7) == [
        {"worker": 1, "pid": 1001, "state": "ready", "content": {"is": 1}},
        {"worker": 2, "pid": 1002, "state": "ready", "content": {"is": 2}},
    ]
    assert surveys.due is None


def test_who_does_not_answer_in_time_is_silent_and_too_late_afterwards(crew: Crew) -> None:
    asker = crew.add()
    crew.add()
    surveys = Surveys()
    surveys.begin(asker, Question(7, "health"), crew.slots, 10.0)
    surveys.take(answer(crew.asked(1), 1))
    surveys.expire(10.0 + PATIENCE - 0.01)
    assert crew.said_to(1) == []
    surveys.expire(10.0 + PATIENCE)
    assert [told["state"] for told in crew.answered(1, 7)] == ["ready", "silent"]
    surveys.take(answer(crew.asked(2), 2))
    assert crew.said_to(1) == []


def test_who_cannot_answer_is_not_waited_for(crew: Crew) -> None:
    asker = crew.add()
    crew.add(ready=False)
    crew.slots.append(Slot(3, ()))
    surveys = Surveys()
    surveys.begin(asker, Question(7, "health"), crew.slots, 10.0)
    surveys.take(answer(crew.asked(1), None))
    told = crew.answered(1, 7)
    assert [(one["pid"], one["state"]) for one in told] == [(1001, "ready"), (1002, "starting"), (0, "dead")]
    assert crew.said_to(2) == []


def test_who_takes_nothing_more_is_not_asked(crew: Crew) -> None:
    asker, stuck = crew.add(), crew.add()
    while not stuck.full:
        stuck.send(Question(0, "x" * 10_000))
    surveys = Surveys()
    surveys.begin(asker, Question(7, "health"), crew.slots, 10.0)
    surveys.take(answer(crew.asked(1), None))
    assert [told["state"] for told in crew.answered(1, 7)] == ["ready", "silent"]


def test_surveys_do_not_mix(crew: Crew) -> None:
    one, other = crew.add(), crew.add()
    surveys = Surveys()
    surveys.begin(one, Question(1, "health"), crew.slots, 10.0)
    surveys.begin(other, Question(1, "health"), crew.slots, 10.2)
    questions = {number: [m for m in crew.said_to(number) if isinstance(m, Question)] for number in (1, 2)}
    for number in (1, 2):
        surveys.take(answer(questions[number][1].id, f"second of {number}"))
    assert [told["content"] for told in crew.answered(2, 1)] == ["second of 1", "second of 2"]
    surveys.expire(10.0 + PATIENCE)
    assert [told["state"] for told in crew.answered(1, 1)] == ["silent", "silent"]


def test_nobody_is_told_who_has_died_meanwhile(crew: Crew) -> None:
    asker = crew.add()
    surveys = Surveys()
    surveys.begin(asker, Question(7, "health"), crew.slots, 10.0)
    asker.close()
    surveys.expire(11.0)
    assert surveys.due is None
