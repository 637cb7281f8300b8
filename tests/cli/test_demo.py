"""The demo, as a person would start it: in a pipe and on a terminal."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

DEMO = [sys.executable, "-m", "hydrallm", "demo"]


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if "proxy" not in name.lower()} | {"HOME": str(tmp_path)}


def test_without_a_terminal_it_ends_after_the_show(environ: dict[str, str]) -> None:
    done = subprocess.run(
        DEMO, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=40, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    plain, streamed, recovered = done.stdout.split("\n\n")[1:4]
    for part in (plain, streamed):
        attempts = re.findall(r"attempt (\d)  (\S+) .*?(429 rate_limited|overloaded|cut|answers)", part)
        assert attempts == [
            ("1", "shaky/shaky-large", "429 rate_limited"),
            ("2", "shaky/shaky-large", "overloaded"),
            ("3", "shaky/shaky-large", "cut"),
            ("4", "steady/steady-small", "answers"),
        ]
        waits = [float(wait) for wait in re.findall(r"waited (\d\.\d\d) s", part)]
        assert waits == pytest.approx([1.0, 0.25], abs=0.02)  # the loop's clock counts milliseconds
        assert "> The first model failed three times, and you never noticed." in part
        assert "answered by steady/steady-small with status 200" in part
    assert "answered by shaky/shaky-large with status 200" in recovered
    assert done.stdout.endswith("3 requests, all answered.\n")


@pytest.mark.platform("linux", "darwin")
def test_on_a_terminal_it_goes_on_serving(environ: dict[str, str]) -> None:
    import pexpect  # noqa: PLC0415 - not on Windows

    terminal = pexpect.spawn(DEMO[0], DEMO[1:], env=environ, encoding="utf-8", timeout=40, dimensions=(50, 200))
    try:
        terminal.expect(r"all answered")
        terminal.expect(
            r"curl -N (http://127\.0\.0\.1:\d+/v1/chat/completions) -H 'content-type: application/json' -d '([^']+)'"
        )
        assert isinstance(terminal.match, re.Match)
        url, body = terminal.match.groups()
        answer = subprocess.run(["curl", "-sN", "--noproxy", "*", url, "-d", body], capture_output=True, check=True)
        assert answer.stdout.rstrip().endswith(b"data: [DONE]")
        terminal.expect("answered")
        terminal.kill(signal.SIGINT)
        terminal.expect(pexpect.EOF)
        assert "Traceback" not in str(terminal.before)
    finally:
        terminal.close(force=True)
    assert terminal.exitstatus == 0


def test_once_ends_on_a_terminal_too(environ: dict[str, str]) -> None:
    done = subprocess.run(
        [*DEMO, "--once"], env=environ, stdin=subprocess.DEVNULL, capture_output=True, timeout=40, check=False
    )
    assert done.returncode == 0
    assert b"curl" not in done.stdout


def test_a_port_in_use_is_one_clear_line(environ: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run([*DEMO, "--port", str(port)], env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert re.fullmatch(rf"error: cannot listen on 127\.0\.0\.1:{port}: the port is in use; .*\n", done.stderr)
