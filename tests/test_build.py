from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from hydrallm import build

PACKAGE = Path(build.__file__).parent
ASK = "import hydrallm.build; print(hydrallm.build.commit())"


def lay(folder: Path) -> Path:
    """Lay the module and what it stands in into ``folder/hydrallm``."""
    package = folder / "hydrallm"
    package.mkdir(parents=True)
    for name in ("__init__.py", "build.py"):
        shutil.copyfile(PACKAGE / name, package / name)
    return package


def ask(place: Path, **environment: str) -> str:
    """Return what the copy at ``place`` says, or fail if it raises."""
    variables = {**os.environ, "PYTHONPATH": str(place), "PYTHONSAFEPATH": "1", **environment}
    done = subprocess.run(
        [sys.executable, "-c", ASK], env=variables, cwd=place.parent, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false", "-c", "core.hooksPath=none"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def checkout(folder: Path) -> str:
    """Make ``folder`` a repository with the package in ``src``, and return its commit."""
    lay(folder / "src")
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message=all")
    return git(folder, "rev-parse", "HEAD")


def test_a_built_package_says_what_the_build_recorded(tmp_path: Path) -> None:
    (lay(tmp_path / "site") / "_build.json").write_text(json.dumps({"commit": "0123456789ab"}), encoding="utf-8")
    assert ask(tmp_path / "site") == "0123456789ab"


def test_a_zipped_package_says_it_too(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "hydrallm.whl", "w") as wheel:
        for file in lay(tmp_path / "unzipped").iterdir():
            wheel.write(file, f"hydrallm/{file.name}")
        wheel.writestr("hydrallm/_build.json", json.dumps({"commit": "0123456789ab"}))
    assert ask(tmp_path / "hydrallm.whl") == "0123456789ab"


@pytest.mark.parametrize("record", [b"", b"\xff\xfe", b"[]", b"null", b"{}", b'{"commit": 3}', b'{"commit": ""}'])
def test_rubbish_is_no_commit_and_no_error(tmp_path: Path, record: bytes) -> None:
    (lay(tmp_path / "site") / "_build.json").write_bytes(record)
    assert ask(tmp_path / "site") == "None"


@pytest.mark.needs("git")
def test_a_checkout_says_what_git_says(tmp_path: Path) -> None:
    head = checkout(tmp_path)
    commit = ask(tmp_path / "src")
    assert len(commit) >= 12
    assert head.startswith(commit)
    git(tmp_path, "tag", "v1.0.0", "-m", "a tag is not a commit")
    assert ask(tmp_path / "src") == commit
    (tmp_path / "src" / "hydrallm" / "__init__.py").write_text("", encoding="utf-8")
    assert ask(tmp_path / "src") == f"{commit}-dirty"


@pytest.mark.needs("git")
def test_without_git_a_checkout_says_nothing(tmp_path: Path) -> None:
    checkout(tmp_path)
    assert ask(tmp_path / "src", PATH=str(tmp_path)) == "None"


@pytest.mark.needs("git")
def test_a_repository_around_an_installed_copy_is_not_asked(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "commit", "--quiet", "--allow-empty", "--message=theirs")
    lay(tmp_path / "venv" / "lib" / "site-packages")
    assert ask(tmp_path / "venv" / "lib" / "site-packages") == "None"


@pytest.mark.needs("git")
def test_a_repository_without_commits_is_no_error(tmp_path: Path) -> None:
    lay(tmp_path / "src")
    git(tmp_path, "init", "--quiet")
    assert ask(tmp_path / "src") == "None"
