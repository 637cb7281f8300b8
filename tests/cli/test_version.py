from __future__ import annotations

import platform
import re
import subprocess
import sys
from statistics import median
from time import perf_counter

import pytest

from hydrallm import __version__
from hydrallm.build import commit


def test_version_commit_and_python() -> None:
    done = subprocess.run([sys.executable, "-m", "hydrallm", "version"], capture_output=True, text=True, check=True)
    first, second, third = done.stdout.splitlines()
    assert first == f"hydrallm {__version__}"
    assert second == f"commit   {commit() or 'unknown'}"
    assert re.fullmatch(rf"python   {re.escape(platform.python_version())} \(.+\)", third)
    assert done.stderr == ""


def test_the_option_says_the_same() -> None:
    said = [
        subprocess.run([sys.executable, "-m", "hydrallm", argument], capture_output=True, check=True).stdout
        for argument in ("version", "--version")
    ]
    assert said[0] == said[1]


@pytest.mark.parametrize("argument", ["version", "--help"])
def test_the_answer_comes_at_once(argument: str) -> None:
    elapsed = []
    for _ in range(5):
        before = perf_counter()
        subprocess.run([sys.executable, "-m", "hydrallm", argument], capture_output=True, check=True)
        elapsed.append(perf_counter() - before)
    print(f"hydrallm {argument}: {median(elapsed):.3f} s, the median of {len(elapsed)}")
    assert median(elapsed) <= 0.3


@pytest.mark.parametrize("argument", ["version", "--help"])
def test_nothing_heavy_is_imported(argument: str) -> None:
    """What makes a command slow is what it imports, so that is held, exactly and on any machine."""
    code = (
        f"import sys; from hydrallm.cli.main import run; code = run([{argument!r}]); "
        "heavy = {'asyncio', 'rich', 'uvloop', 'httptools', 'ssl', 'tomllib', 'hydrallm.app'} & set(sys.modules); "
        "print(heavy, file=sys.stderr) if heavy else None; sys.exit(code or bool(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
