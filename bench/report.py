"""The tables of a run, in Markdown, which a terminal shows well enough."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from bench import measures
from bench.measures import GRADES
from bench.subjects import NGINX
from bench.targets import TARGETS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.measures import Measure
    from bench.results import Results

_NONE = "–"
_NOISY = 3.0
"""Percent of the time that a proxy may be kept from its core before its figures say more of the others."""


def report(results: Results) -> str:
    """Return all that ``results`` say: the machine, a table for each stage, the targets, and what is missing."""
    parts = [_table(("Measured on", ""), [*results.machine.items(), *_contention(results)])]
    for grade in GRADES:
        parts += _section(f"Whole requests: {grade.title}", results, (grade.cpu, grade.rate, grade.busy))
    parts += _section("Added latency: one request of 1 KB at a time", results, (measures.ADDED_P50, measures.ADDED_P99))
    parts += _section("Streams that flow", results, (measures.CPU_CHUNK, measures.CHUNK_RATE))
    parts += _section(
        "Start and memory", results, (measures.START, measures.RSS_IDLE, measures.RSS_LOAD, measures.RSS_STREAM)
    )
    parts += _targets(results)
    if results.misses:
        rows = [(results.titles[miss.subject], miss.stage, " ".join(miss.why.split())[:300]) for miss in results.misses]
        parts.append("### Not measured\n\n" + _table(("Proxy", "Stage", "Why"), rows))
    return "\n\n".join(parts) + "\n"


def _contention(results: Results) -> Iterator[tuple[str, str]]:
    waits = [sample.value for sample in results.samples if sample.measure == measures.WAITED.name]
    if waits:
        middle, worst = statistics.median(waits), max(waits)
        quiet = "" if worst < _NOISY else "; NOT QUIET, so not to be quoted"
        yield "core taken by others", f"{middle:.1f} % of the time, {worst:.1f} % at worst{quiet}"


def _section(title: str, results: Results, columns: tuple[Measure, ...]) -> Iterator[str]:
    rows = [row for name in results.titles if (row := _row(results, name, columns))]
    if rows:
        headings = [heading for index, measure in enumerate(columns) for heading in _headings(measure, index)]
        yield f"### {title}\n\n" + _table(("Proxy", *headings), rows)


def _headings(measure: Measure, index: int) -> list[str]:
    heading = f"{measure.title.partition(',')[0]}, {measure.unit}"
    return [heading, "lowest to highest", "× nginx"] if index == 0 else [heading]


def _row(results: Results, subject: str, columns: tuple[Measure, ...]) -> list[str]:
    """Return the cells of a subject: the first measure with its spread and ratio, of the others the median."""
    if results.summary(columns[0].name, subject) is None:
        return []
    cells = [results.titles[subject]]
    for index, measure in enumerate(columns):
        summary = results.summary(measure.name, subject)
        cells.append(measure.show(summary.median) if summary else _NONE)
        if index == 0 and summary:
            ratio = results.ratio(measure.name, subject, NGINX.name)
            cells += [
                f"{measure.show(summary.low)} to {measure.show(summary.high)}",
                f"{ratio:.2f}" if ratio else _NONE,
            ]
    return cells


def _targets(results: Results) -> Iterator[str]:
    rows = []
    for target in TARGETS:
        figure = target.figure(results)
        if figure is not None:
            verdict = "met" if figure <= target.limit else "missed"
            rows.append((target.title, f"{figure:.2f} {target.unit}", f"≤ {target.limit:g} {target.unit}", verdict))
    if rows:
        yield "### Targets\n\n" + _table(("What", "Measured", "Target", ""), rows)


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[index]) for row in (headings, *rows)) for index in range(len(headings))]

    def line(cells: Sequence[str]) -> str:
        first, *others = zip(cells, widths, strict=True)
        return "| " + " | ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]) + " |"

    rule = [":" + "-" * (widths[0] - 1), *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join([line(headings), line([cell or "-" for cell in rule]), *map(line, rows)])
