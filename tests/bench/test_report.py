from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.chart import CHARTED, Axis, charts
from bench.errors import BenchError
from bench.measures import MEASURES
from bench.publication import BEGIN, END, publish
from bench.report import report
from bench.results import Miss, Results, Sample, load
from bench.subjects import SUBJECTS
from bench.targets import TARGETS

if TYPE_CHECKING:
    from pathlib import Path

SVG = "{http://www.w3.org/2000/svg}"
figures = st.floats(min_value=0.01, max_value=1e5)


def made(values: dict[str, list[float]], measure: str = "cpu-1k-32") -> Results:
    samples = [Sample(measure, name, index, each) for name, all_ in values.items() for index, each in enumerate(all_)]
    return Results({"kernel": "Linux <6>"}, {name: f"The {name} & Co" for name in values}, samples)


def test_a_row_has_the_median_the_spread_and_the_ratio() -> None:
    text = report(made({"nginx": [20.0, 10.0, 30.0], "passthrough": [40.0, 30.0, 90.0]}))
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    assert ["The nginx & Co", "20.0", "10.0 to 30.0", "1.00", "–", "–"] in cells
    assert ["The passthrough & Co", "40.0", "30.0 to 90.0", "3.00", "–", "–"] in cells
    assert ["pass-through, CPU per request of 1 KB, to nginx's", "3.00 ×", "≤ 2 ×", "missed"] in cells
    assert "Streams that flow" not in text


def test_a_disturbed_run_says_so_and_what_was_not_measured_has_its_reason() -> None:
    results = made({"nginx": [1.0, 9.0]}, "waited")
    results.misses.append(Miss("chunks", "nginx", "it has\ngone"))
    text = report(results)
    assert "5.0 % of the time, 9.0 % at worst; NOT QUIET" in text
    assert re.search(r"\| The nginx & Co \| +chunks \| +it has gone \|", text)
    assert "NOT QUIET" not in report(made({"nginx": [0.1, 0.9]}, "waited"))


@given(st.lists(st.lists(figures, min_size=1, max_size=4), min_size=1, max_size=5))
def test_a_chart_is_svg_with_a_dot_for_each_subject_further_right_the_larger_its_figure(
    values: list[list[float]],
) -> None:
    results = made({f"p{index}": each for index, each in enumerate(values)})
    root = ET.fromstring(charts(results)["cpu-1k-32"])  # noqa: S314 - ours
    width = float(root.attrib["width"])
    places = {}
    for name, dot in zip(
        [text.text for text in root.iter(f"{SVG}text") if text.attrib["class"].startswith("name")],
        [float(circle.attrib["cx"]) for circle in root.iter(f"{SVG}circle")],
        strict=True,
    ):
        places[name] = dot
        assert 0 < dot < width
    medians = {title: results.summary("cpu-1k-32", name) for name, title in results.titles.items()}
    order = [(summary.median, places[title]) for title, summary in medians.items() if summary is not None]
    assert [place for _, place in sorted(order)] == sorted(place for _, place in order)


@given(figures, figures)
def test_an_axis_holds_its_figures_and_has_lines(first: float, second: float) -> None:
    low, high = sorted((first, second))
    axis = Axis(low, high)
    ticks = list(axis.ticks())
    assert axis.low <= low * 1.000001
    assert axis.high > high * 0.999999
    assert ticks[0] == pytest.approx(axis.low)
    assert ticks[-1] == pytest.approx(axis.high)
    assert axis.x(axis.low) <= axis.x(low) <= axis.x(high) <= axis.x(axis.high)
    assert axis.x(axis.low) < axis.x(axis.high)


def test_nothing_measured_is_no_chart() -> None:
    assert charts(made({"nginx": [-1.0]}, "added-p50")) == {}


def test_published_figures_replace_the_last_ones_and_nothing_else(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text(f"before\n{BEGIN}\nthe last figures\n{END}\nafter\n", "utf-8")
    results = made({"nginx": [20.0]})
    for _ in range(2):
        publish(results, page)
        assert page.read_text("utf-8") == f"before\n{BEGIN}\n\n{report(results)}\n{END}\nafter\n"
    assert load(tmp_path / "performance" / "results.json") == results
    assert (tmp_path / "performance" / "cpu-1k-32.svg").is_file()
    page.write_text(f"before\n{BEGIN}\nafter\n", "utf-8")
    with pytest.raises(BenchError, match="has no place for the figures"):
        publish(results, page)


def test_the_tables_name_what_there_is() -> None:
    names = {subject.name for subject in SUBJECTS}
    assert {measure.name for measure in CHARTED} <= MEASURES.keys()
    for target in TARGETS:
        assert target.measure in MEASURES
        assert {target.subject, target.reference or "nginx"} <= names
