from __future__ import annotations

import asyncio
import contextlib
import datetime
import io
import json
import os
import re
import unicodedata
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hydrallm.policy.kinds import Kind
from hydrallm.secret import Secret
from hydrallm.telemetry.log import LEVELS, Level, Log
from hydrallm.telemetry.masking import Mask

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOW = datetime.datetime(2026, 11, 22, 13, 34, 5, 123456, tzinfo=datetime.UTC)
KEY = "canary/0123+456"


class Stream(io.StringIO):
    """Counts the flushes, and says when the first has come."""

    def __init__(self, *, terminal: bool = False) -> None:
        super().__init__()
        self._terminal = terminal
        self.flushes = 0
        self.flushed = asyncio.Event()

    def isatty(self) -> bool:
        return self._terminal

    def flush(self) -> None:
        self.flushes += 1
        self.flushed.set()


def log(stream: io.StringIO, style: str = "json", level: Level = Level.DEBUG) -> Log:
    return Log(stream, level, style, Mask([Secret(KEY)]), now=lambda: NOW)


def written(style: str, message: str, **fields: object) -> str:
    stream = io.StringIO()
    log(stream, style).write(Level.WARN, message, **fields)
    return stream.getvalue()


# -- levels ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", list(Level))
def test_what_matters_less_than_the_level_is_left_out(level: Level) -> None:
    stream = io.StringIO()
    one = log(stream, level=level)
    for other in Level:
        one.write(other, other.name)
    shown = [json.loads(line)["message"] for line in stream.getvalue().splitlines()]
    assert shown == [other.name for other in sorted(Level) if other >= level]


def test_the_levels_of_the_config_are_all_there() -> None:
    assert list(LEVELS) == ["debug", "info", "warn", "error"]
    assert sorted(LEVELS.values()) == list(LEVELS.values())


# -- the two styles ----------------------------------------------------------------------------------------------------


def test_a_json_line_has_the_time_in_utc_and_every_field() -> None:
    line = json.loads(written("json", "caf\u00e9", id="ab", seconds=0.25, model="\u2603"))
    assert line == {
        "time": "2026-11-22T13:34:05.123+00:00",
        "level": "warn",
        "message": "caf\u00e9",
        "id": "ab",
        "seconds": 0.25,
        "model": "\u2603",
    }


def test_a_console_line_is_for_people() -> None:
    clock = NOW.astimezone().strftime("%H:%M:%S")
    assert written("console", "it failed", id="ab", seconds=0.25) == f"{clock} WARN  it failed id=ab seconds=0.25\n"


@pytest.mark.parametrize(("value", "shown"), [("a b", '"a b"'), ('a"b', r'"a\"b"'), ("a=b", '"a=b"'), ("a\\b", "a\\b")])
def test_a_field_cannot_pretend_to_be_two(value: str, shown: str) -> None:
    assert written("console", "m", requested=value, seconds=1).endswith(f" m requested={shown} seconds=1\n")


@pytest.mark.parametrize("style", ["json", "console"])
def test_empty_fields_are_left_out(style: str) -> None:
    line = written(style, "m", nothing=None, empty="", none=0, false=False, zero=0.0)
    assert not re.search("nothing|empty|none|false|zero", line)


def test_values_of_any_type_can_be_written_as_json() -> None:
    line = json.loads(written("json", "m", kind=Kind.CUT, path=os.fspath("x"), error=ValueError("why")))
    assert (line["kind"], line["path"], line["error"]) == ("cut", "x", "why")


# -- terminals ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def terminal() -> Iterator[tuple[int, Any]]:
    """A real terminal: the descriptor to read from, and the stream to write to."""
    reader, writer = os.openpty()
    with os.fdopen(writer, "w", encoding="utf-8") as stream:
        yield reader, stream
    os.close(reader)


def seen(terminal: tuple[int, Any], style: str) -> str:
    reader, stream = terminal
    Log(stream, Level.DEBUG, style, Mask([]), now=lambda: NOW).write(Level.ERROR, "m")
    return os.read(reader, 4096).decode()


