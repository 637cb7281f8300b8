"""What every test shares: the skip policy, the scorecard, and hypothesis's settings.

A test that needs more than Python says so with ``@pytest.mark.needs("node")``. Where that is missing it is skipped,
and the summary says aloud what was not tested and what to install. With ``HYDRALLM_CI=1``, which ``.ci/run`` sets after
installing all of it, a skip is a failure: otherwise a green run could hide a test that never ran. The one exception is
``@pytest.mark.platform("linux")``, for what has no meaning on another system.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import hypothesis
import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

ROOT = Path(__file__).parents[1]
NODE_MODULES = ROOT / "tests" / "node" / "node_modules"
STRICT = os.environ.get("HYDRALLM_CI") == "1"
Scorecard = Callable[[int, str, str, str, bool], None]


class Need(NamedTuple):
    """Something outside Python that tests may need: how it is recognised, how it is installed."""

    present: Callable[[], bool]
    install: str


NEEDS = {
    "git": Need(lambda: shutil.which("git") is not None, "Debian: apt-get install git"),
    "cc": Need(lambda: shutil.which("cc") is not None, "Debian: apt-get install gcc libc6-dev"),
    "node": Need(lambda: shutil.which("node") is not None, "Debian: apt-get install nodejs npm"),
    "nginx": Need(lambda: shutil.which("nginx") is not None, "Debian: apt-get install nginx"),
    "wrk": Need(lambda: shutil.which("wrk") is not None, "Debian: apt-get install wrk"),
    "eventstream-codec": Need((NODE_MODULES / "@smithy" / "eventstream-codec").is_dir, "make node"),
    "aimock": Need((NODE_MODULES / "@copilotkit" / "aimock").is_dir, "make node"),
}

# A test that means AWS's chain of credentials says where it leads. No other may come upon what this machine has, nor
# ask the network for it.
for name in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[name]
os.environ |= {
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}

# The shared cores of a CI machine make any deadline a coin toss; a fixed seed there keeps a green commit green.
hypothesis.settings.register_profile("hydrallm", deadline=None, derandomize=STRICT, print_blob=True)
hypothesis.settings.load_profile("hydrallm")


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("platform"):
        if sys.platform not in mark.args:
            pytest.skip(f"means something on {', '.join(mark.args)} only")
    for mark in item.iter_markers("needs"):
        for name in mark.args:
            if not NEEDS[name].present():
                pytest.skip(f"{name} is missing. {NEEDS[name].install}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    expected_to_fail = hasattr(report, "wasxfail")
    elsewhere = any(sys.platform not in mark.args for mark in item.iter_markers("platform"))
    if STRICT and report.skipped and not expected_to_fail and not elsewhere:
        fail(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if STRICT and report.skipped:  # importorskip, or pytest.skip for a whole file
        fail(report)
    return report


def fail(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip into a failure with the same reason."""
    report.outcome = "failed"
    report.longrepr = f"skipped, which counts as a failure in CI: {reason(report)}"


def reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Return why a test was skipped."""
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    return str(report.longrepr)


class Row(NamedTuple):
    """A line of the scorecard in which the reliability of the product is promised."""

    row: int
    title: str
    figure: str
    target: str
    met: bool

    @property
    def drawn(self) -> str:
        verdict = "ok" if self.met else "MISSED"
        return f"{self.row:2}  {self.title:62}  {self.figure:>34}  target {self.target:22} {verdict}"


ROWS = "scorecard"


@pytest.fixture
def scorecard(request: pytest.FixtureRequest) -> Scorecard:
    """Records a figure beside its target; the test fails where the target is missed."""

    def record(row: int, title: str, figure: str, target: str, met: bool) -> None:
        request.node.user_properties.append((ROWS, Row(row, title, figure, target, met)._asdict()))
        assert met, f"scorecard row {row} ({title}): {figure}, target {target}"

    return record


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    summarise_scorecard(terminalreporter)
    summarise_skips(terminalreporter)


def summarise_scorecard(terminalreporter: pytest.TerminalReporter) -> None:
    reports = (report for outcome in ("passed", "failed") for report in terminalreporter.stats.get(outcome, []))
    rows = [Row(**value) for report in reports for name, value in report.user_properties if name == ROWS]
    if rows:
        terminalreporter.section("scorecard")
        for line in sorted(rows):
            terminalreporter.line(line.drawn, green=line.met, red=not line.met)


def summarise_skips(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = terminalreporter.stats.get("skipped", [])
    if not skipped:
        return
    why: dict[str, int] = {}
    for report in skipped:
        why[reason(report)] = why.get(reason(report), 0) + 1
    terminalreporter.section("NOT TESTED on this machine", yellow=True, bold=True)
    for text, count in sorted(why.items()):
        terminalreporter.line(f"{count:4} skipped: {text}", yellow=True)
