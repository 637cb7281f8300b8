"""The guard, ``make guard``: what a request costs must not grow unnoticed. ``ARGS=--update`` records what it costs now.

Time says little on a machine that others use, so instructions are counted, by valgrind's callgrind, which runs the
process on a simulated processor (https://valgrind.org/docs/manual/cl-manual.html). ``counted.py`` is what is run;
the figures of ``guard.json`` are instructions per unit, without those of client and upstream, divided by those of the
yardstick (``yardstick.py``), for each minor version of Python. Two runs of the same code differ by less than 2 %.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from bench.counted import KINDS, MARK, UNITS, WAYS
from bench.errors import BenchError
from bench.subjects import ROOT, lacking

if TYPE_CHECKING:
    from collections.abc import Sequence

TOLERANCE: Final = 0.08
"""How much more a unit may cost than its figure says, as a share of that."""

FIGURES: Final = ROOT / "bench" / "guard.json"

_TOTALS: Final = re.compile(r"^totals: (\d+)$", re.MULTILINE)
_PATIENCE: Final = 600
_UPDATE: Final = "make guard ARGS=--update"

Figures = dict[str, dict[str, float]]
"""For each minor version of Python, and each unit, how many yardsticks it costs."""


class Count(msgspec.Struct, frozen=True):
    """What a unit costs.

    Attributes:
        unit: such as ``pass-through: request``.
        instructions: of the proxy, for each.
        ratio: to those of a turn of the yardstick.
    """

    unit: str
    instructions: float
    ratio: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Count, and compare or record; return the exit code: 1 if anything has become dearer, 2 if nothing was counted."""
    parser = argparse.ArgumentParser(prog="python -m bench.guard", description="Counts instructions per request.")
    parser.add_argument("--update", action="store_true", help=f"write what is counted into {FIGURES.relative_to(ROOT)}")
    options = parser.parse_args(arguments)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    figures = msgspec.json.decode(FIGURES.read_bytes(), type=Figures)
    try:
        found = counts(run())
    except BenchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    lines, verdicts = compared(found, figures.get(version, {}))
    print("\n".join(lines))
    if options.update:
        figures[version] = {count.unit: round(count.ratio, 3) for count in found}
        FIGURES.write_bytes(msgspec.json.format(msgspec.json.encode(dict(sorted(figures.items())))) + b"\n")
        print(f"{FIGURES.relative_to(ROOT)} says so now for Python {version}")
        return 0
    if version not in figures:
        print(f"Python {version} has no figures yet, so nothing is compared; {_UPDATE} records them")
        return 0
    for verdict in verdicts:
        print(f"Python {version}, {verdict}", file=sys.stderr)
    return 1 if verdicts else 0


def run() -> list[int]:
    """Run ``counted.py`` under callgrind; return the instructions of each of its sections.

    Raises:
        BenchError: there is no valgrind, or it did not run to its end.
    """
    if missing := lacking({"valgrind": "apt-get install valgrind"}):
        raise BenchError(missing[0])
    with tempfile.TemporaryDirectory(prefix="guard-") as folder:
        out = Path(folder, "count")
        options = ("--tool=callgrind", f"--dump-before={MARK}", "--dump-line=no", f"--callgrind-out-file={out}")
        command = ["valgrind", "--quiet", *options, sys.executable, "-m", "bench.counted"]
        environ = os.environ | {"PYTHONHASHSEED": "0"}  # the order of sets, and so the way through them
        try:
            done = subprocess.run(
                command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False, timeout=_PATIENCE
            )
        except subprocess.TimeoutExpired:
            raise BenchError(f"python -m bench.counted took more than {_PATIENCE} s under valgrind") from None
        if done.returncode:
            raise BenchError(f"python -m bench.counted ended with {done.returncode} under valgrind:\n{done.stderr}")
        parts = sorted(Path(folder).glob("count.*"), key=lambda part: int(part.suffix[1:]))
        return [total(part.read_text("utf-8", "replace")) for part in parts]


def total(profile: str) -> int:
    """Return the instructions that a profile of callgrind counts.

    Raises:
        BenchError: it has no total.
    """
    found = _TOTALS.search(profile)
    if found is None:
        raise BenchError("callgrind has written a profile without a total; is its disk full?")
    return int(found[1])


def counts(sections: list[int]) -> list[Count]:
    """Return what each unit costs, from the sections of ``counted.py``.

    Raises:
        BenchError: there are not as many as there should be.
    """
    expected = 2 * (len(KINDS) * (1 + len(WAYS)) + 1)
    if len(sections) != expected:
        raise BenchError(f"callgrind has counted {len(sections)} sections and not {expected}: does {MARK} mark them?")
    *units, yardstick = [section / UNITS for section in sections[1::2]]  # those between them are not counted
    direct, proxied = units[: len(KINDS)], units[len(KINDS) :]
    names = [f"{way.name}: {kind}" for way in WAYS for kind in KINDS]
    own = [cost - direct[number % len(KINDS)] for number, cost in enumerate(proxied)]
    return [Count(name, cost, cost / yardstick) for name, cost in zip(names, own, strict=True)]


def compared(found: list[Count], figures: dict[str, float]) -> tuple[list[str], list[str]]:
    """Return a table of what was found, and what is wrong with it, each with what to do.

    Args:
        found: what was counted.
        figures: what may be, by the name of the unit.
    """
    lines = [f"{'thousands of instructions':>62} {'yardsticks':>10} {'figure':>7} {'change':>7}"]
    verdicts = []
    for count in found:
        row = f"{count.unit:<36} {count.instructions / 1000:>25.1f} {count.ratio:>10.3f}"
        figure = figures.get(count.unit)
        if figure is None:
            lines.append(f"{row} {'none':>7}")
            verdicts.append(f"{count.unit}: there is no figure to compare with; {_UPDATE} records it")
            continue
        change = count.ratio / figure - 1
        lines.append(f"{row} {figure:>7.3f} {change:>+7.1%}")
        if change > TOLERANCE:
            verdicts.append(
                f"{count.unit}: {change:.1%} more instructions than guard.json says, and {TOLERANCE:.0%} are allowed. "
                f"If that is worth it, {_UPDATE} records it; say why in the commit. If not, profile what has changed"
            )
        elif change < -TOLERANCE:
            lines.append(f"{'':<36} it has become cheaper: {_UPDATE} keeps it so")
    return lines, verdicts


if __name__ == "__main__":
    sys.exit(main())