@pytest.mark.platform("linux", "darwin")
def test_auto_is_for_people_and_coloured_on_a_terminal(
    terminal: tuple[int, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    shown = seen(terminal, "auto")
    assert "\x1b[31mERROR\x1b[0m m" in shown
    assert not shown.startswith("{")


@pytest.mark.platform("linux", "darwin")
@pytest.mark.parametrize("style", ["auto", "console"])
def test_no_color_is_obeyed(style: str, terminal: tuple[int, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in seen(terminal, style)


@pytest.mark.platform("linux", "darwin")
def test_an_empty_no_color_says_nothing(terminal: tuple[int, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """https://no-color.org: "when present and not an empty string"."""
    monkeypatch.setenv("NO_COLOR", "")
    assert "\x1b[31m" in seen(terminal, "console")


@pytest.mark.platform("linux", "darwin")
def test_json_is_never_coloured(terminal: tuple[int, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    shown = seen(terminal, "json")
    assert "\x1b" not in shown
    assert json.loads(shown)["message"] == "m"


def test_elsewhere_auto_is_json_and_console_has_no_colours() -> None:
    assert json.loads(written("auto", "m"))["message"] == "m"
    assert "\x1b" not in written("console", "m")


# -- what the network sends --------------------------------------------------------------------------------------------

anything = st.text(st.characters(codec=None, categories=None), max_size=40)
STEERING = "\x1b]0;owned\x07\x9b31m\r\n\t\b\x7f\u202e\u2028\u0085\ud800\x00"


@given(anything, anything)
@example(STEERING, STEERING)
@example("line\nlevel=ERROR forged", "value\nlevel=ERROR forged")
def test_nothing_breaks_a_line_or_steers_a_terminal(message: str, value: str) -> None:
    for style in ("json", "console"):
        line = written(style, message, field=value)
        assert line.endswith("\n")
        assert len(line.splitlines()) == 1
        assert not {unicodedata.category(char) for char in line[:-1]} & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


@given(anything.filter(lambda text: KEY not in text), anything)
@example(STEERING, STEERING)
def test_a_json_line_says_what_was_said(message: str, value: str) -> None:
    stream = io.StringIO()
    Log(stream, Level.DEBUG, "json", lambda text: text, now=lambda: NOW).write(Level.WARN, message, field=value)  # type: ignore[arg-type]
    line = json.loads(stream.getvalue())
    assert line["message"] == message
    assert line.get("field", "") == value


@given(anything, anything)
@example('{"error": {"message": "bad key: ', '"}}')
def test_a_secret_never_reaches_the_log(before: str, after: str) -> None:
    for style in ("json", "console"):
        for text in (before + KEY + after, json.dumps(before + KEY + after), repr(before + KEY + after)):
            assert KEY not in written(style, text)
            assert KEY not in written(style, "m", body=text)


# -- faults ------------------------------------------------------------------------------------------------------------


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_fault_of_our_own_is_loud_and_one_line() -> None:
    stream = io.StringIO()
    log(stream).fault("Traceback:\n  File x\nValueError: y")
    (line,) = lines(stream)
    assert line["level"] == "error"
    assert line["traceback"] == "Traceback:\n  File x\nValueError: y"


# -- gathering ---------------------------------------------------------------------------------------------------------


async def test_lines_are_gathered_and_written_together() -> None:
    stream = Stream()
    one = log(stream)
    for number in range(100):
        one.write(Level.INFO, str(number))
    assert stream.getvalue() == ""
    await asyncio.wait_for(stream.flushed.wait(), 5)
    assert [line["message"] for line in lines(stream)] == [str(number) for number in range(100)]
    assert stream.flushes == 1


async def test_warnings_are_written_at_once_and_in_order() -> None:
    stream = Stream()
    one = log(stream)
    one.write(Level.INFO, "first")
    one.write(Level.WARN, "second")
    assert [line["message"] for line in lines(stream)] == ["first", "second"]
    one.write(Level.INFO, "third")
    one.flush()
    one.flush()
    assert [line["message"] for line in lines(stream)] == ["first", "second", "third"]
    assert stream.flushes == 2


def test_without_a_running_loop_lines_are_written_at_once() -> None:
    stream = io.StringIO()
    log(stream).write(Level.INFO, "m")
    assert lines(stream)[0]["message"] == "m"


# -- broken streams ----------------------------------------------------------------------------------------------------


@pytest.mark.platform("linux")
def test_a_full_disk_stops_nothing() -> None:
    with contextlib.suppress(OSError), open("/dev/full", "w", encoding="utf-8") as full:  # noqa: PTH123 - a device
        one = Log(full, Level.DEBUG, "json", Mask([]))
        for _ in range(1000):
            one.write(Level.ERROR, "x" * 100)
        one.flush()


def test_a_pipe_that_nobody_reads_any_more_stops_nothing() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with contextlib.suppress(OSError), os.fdopen(writer, "w", encoding="utf-8") as stream:
        one = Log(stream, Level.DEBUG, "json", Mask([]))
        for _ in range(1000):
            one.write(Level.ERROR, "x" * 100)


def test_a_closed_stream_stops_nothing(tmp_path: Path) -> None:
    stream = (tmp_path / "log").open("w", encoding="utf-8")
    one = Log(stream, Level.DEBUG, "json", Mask([]))
    stream.close()
    one.write(Level.ERROR, "m")


def test_an_encoding_that_lacks_a_character_costs_that_character_only(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("w", encoding="ascii", errors="backslashreplace") as stream:  # as Python opens standard error
        Log(stream, Level.DEBUG, "console", Mask([])).write(Level.ERROR, "caf\u00e9", field="\u2603")
    assert path.read_text().endswith("caf\\xe9 field=\\u2603\n")
