"""A run's figures as the project shows them: the tables in ``docs/performance.md``, the charts beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.chart import charts
from bench.errors import BenchError
from bench.report import report

if TYPE_CHECKING:
    from pathlib import Path

    from bench.results import Results

BEGIN = "<!-- figures: written by `make bench ARGS=--publish` -->"
END = "<!-- end of figures -->"


def write(results: Results, folder: Path) -> None:
    """Write the figures and the charts into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    results.save(folder / "results.json")
    for name, picture in charts(results).items():
        (folder / f"{name}.svg").write_text(picture, "utf-8")


def publish(results: Results, page: Path) -> None:
    """Put the report between the marks of ``page``, and what it is made of into the folder of the same name beside it.

    Raises:
        BenchError: the page has no marks.
    """
    before, begin, rest = page.read_text("utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise BenchError(f"{page} has no place for the figures: a line {BEGIN} and a line {END}")
    page.write_text(f"{before}{BEGIN}\n\n{report(results)}\n{END}{after}", "utf-8")
    write(results, page.with_suffix(""))
