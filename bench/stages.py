"""The stages of a run: each measures all subjects in one way, in turn, in several rounds.

In one stage all subjects run the whole time, pinned to the same core; the one that is measured has it for itself, since
the others wait for requests that do not come. The stage of memory and start is the exception: it starts each subject
anew in each round, one at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from bench import measures
from bench.cores import Cores
from bench.errors import BenchError
from bench.load import Load
from bench.measures import GRADES, SIZES, Grade, Measure
from bench.results import Miss, Results, Sample
from bench.running import Started, started, upstream
from bench.stream_load import streams
from bench.stream_server import StreamServer
from bench.subjects import Subject

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from bench.load import Outcome

PACE: Final = 0.01
"""Seconds from one event of a stream to the next. A fast model writes a hundred tokens a second."""

_SETTLING: Final = 0.3
_LOOK: Final = 0.1
_WARM_STREAMS: Final = 50
_LIVES: Final = 3
_LATENCY: Final = Grade("1k", 1)
_LOADED: Final = Grade("1k", 256)
_SLOW_CONNECTIONS: Final = 32
_UNITS: Final = {"µs": 1e6, "ms": 1e3}


class Run(msgspec.Struct, frozen=True):
    """What all stages of a run share.

    Attributes:
        cores: which core does what.
        seconds: length of one measurement.
        rounds: how often each is made.
        quick: whether to leave out all but the first of the sizes, and most of the open streams.
        results: where samples go.
        tell: is told what is being done.
    """

    cores: Cores
    seconds: float
    rounds: int
    quick: bool
    results: Results
    tell: Callable[[str], None]

    @property
    def grades(self) -> tuple[Grade, ...]:
        """How whole requests are put on a proxy."""
        return GRADES[:1] if self.quick else GRADES

    @property
    def open_streams(self) -> int:
        """On how many open streams the memory of one is measured."""
        return 100 if self.quick else 1000

    def note(self, measure: Measure, subject: Subject, number: int, value: float) -> None:
        """Keep a sample."""
        self.results.samples.append(Sample(measure.name, subject.name, number, value))
        self.tell(f"{subject.title}: {measure.title}: {measure.show(value)} {measure.unit}")

    @contextlib.contextmanager
    def attempted(self, stage: str, subject: Subject) -> Iterator[None]:
        """Keep what goes wrong in the block as a miss of ``subject``, so that the others are still measured."""
        try:
            yield
        except BenchError as error:
            self.results.misses.append(Miss(stage, subject.name, str(error)))
            self.tell(f"{subject.title}: {stage}: {error}")

    async def load(self, each: Started, grade: Grade, seconds: float | None = None) -> Outcome:
        """Put whole requests on a subject, for ``seconds`` or those of the run, and longer where few are answered."""
        length = (seconds or self.seconds) * grade.longer * each.subject.slow
        load = Load(each.form, SIZES[grade.size], grade.connections, length)
        return await load.run(each.service.port, each.folder, self.cores.load)


class Stage(msgspec.Struct, frozen=True):
    """A way of measuring.

    Attributes:
        measure: measures the subjects in this way.
        needs: the programs that this takes, each with how it is had.
    """

    measure: Callable[[Run, Sequence[Subject]], Awaitable[None]]
    needs: dict[str, str]


@contextlib.asynccontextmanager
async def _all(run: Run, stage: str, subjects: Sequence[Subject], port: int) -> AsyncIterator[list[Started]]:
    """Run all subjects in front of ``port``; those that do not start are misses."""
    async with contextlib.AsyncExitStack() as stack:
        running = []
        for subject in subjects:
            with run.attempted(stage, subject):
                running.append(await stack.enter_async_context(started(subject, port, run.cores)))
        yield running


async def plain(run: Run, subjects: Sequence[Subject]) -> None:
    """Measure whole requests, as many as the subject can answer: CPU for each, and how many in a second."""
    async with upstream(run.cores) as mock, _all(run, "plain", subjects, mock.port) as running:
        for grade in run.grades:
            able = [each for each in running if grade.connections <= _SLOW_CONNECTIONS or each.subject.slow == 1]
            for each in able:
                with run.attempted(grade.title, each.subject):
                    await run.load(each, grade, 1)  # connections are made, caches filled
            for number in range(run.rounds):
                for each in able:
                    with run.attempted(grade.title, each.subject):
                        await _requests(run, each, grade, number)


async def _requests(run: Run, each: Started, grade: Grade, number: int) -> None:
    before = each.service.usage()
    outcome = await run.load(each, grade)
    after = each.service.usage()
    cpu, waited = after.since(before), after.waited - before.waited
    run.note(grade.cpu, each.subject, number, cpu / outcome.requests * _UNITS[grade.cpu.unit])
    run.note(grade.rate, each.subject, number, outcome.requests / outcome.duration)
    run.note(grade.busy, each.subject, number, 100 * cpu / outcome.duration)
    run.note(measures.WAITED, each.subject, number, 100 * waited / outcome.duration)


async def latency(run: Run, subjects: Sequence[Subject]) -> None:
    """Measure how much later an answer of 1 KB is there than without a proxy, with one request at a time."""
    async with upstream(run.cores) as mock, _all(run, "latency", subjects, mock.port) as running:
        for number in range(-1, run.rounds):
            for each in running:
                with run.attempted("latency", each.subject):
                    direct = await run.load(msgspec.structs.replace(each, service=mock), _LATENCY)
                    proxied = await run.load(each, _LATENCY)
                    if number >= 0:  # the first round warms
                        run.note(measures.ADDED_P50, each.subject, number, (proxied.p50 - direct.p50) * 1e6)
                        run.note(measures.ADDED_P99, each.subject, number, (proxied.p99 - direct.p99) * 1e6)


async def chunks(run: Run, subjects: Sequence[Subject]) -> None:
    """Measure the CPU for each chunk of streams that flow, their beginning and end left out."""
    async with StreamServer(PACE) as mock, _all(run, "chunks", subjects, mock.port) as running:
        for number in range(run.rounds):
            for each in running:
                with run.attempted("chunks", each.subject):
                    await _chunks(run, each, number)


async def _chunks(run: Run, each: Started, number: int) -> None:
    async with streams() as opened:
        await opened.add(each.subject.streams, each.service.port, each.request(stream=True))
        await asyncio.sleep(_SETTLING)
        events, began, before = opened.events, time.monotonic(), each.service.usage()
        await asyncio.sleep(run.seconds)
        events, took, after = opened.events - events, time.monotonic() - began, each.service.usage()
        opened.check()
    if not events:
        raise BenchError(f"no event came through in {run.seconds:g} s")
    run.note(measures.CPU_CHUNK, each.subject, number, after.since(before) / events * 1e6)
    run.note(measures.CHUNK_RATE, each.subject, number, events / took)
    run.note(measures.WAITED, each.subject, number, 100 * (after.waited - before.waited) / took)


async def life(run: Run, subjects: Sequence[Subject]) -> None:
    """Measure start and memory, of a process started for it: idle, under load, and for each open stream."""
    async with upstream(run.cores) as whole, StreamServer(pause=None) as silent:
        for number in range(min(run.rounds, _LIVES)):
            for subject in subjects:
                with run.attempted("memory", subject):
                    async with started(subject, whole.port, run.cores) as each:
                        await _loaded(run, each, number)
                    async with started(subject, silent.port, run.cores) as each:
                        await _open(run, each, number)


async def _loaded(run: Run, each: Started, number: int) -> None:
    run.note(measures.START, each.subject, number, each.took)
    await asyncio.sleep(_SETTLING)
    run.note(measures.RSS_IDLE, each.subject, number, each.service.usage().resident / 1e6)
    load = asyncio.create_task(run.load(each, _LOADED))
    largest = 0
    while not (await asyncio.wait({load}, timeout=_LOOK))[0]:
        largest = max(largest, each.service.usage().resident)
    load.result()
    run.note(measures.RSS_LOAD, each.subject, number, largest / 1e6)


async def _open(run: Run, each: Started, number: int) -> None:
    request = each.request(stream=True)
    async with streams() as opened:
        await opened.add(_WARM_STREAMS, each.service.port, request)  # what the first ones need is not theirs alone
        before = each.service.usage().resident
        await opened.add(run.open_streams, each.service.port, request)
        grown = each.service.usage().resident - before
    run.note(measures.RSS_STREAM, each.subject, number, grown / run.open_streams / 1e3)


_TOOLS: Final = {"nginx": "apt-get install nginx", "wrk": "apt-get install wrk"}

STAGES: Final = {
    "plain": Stage(plain, _TOOLS),
    "latency": Stage(latency, _TOOLS),
    "chunks": Stage(chunks, {}),
    "life": Stage(life, _TOOLS),
}
"""In the order in which they run, by the names that ``--stages`` has for them."""
