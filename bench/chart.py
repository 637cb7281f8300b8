"""Charts as SVG: for each subject a dot at the median and a line from the lowest figure to the highest.

The axis is logarithmic, since the proxies lie two orders of magnitude apart; that is why there are dots and no bars:
the length of a bar would say nothing there. Colours follow the reader's light or dark background.
"""

from __future__ import annotations

import bisect
import math
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape

from bench import measures
from bench.measures import GRADES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.measures import Measure
    from bench.results import Results, Summary

CHARTED: Final = (
    GRADES[0].cpu,
    GRADES[0].rate,
    measures.CPU_CHUNK,
    measures.ADDED_P50,
    measures.RSS_IDLE,
    measures.RSS_STREAM,
)
"""The measures that have a chart."""

_WIDTH: Final = 800
_LEFT: Final = 255
_RIGHT: Final = 85
_TOP: Final = 56
_ROW: Final = 26
_BOTTOM: Final = 30
_SCALE: Final = [float(f"{step}e{exponent}") for exponent in range(-4, 9) for step in (1, 2, 5)]
"""The figures that may have a line: 1, 2, 5 and their multiples by ten. An axis begins and ends with one."""
_OURS: Final = "HydraLLM"
_STYLE: Final = """\
  text { font: 13px system-ui, sans-serif; fill: #24292f }
  .title { font-weight: 600; font-size: 15px }
  .note, .tick { font-size: 11px; fill: #57606a }
  .grid { stroke: #d0d7de }
  .dot, .range { stroke: #57606a; fill: #57606a }
  .ours { stroke: #0969da; fill: #0969da }
  text.ours { stroke: none; font-weight: 600 }
  .range { stroke-width: 3; opacity: 0.45; stroke-linecap: round }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .note, .tick { fill: #9198a1 }
    .grid { stroke: #3d444d }
    .dot, .range { stroke: #9198a1; fill: #9198a1 }
    .ours { stroke: #4493f8; fill: #4493f8 }
  }
"""


class Axis:
    """A logarithmic axis.

    Args:
        low: the smallest figure on it, above 0.
        high: the largest.
    """

    def __init__(self, low: float, high: float) -> None:
        self.low = _SCALE[max(bisect.bisect_right(_SCALE, low) - 1, 0)]
        self.high = _SCALE[min(bisect.bisect_right(_SCALE, high), len(_SCALE) - 1)]

    def x(self, value: float) -> float:
        """Return the place of ``value``, in pixels from the left of the picture."""
        share = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def ticks(self) -> list[float]:
        """Return the figures that have a line."""
        return [tick for tick in _SCALE if self.low <= tick <= self.high]


def charts(results: Results) -> dict[str, str]:
    """Return the charts of ``results`` as SVG, by the name of their measure; those without figures are left out."""
    drawn = {measure.name: chart(results, measure) for measure in CHARTED}
    return {name: picture for name, picture in drawn.items() if picture}


def chart(results: Results, measure: Measure) -> str:
    """Return the chart of one measure as SVG; empty if there is nothing above 0 to show."""
    rows = {name: summary for name in results.titles if (summary := results.summary(measure.name, name))}
    shown = {name: summary for name, summary in rows.items() if summary.median > 0}
    if not shown:
        return ""
    axis = Axis(
        min(max(each.low, each.median / 10) for each in shown.values()), max(each.high for each in shown.values())
    )
    order = sorted(shown, key=lambda name: shown[name].median, reverse=measure.better == "more")
    height = _TOP + _ROW * len(order) + _BOTTOM
    parts = [*_frame(measure, axis, height)]
    for index, name in enumerate(order):
        parts += _row(results.titles[name], shown[name], measure, axis, _TOP + _ROW * index + _ROW // 2)
    box = f'width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {box} role="img">'
    title = f"<title>{escape(_title(measure))}</title>"
    return "\n".join([head, title, f"<style>\n{_STYLE}</style>", *parts, "</svg>", ""])


def _title(measure: Measure) -> str:
    return f"{measure.title[0].upper()}{measure.title[1:]} ({measure.unit})"


def _frame(measure: Measure, axis: Axis, height: int) -> Iterator[str]:
    yield f'<text class="title" x="8" y="20">{escape(_title(measure))}</text>'
    note = f"{measure.better} is better; logarithmic; dot: median, line: lowest to highest"
    yield f'<text class="note" x="8" y="38">{note}</text>'
    for tick in axis.ticks():
        x = f"{axis.x(tick):.1f}"
        yield f'<line class="grid" x1="{x}" x2="{x}" y1="{_TOP - 4}" y2="{height - _BOTTOM + 4}"/>'
        yield f'<text class="tick" x="{x}" y="{height - 10}" text-anchor="middle">{tick:,g}</text>'


def _row(title: str, summary: Summary, measure: Measure, axis: Axis, y: int) -> Iterator[str]:
    ours = " ours" if title.startswith(_OURS) else ""
    low, middle, high = (f"{axis.x(value):.1f}" for value in (summary.low, summary.median, summary.high))
    yield f'<text class="name{ours}" x="{_LEFT - 12}" y="{y + 4}" text-anchor="end">{escape(title)}</text>'
    yield f'<line class="range{ours}" x1="{low}" x2="{high}" y1="{y}" y2="{y}"/>'
    yield f'<circle class="dot{ours}" cx="{middle}" cy="{y}" r="5"/>'
    yield f'<text class="figure{ours}" x="{float(high) + 10:.1f}" y="{y + 4}">{measure.show(summary.median)}</text>'
