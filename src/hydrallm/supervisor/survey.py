"""Questions that one worker puts to all: who has been asked, what was told, when it is enough."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import msgspec

from hydrallm.supervisor.messages import Answer, Question, Told

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hydrallm.supervisor.slot import Link, Slot

PATIENCE = 0.5
"""Seconds in which a worker must answer."""


class _Survey:
    def __init__(self, asker: Link, question: Question, due: float) -> None:
        self.asker = asker
        self.question = question
        self.due = due
        self.told: list[Told] = []
        self.missing: dict[int, int] = {}
        """Of each question that was put, where in ``told`` its answer goes."""


class Surveys:
    """Those that are under way."""

    def __init__(self) -> None:
        self._ids = itertools.count(1)
        self._open: list[_Survey] = []

    @property
    def due(self) -> float | None:
        """When the oldest ends, whatever is missing then; None if there is none."""
        return self._open[0].due if self._open else None

    def begin(self, asker: Link, question: Question, slots: Sequence[Slot], now: float) -> None:
        """Put the ``question`` of the worker behind ``asker`` to all."""
        survey = _Survey(asker, question, now + PATIENCE)
        for slot in slots:
            worker = slot.worker
            if worker is None:
                survey.told.append(Told(slot.number, 0, "dead"))
            elif worker.ready_at is None:
                survey.told.append(Told(slot.number, worker.pid, "starting"))
            else:
                if not worker.link.full:
                    number = next(self._ids)
                    survey.missing[number] = len(survey.told)
                    worker.link.send(Question(number, question.topic))
                survey.told.append(Told(slot.number, worker.pid, "silent"))
        self._open.append(survey)
        self._end_complete()

    def take(self, answer: Answer) -> None:
        """Take a worker's answer; one that comes too late is nobody's."""
        for survey in self._open:
            place = survey.missing.pop(answer.id, None)
            if place is not None:
                asked = survey.told[place]
                survey.told[place] = Told(asked.worker, asked.pid, "ready", answer.content)
        self._end_complete()

    def expire(self, now: float) -> None:
        """End what has waited long enough."""
        for survey in self._open:
            if survey.due <= now:
                survey.missing.clear()
        self._end_complete()

    def _end_complete(self) -> None:
        for survey in self._open:
            if not survey.missing and not survey.asker.closed:
                survey.asker.send(Answer(survey.question.id, msgspec.Raw(msgspec.json.encode(survey.told))))
        self._open = [survey for survey in self._open if survey.missing]
