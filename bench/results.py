"""What a run has measured: kept as JSON, summed up as medians with their spread and as ratios inside a round."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from pathlib import Path


class Sample(msgspec.Struct, frozen=True):
    """One measurement.

    Attributes:
        measure: the name of the measure.
        subject: the name of the subject.
        round: in which round it was taken, from 0.
        value: the figure, in the unit of the measure.
    """

    measure: str
    subject: str
    round: int
    value: float


class Miss(msgspec.Struct, frozen=True):
    """Something that could not be measured: where, and why."""

    stage: str
    subject: str
    why: str


class Summary(msgspec.Struct, frozen=True):
    """What the samples of one measure of one subject say.

    Attributes:
        median: the middle one.
        low: the smallest.
        high: the largest.
    """

    median: float
    low: float
    high: float


class Results(msgspec.Struct):
    """All that a run has measured, and on what.

    Attributes:
        machine: what it ran on, as titles and texts.
        titles: the title of each subject, by its name, in the order of the tables.
        samples: the measurements, in the order in which they were made.
        misses: what could not be measured.
    """

    machine: dict[str, str]
    titles: dict[str, str]
    samples: list[Sample] = []
    misses: list[Miss] = []

    def values(self, measure: str, subject: str) -> dict[int, float]:
        """Return the figures of a measure of a subject, by round."""
        return {
            sample.round: sample.value
            for sample in self.samples
            if sample.measure == measure and sample.subject == subject
        }

    def summary(self, measure: str, subject: str) -> Summary | None:
        """Return what the samples of a measure of a subject say; None if there are none."""
        values = self.values(measure, subject).values()
        return Summary(statistics.median(values), min(values), max(values)) if values else None

    def ratio(self, measure: str, subject: str, reference: str) -> float | None:
        """Return the median over the rounds of what ``subject`` has to what ``reference`` has in the same round.

        None if they have no round in common.
        """
        ours, theirs = self.values(measure, subject), self.values(measure, reference)
        ratios = [ours[number] / theirs[number] for number in ours.keys() & theirs.keys() if theirs[number]]
        return statistics.median(ratios) if ratios else None

    def save(self, path: Path) -> None:
        """Write all of it as JSON."""
        path.write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n")


def load(path: Path) -> Results:
    """Return what a run has saved.

    Raises:
        msgspec.DecodeError: it is no such file.
    """
    return msgspec.json.decode(path.read_bytes(), type=Results)
