from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

CONFTEST = Path(__file__).with_name("conftest.py")
SKIPS = """
from __future__ import annotations
import pytest

def test_runs():
    assert True

@pytest.mark.needs("nowhere")
def test_needs_what_is_missing():
    assert True

@pytest.mark.platform("amiga")
def test_of_another_platform():
    assert True

def test_skips_itself():
    pytest.skip("no reason at all")

@pytest.mark.xfail(reason="known")
def test_known_to_fail():
    assert False
"""
WHOLE_FILE = 'from __future__ import annotations\nimport pytest\npytest.importorskip("no_such_module")\n'


def run(folder: Path, *, strict: bool, tests: dict[str, str], code: int = 0) -> str:
    """Run pytest on ``tests`` under our conftest, and return what it printed."""
    conftest = CONFTEST.read_text(encoding="utf-8")
    planted = conftest.replace("NEEDS = {", 'NEEDS = {\n    "nowhere": Need(lambda: False, "look elsewhere"),', 1)
    assert planted != conftest
    config = "[pytest]\nasyncio_default_fixture_loop_scope = function\nmarkers =\n    needs\n    platform\n"
    for name, text in {"conftest.py": planted, "pytest.ini": config, **tests}.items():
        (folder / name).write_text(text, encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment["HYDRALLM_CI"] = "1" if strict else "0"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=50)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def test_a_skip_is_loud(tmp_path: Path) -> None:
    printed = run(tmp_path, strict=False, tests={"test_skips.py": SKIPS, "test_whole_file.py": WHOLE_FILE})
    assert "NOT TESTED on this machine" in printed
    assert "1 skipped: nowhere is missing. look elsewhere" in printed
    assert "1 skipped: means something on amiga only" in printed
    assert "1 passed, 4 skipped, 1 xfailed" in printed


def test_a_skip_fails_in_ci_unless_it_is_another_platform_s(tmp_path: Path) -> None:
    printed = run(tmp_path, strict=True, tests={"test_skips.py": SKIPS}, code=1)
    assert "a failure in CI: nowhere is missing. look elsewhere" in printed
    assert "a failure in CI: no reason at all" in printed
    assert "1 failed, 1 passed, 1 skipped, 1 xfailed, 1 error" in printed


def test_a_skipped_file_fails_in_ci(tmp_path: Path) -> None:
    # Pytest's code for a collection that failed is 2, for tests that failed 1: both stop make.
    printed = run(tmp_path, strict=True, tests={"test_whole_file.py": WHOLE_FILE}, code=2)
    assert "a failure in CI: could not import 'no_such_module'" in printed
