"""``hydrallm edit`` with real editors: small scripts that write down how they were called."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from hydrallm.cli import edit
from hydrallm.config import catalog

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.platform("linux", "darwin")  # the scripts have a shebang; the rest is in test_find_editor


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    folder = tmp_path / "programs"
    folder.mkdir()
    return folder


@pytest.fixture
def environ(tmp_path: Path, programs: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
    return {**kept, "PATH": str(programs), "HOME": str(tmp_path)}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / ".config" / "hydrallm" / "config.toml"


def editor(folder: Path, name: str, then: str = "") -> Path:
    """Put a program called ``name`` into ``folder`` that writes its arguments to a file beside it, one a line."""
    path = folder / name
    path.write_text(f'#!/bin/sh\nprintf "%s\\n" "${{0##*/}}" "$@" > "{folder}/called"\n{then}\n')
    path.chmod(0o755)
    return path


def called(folder: Path) -> list[str]:
    return (folder / "called").read_text().splitlines()


def run(environ: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hydrallm", *arguments, "edit"],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_template_is_written_first(environ: dict[str, str], programs: Path, config: Path) -> None:
    editor(programs, "ed", then=f'/bin/cp "$1" "{programs}/seen"')
    done = run(environ | {"EDITOR": "ed"})
    assert done.returncode == 0, done.stderr
    assert called(programs) == ["ed", str(config)]
    assert (programs / "seen").read_text("utf-8") == catalog.text(catalog.TEMPLATE)
    assert (stat.S_IMODE(config.stat().st_mode), stat.S_IMODE(config.parent.stat().st_mode)) == (0o600, 0o700)
    assert str(config) in done.stderr


def test_an_existing_config_is_left_as_it_is(environ: dict[str, str], programs: Path, config: Path) -> None:
    config.parent.mkdir(parents=True)
    config.write_text("mine = 1\n")
    editor(programs, "ed")
    assert run(environ | {"EDITOR": "ed"}).returncode == 0
    assert config.read_text() == "mine = 1\n"


def test_another_config(environ: dict[str, str], programs: Path, config: Path, tmp_path: Path) -> None:
    editor(programs, "ed")
    other = tmp_path / "with space.toml"
    assert run(environ | {"EDITOR": "ed"}, "--config", str(other)).returncode == 0
    assert called(programs) == ["ed", str(other)]
    assert not config.exists()


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"EDITOR": "ed"}, ["ed"]),
        ({"VISUAL": "vis", "EDITOR": "ed"}, ["vis"]),
        ({"VISUAL": "", "EDITOR": "ed"}, ["ed"]),
        ({"VISUAL": "  ", "EDITOR": "ed"}, ["ed"]),
        ({"EDITOR": "ed -a 'b c' \"d e\" f\\ g"}, ["ed", "-a", "b c", "d e", "f g"]),
        ({"EDITOR": "code"}, ["code", "--wait"]),
        ({"EDITOR": "code --new-window"}, ["code", "--new-window", "--wait"]),
        ({"EDITOR": "code --wait"}, ["code", "--wait"]),
        ({"EDITOR": "code -w"}, ["code", "-w"]),
        ({"EDITOR": "zed"}, ["zed", "--wait"]),
        ({"EDITOR": "subl -n"}, ["subl", "-n", "--wait"]),
        ({"EDITOR": "gvim"}, ["gvim", "-f"]),
        ({"EDITOR": "gvim --nofork"}, ["gvim", "--nofork"]),
        ({"EDITOR": "kate"}, ["kate", "--block"]),
    ],
)
def test_what_the_editor_is_given(
    variables: dict[str, str], expected: list[str], environ: dict[str, str], programs: Path, config: Path
) -> None:
    editor(programs, expected[0])
    done = run(environ | variables)
    assert done.returncode == 0, done.stderr
    assert called(programs) == [*expected, str(config)]


def test_an_editor_by_its_path(environ: dict[str, str], programs: Path, config: Path, tmp_path: Path) -> None:
    folder = tmp_path / "my programs"
    folder.mkdir()
    path = editor(folder, "code")
    for text in (str(path), f'"{path}"', f"'{path}' --wait"):
        assert run(environ | {"EDITOR": text}).returncode == 0
        assert called(folder) == ["code", "--wait", str(config)]


@pytest.mark.parametrize(
    ("installed", "expected"),
    [
        (["nano"], ["nano"]),
        (["nano", "vi"], ["vi"]),
        (["nano", "vi", "vim"], ["vim"]),
        (["nano", "vi", "vim", "nvim"], ["nvim"]),
        (["nano", "zed"], ["zed", "--wait"]),
        (["nano", "zed", "code"], ["code", "--wait"]),
    ],
)
def test_the_first_known_editor(
    installed: list[str], expected: list[str], environ: dict[str, str], programs: Path, config: Path
) -> None:
    for name in installed:
        editor(programs, name)
    assert run(environ).returncode == 0
    assert called(programs) == [*expected, str(config)]


def test_no_editor_says_what_to_set(environ: dict[str, str], config: Path) -> None:
    done = run(environ)
    assert done.returncode == 1
    assert "error: no editor found" in done.stderr
    assert "export EDITOR=" in done.stderr
    assert config.exists()


@pytest.mark.parametrize(
    ("text", "then", "message"),
    [
        ("missing --flag", "", "error: the editor missing was not found"),
        ("ed", "exit 3", "error: the editor ed failed with exit code 3"),
        ("ed", "kill -TERM $$", f"error: the editor ed was ended by signal {int(signal.SIGTERM)}"),
        ("ed 'open", "", "error: EDITOR cannot be used: No closing quotation"),
    ],
)
def test_an_editor_that_fails(text: str, then: str, message: str, environ: dict[str, str], programs: Path) -> None:
    editor(programs, "ed", then)
    done = run(environ | {"EDITOR": text})
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_that_is_no_program(environ: dict[str, str], programs: Path) -> None:
    path = editor(programs, "ed")
    path.write_bytes(b"\x00not a program")
    done = run(environ | {"EDITOR": "ed"})
    assert done.returncode == 1
    assert "error: the editor ed cannot be run" in done.stderr


def test_an_interrupt_belongs_to_the_editor(environ: dict[str, str], programs: Path) -> None:
    """The editor interrupts its parent, as Ctrl-C on a terminal would, and then itself: it alone ends of it."""
    editor(programs, "ed", then="kill -INT $PPID; kill -INT $$")
    done = run(environ | {"EDITOR": "ed"})
    assert done.returncode == 1
    assert f"error: the editor ed was ended by signal {int(signal.SIGINT)}" in done.stderr


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r'"C:\Program Files\VS Code\code.cmd" -n', [r"C:\Program Files\VS Code\code.cmd", "-n", "--wait"]),
        (r"C:\Windows\notepad.exe", [r"C:\Windows\notepad.exe"]),
        ("Code.exe", ["Code.exe", "--wait"]),
    ],
)
def test_windows_paths(text: str, expected: list[str]) -> None:
    assert edit.find_editor({"EDITOR": text}, windows=True) == expected


def test_notepad_is_the_last_resort_on_windows(programs: Path) -> None:
    editor(programs, "notepad")
    assert edit.find_editor({"PATH": str(programs)}, windows=True) == ["notepad"]
    assert edit.find_editor({"PATH": str(programs)}, windows=False) is None
    assert edit.find_editor({"PATH": os.devnull}, windows=True) is None
