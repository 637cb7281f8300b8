from __future__ import annotations

import os
import stat
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING

import pytest

from hydrallm.config import catalog
from hydrallm.config.load import load

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("environ")


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """Return an environment with a home of its own and no provider's keys."""
    kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "LANG", "PYTHONPATH") if name in os.environ}
    return {**kept, "HOME": str(tmp_path), "USERPROFILE": str(tmp_path)}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / ".config" / "hydrallm" / "config.toml"


def init(*arguments: str, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hydrallm", "init", *arguments],
        env=environ,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


def test_a_showcase_is_written_as_it_is(environ: dict[str, str], config: Path) -> None:
    done = init("glm-5-coding-plan-openai", environ=environ)
    assert (done.returncode, done.stderr) == (0, "")
    assert config.read_text("utf-8") == catalog.text("glm-5-coding-plan-openai")
    for said in (str(config), "ZAI_API_KEY", "http://127.0.0.1:8101", "hydrallm edit"):
        assert said in done.stdout
    if os.name == "posix":
        assert stat.S_IMODE(config.stat().st_mode) == 0o600
        assert stat.S_IMODE(config.parent.stat().st_mode) == 0o700


def test_a_variable_that_is_set_is_not_asked_for(environ: dict[str, str]) -> None:
    assert "OPENAI_API_KEY" not in init("openai", environ=environ | {"OPENAI_API_KEY": "sk"}).stdout


def test_an_existing_config_is_only_replaced_by_force(environ: dict[str, str], config: Path) -> None:
    config.parent.mkdir(parents=True)
    config.write_text("mine = 1\n")
    done = init("openai", environ=environ)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {config} exists already")
    assert "--force" in done.stderr
    assert config.read_text() == "mine = 1\n"
    assert init("openai", "--force", environ=environ).returncode == 0
    assert config.read_text("utf-8") == catalog.text("openai")


def test_keys_in_the_environment_make_a_chain(environ: dict[str, str], config: Path) -> None:
    keys = {"OPENAI_API_KEY": "hunter2", "ANTHROPIC_API_KEY": "hunter2"}
    done = init(environ=environ | keys)
    assert done.returncode == 0
    assert "hunter2" not in config.read_text() + done.stdout + done.stderr
    assert list(load(config, keys).endpoints) == ["openai", "anthropic"]


def test_no_keys_make_the_template(environ: dict[str, str], config: Path) -> None:
    assert init(environ=environ).returncode == 0
    assert config.read_text("utf-8") == catalog.text(catalog.TEMPLATE)
    assert init("template", "--force", environ=environ | {"OPENAI_API_KEY": "sk"}).returncode == 0
    assert config.read_text("utf-8") == catalog.text(catalog.TEMPLATE)


@pytest.mark.parametrize(("name", "hint"), [("opneai", 'did you mean "openai"?'), ("xyz", "there are: anthropic, ")])
def test_a_showcase_that_is_none(name: str, hint: str, environ: dict[str, str], config: Path) -> None:
    done = init(name, environ=environ)
    assert done.returncode == 2
    assert hint in done.stderr
    assert not config.exists()


def test_the_list(environ: dict[str, str], config: Path) -> None:
    done = init("--list", environ=environ | {"COLUMNS": "200"})
    assert done.returncode == 0
    listed = {line.split()[0]: line for line in done.stdout.splitlines()[1:]}
    assert list(listed) == [*catalog.names(), catalog.TEMPLATE]
    for name in catalog.names():
        assert catalog.description(catalog.text(name)) in listed[name]
    assert not config.exists()


@pytest.mark.platform("linux", "darwin")
def test_a_folder_that_cannot_be_made(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / ".config").write_text("a file in the way")
    done = init("openai", environ=environ)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "cannot be written" in done.stderr


def test_another_path_is_part_of_what_to_do_next(environ: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "other folder" / "my.toml"
    done = init("azure", "--config", str(path), environ=environ)
    assert f'hydrallm --config "{path}"' in done.stdout
    assert "YOUR-" in done.stdout
    assert tomllib.loads(path.read_text("utf-8"))["models"]
