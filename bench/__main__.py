"""The command line of the benchmark: ``python -m bench --help``."""

from __future__ import annotations

import argparse
import asyncio
import resource
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop

from bench import cores, machine, publication
from bench.errors import BenchError
from bench.report import report
from bench.results import Results
from bench.stages import STAGES, Run
from bench.subjects import ROOT, SUBJECTS, chosen, lacking

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.subjects import Subject


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what the command line asks for; return the exit code: 1 if not all could be measured, 2 if nothing."""
    options = _options().parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was started is stopped, as after Ctrl-C
    try:
        names = _split(options.only)
        subjects = chosen(names, peers=options.peers)
        stages = _stages(_split(options.stages))
        _check(subjects, stages)
        results = _measure(options, subjects, stages)
        print(report(results))
        publication.write(results, options.output)
        print(f"The figures and the charts are in {options.output}")
        if options.publish:
            publication.publish(results, ROOT / "docs" / "performance.md")
    except BenchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 1 if results.misses else 0


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measures HydraLLM beside other proxies.")
    add = parser.add_argument
    names = ", ".join(subject.name for subject in SUBJECTS)
    add("--only", default="", metavar="NAMES", help=f"measure these alone, separated by commas: {names}")
    add("--stages", default="", metavar="NAMES", help=f"measure in these ways alone: {', '.join(STAGES)}")
    add("--peers", action="store_true", help="measure LiteLLM and Portkey too; this takes longer")
    add("--seconds", type=float, default=3.0, help="length of one measurement (3)")
    add("--rounds", type=int, default=5, help="how often each is made (5)")
    add("--quick", action="store_true", help="1 KB on 32 connections only, and 100 open streams instead of 1,000")
    add("--publish", action="store_true", help="put the figures into docs/performance.md as well")
    add(
        "--output",
        type=Path,
        default=ROOT / "build" / "bench",
        metavar="FOLDER",
        help="for what it finds (build/bench)",
    )
    return parser


def _split(names: str) -> list[str]:
    return [name.strip() for name in names.split(",") if name.strip()]


def _stages(names: list[str]) -> list[str]:
    if unknown := [name for name in names if name not in STAGES]:
        raise BenchError(f"there is no stage {unknown[0]!r}; there are {', '.join(STAGES)}")
    return [name for name in STAGES if name in names or not names]


def _check(subjects: list[Subject], stages: list[str]) -> None:
    wanted = [stage.needs for name, stage in STAGES.items() if name in stages] + [subject.needs for subject in subjects]
    if missing := sorted({line for needs in wanted for line in lacking(needs)}):
        lines = "\n  ".join(missing)
        raise BenchError(f"not all is here; --only and --stages leave out what needs it:\n  {lines}")


def _measure(options: argparse.Namespace, subjects: list[Subject], stages: list[str]) -> Results:
    chosen_cores = cores.choose()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a stream takes two of them in a proxy
    results = Results(machine.describe(chosen_cores), {subject.name: subject.title for subject in subjects})
    run = Run(chosen_cores, options.seconds, options.rounds, options.quick, results, _tell)

    async def measure() -> None:
        for stage in stages:
            await STAGES[stage].measure(run, subjects)

    with cores.pinned(chosen_cores.load), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(measure())
    return results


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
