from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from hydrallm.cli import GlobalOptions, config_path
from hydrallm.cli.main import COMMANDS, run

CLI = Path(__file__).parents[2] / "src" / "hydrallm" / "cli"


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """Return an environment with a home of its own and no provider's keys."""
    kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "LANG", "PYTHONPATH") if name in os.environ}
    return {**kept, "HOME": str(tmp_path), "USERPROFILE": str(tmp_path)}


def hydrallm(*arguments: str, environ: dict[str, str], code: str | None = None) -> subprocess.CompletedProcess[str]:
    program = ["-m", "hydrallm"] if code is None else ["-c", code]
    return subprocess.run(
        [sys.executable, *program, *arguments],
        env=environ,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        stdin=subprocess.DEVNULL,
    )


def test_the_default_path_is_in_the_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    expected = tmp_path / ".config" / "hydrallm" / "config.toml"
    assert config_path(None) == config_path("") == GlobalOptions().config == expected
    assert config_path("other.toml") == Path("other.toml")


def test_help_lists_every_command(environ: dict[str, str]) -> None:
    for option in ("--help", "-h"):
        done = hydrallm(option, environ=environ)
        assert done.returncode == 0
        for name in COMMANDS:
            assert re.search(rf"^  {name} +\w", done.stdout, flags=re.MULTILINE), name


def test_every_command_has_a_file_and_every_file_is_a_command() -> None:
    files = {path.stem for path in CLI.glob("*.py")} - {"__init__", "main"}
    exported = {path.stem for path in CLI.glob("*.py") if "\ndef command(" in path.read_text("utf-8")}
    assert exported <= set(COMMANDS)
    assert {"edit", "init", "version"} <= files & exported


@pytest.mark.parametrize("command", ["edit", "init", "version"])
def test_every_command_has_help_and_takes_the_global_options(command: str, environ: dict[str, str]) -> None:
    done = hydrallm(command, "--help", environ=environ)
    assert done.returncode == 0
    assert "--config" in done.stdout
    assert "--log-level" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["verson"], 'There is no command "verson"; did you mean "version"?'),
        (["xyz"], 'There is no command "xyz"; there are: serve, init, edit, demo, version'),
        (["--conifg", "x"], "--config"),
        (["--log-level", "loud", "version"], "loud"),
        (["--port", "70000"], "70000"),
        (["--port", "1", "version"], "--port has no meaning for the command version"),
        (["init", "a", "b"], "unexpected extra argument"),
    ],
)
def test_a_wrong_command_line(arguments: list[str], hint: str, environ: dict[str, str]) -> None:
    done = hydrallm(*arguments, environ=environ)
    assert done.returncode == 2
    assert hint in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("before", "variable", "after", "expected"),
    [
        (None, None, None, ".config/hydrallm/config.toml"),
        ("before.toml", None, None, "before.toml"),
        (None, "variable.toml", None, "variable.toml"),
        (None, None, "after.toml", "after.toml"),
        ("before.toml", "variable.toml", None, "before.toml"),
        ("before.toml", "variable.toml", "after.toml", "after.toml"),
        (None, "", None, ".config/hydrallm/config.toml"),
    ],
)
def test_where_the_config_is(
    before: str | None, variable: str | None, after: str | None, expected: str, environ: dict[str, str], tmp_path: Path
) -> None:
    """`init` writes to it, so that shows where it is."""

    def option(name: str | None) -> list[str]:
        return [] if name is None else ["--config", str(tmp_path / name)]

    if variable is not None:
        environ["HYDRALLM_CONFIG"] = variable and str(tmp_path / variable)
    done = hydrallm(*option(before), "init", "openai", *option(after), environ=environ)
    assert done.returncode == 0, done.stderr
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.toml")] == [expected]


# Commands are called by name, so a stand-in for one is a module under that name: what `run` makes of its errors is seen
# in a process of its own, from the outside.
STAND_IN = """
import sys, types, click
from hydrallm.cli.main import run
from hydrallm.errors import ConfigError, StartError
from hydrallm.config.settings import Problem

@click.command("serve")
@click.option("--host")
@click.option("--port", type=int)
@click.pass_obj
def command(options, host, port):
    {body}

module = types.ModuleType("hydrallm.cli.serve")
module.command = command
sys.modules["hydrallm.cli.serve"] = module
sys.exit(run(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("body", "code", "stderr"),
    [
        ("raise StartError('port 80 is in use')", 1, "error: port 80 is in use\n"),
        (
            "raise ConfigError([Problem('c.toml', 'a.b', 'is wrong'), Problem('c.toml', '', 'is odd', 3, 4)])",
            2,
            "error: c.toml: a.b: is wrong\nerror: c.toml:3:4: is odd\n",
        ),
        ("raise click.ClickException('no editor')", 1, "error: no editor\n"),
        ("click.get_current_context().exit(7)", 7, ""),
        ("return None", 0, ""),
        ("raise SystemExit(5)", 5, ""),
    ],
)
def test_errors_become_messages_and_exit_codes(body: str, code: int, stderr: str, environ: dict[str, str]) -> None:
    done = hydrallm(environ=environ, code=STAND_IN.replace("{body}", body))
    assert (done.returncode, done.stderr) == (code, stderr)


@pytest.mark.parametrize("body", ["raise KeyboardInterrupt", "raise click.Abort"])
def test_an_interrupt_is_130(body: str, environ: dict[str, str]) -> None:
    done = hydrallm(environ=environ, code=STAND_IN.replace("{body}", body))
    assert done.returncode == 130
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "seen"),
    [
        ([], "None None None"),
        (["serve"], "None None None"),
        (["--host", "::1", "-p", "9"], "::1 9 None"),
        (["serve", "--host", "::1", "--port", "9"], "::1 9 None"),
        (["--host", "::1", "-p", "9", "serve"], "::1 9 None"),
        (["--port", "8", "serve", "--port", "9"], "None 9 None"),
        (["-l", "debug"], "None None debug"),
        (["-l", "debug", "serve", "-l", "WARN"], "None None warn"),
    ],
)
def test_serve_is_the_default_command(arguments: list[str], seen: str, environ: dict[str, str]) -> None:
    body = "click.echo(f'{host} {port} {options.log_level}')"
    done = hydrallm(*arguments, environ=environ, code=STAND_IN.replace("{body}", body))
    assert (done.stdout, done.stderr, done.returncode) == (f"{seen}\n", "", 0)


def test_no_config_names_what_to_do(environ: dict[str, str]) -> None:
    body = "from hydrallm.config.load import load; load(options.config, {})"
    done = hydrallm(environ=environ, code=STAND_IN.replace("{body}", body))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    for word in ("error: ", "config.toml", "hydrallm init", "hydrallm edit"):
        assert word in done.stderr


@pytest.mark.platform("linux")
def test_output_that_cannot_be_written_is_one_clear_line(environ: dict[str, str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "hydrallm", "init", "--list"],
            env=environ,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == "error: cannot write: No space left on device\n"


def test_without_a_home_folder_a_command_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    assert run(["serve"]) == 1
    assert capsys.readouterr().err.startswith("error: there is no home folder")
    assert run(["--config", "none.toml", "serve"]) == 2
