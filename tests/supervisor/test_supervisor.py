"""The supervisor with workers that do nothing but die, each time in another way; in processes of its own."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.platform("linux", "darwin")

PROGRAM = """
import os, signal, subprocess, sys, time
from hydrallm.errors import StartError
from hydrallm.supervisor.messages import Notice, encode
from hydrallm.supervisor.supervisor import Supervisor
from hydrallm.telemetry.log import Level, Log
from hydrallm.telemetry.masking import Mask
from hydrallm.telemetry.writer import PromptWriter

def say(place, topic, text=""):
    place.control.sendall(encode(Notice(topic, text)))

def until_told(place):
    place.control.recv(4096)
    return 0

{body}

log = Log(PromptWriter(2), Level.DEBUG, "json", Mask([]))
try:
    Supervisor([[]] * {count}, work, log, lambda: log.write(Level.INFO, "all are ready")).run()
except StartError as error:
    print(error)
    sys.exit(1)
"""


class Running:
    """The program, and what it has logged so far."""

    def __init__(self, body: str, count: int) -> None:
        program = PROGRAM.replace("{body}", body).replace("{count}", str(count))
        self.process = subprocess.Popen(
            [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.lines: list[dict[str, Any]] = []

    def logged(self, text: str) -> dict[str, Any]:
        """Read the log up to the first line that has ``text`` in its message, and return that."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            told: dict[str, Any] = json.loads(line)
            self.lines.append(told)
            if text in told["message"]:
                return told
        raise AssertionError(f"it has not said {text!r}: {self.lines}")

    def end(self) -> tuple[int, str, str]:
        """Wait for its end; return the exit code, what it printed, and the rest of what it logged."""
        printed, errors = self.process.communicate(timeout=20)
        return self.process.returncode, printed, errors


@contextlib.contextmanager
def running(body: str, count: int = 2) -> Iterator[Running]:
    program = Running(body, count)
    try:
        yield program
    finally:
        program.process.kill()
        program.process.communicate()


def test_a_fault_before_any_worker_was_ready_ends_it_all() -> None:
    with running("def work(place): raise RuntimeError('never seen before')") as program:
        code, printed, errors = program.end()
    assert code == 1
    assert printed.startswith("no worker can start: the first one ended with exit code 70")
    assert "never seen before" in errors


def test_the_words_of_a_worker_that_cannot_start_are_the_message() -> None:
    with running("def work(place): say(place, 'failed', 'no such file'); return 1", 4) as program:
        code, printed, errors = program.end()
    assert (code, printed, errors) == (1, "no such file\n", "")


def test_what_cannot_be_forked_is_a_message_too() -> None:
    body = """
def fork(): raise OSError(11, "Resource temporarily unavailable")
os.fork = fork
work = None
"""
    with running(body) as program:
        code, printed, _ = program.end()
    assert (code, printed) == (
        1, "no worker can start: the first one could not be forked (Resource temporarily unavailable)\n"
    )  # fmt: skip


def test_a_worker_that_dies_at_once_again_and_again_is_started_ever_more_slowly() -> None:
    body = """
def work(place):
    say(place, "ready")
    return until_told(place) if place.number == 2 else 9
"""
    with running(body) as program:
        begin = program.logged("ended with exit code 9")
        assert (begin["level"], begin["worker"]) == ("warn", 1)
        paused = [program.logged("ended with exit code 9") for _ in range(3)]
        assert [line["level"] for line in paused] == ["error"] * 3
        assert [line["message"].rpartition(" in ")[2] for line in paused] == ["0.25 s", "0.5 s", "1 s"]
        assert "4 in a row" in paused[2]["message"]
        assert "all are ready" in [line["message"] for line in program.lines], "each of them once was"
        assert sum(line.get("worker") == 2 for line in program.lines) == 1, "the other one is left alone"
        program.process.send_signal(signal.SIGTERM)
        code, _, errors = program.end()
    assert code == 0
    assert json.loads(errors.splitlines()[-1])["message"] == "stopped"


def test_a_replacement_that_cannot_start_is_tried_again_until_it_can() -> None:
    body = """
tries = []
begin = os.fork
def fork():  # the second try to replace it finds no memory
    tries.append(1)
    if len(tries) == 4:
        raise OSError(12, "Cannot allocate memory")
    return begin()
os.fork = fork
def work(place):
    if len(tries) == 3:
        say(place, "failed", "ca.pem cannot be used")
        return 1
    say(place, "ready")
    if len(tries) == 1:
        time.sleep(0.6)  # long enough to have been of use
        os.kill(os.getpid(), signal.SIGKILL)
    return until_told(place)
"""
    with running(body) as program:
        assert program.logged("was killed by SIGKILL")["worker"] == 1
        failed = program.logged("ca.pem cannot be used")
        assert (failed["level"], failed["worker"]) == ("error", 1)
        assert program.logged("could not be forked (Cannot allocate memory)")["level"] == "error"
        assert program.logged("a worker has come up")["worker"] == 1
        program.process.send_signal(signal.SIGINT)
        assert program.end()[0] == 0


def test_a_worker_out_of_its_mind_and_the_child_of_somebody_else_do_no_harm() -> None:
    body = """
subprocess.Popen(["true"]).returncode = 0  # as process 1 of a container gets them
def work(place):
    say(place, "ready")
    if place.number == 1:
        place.control.sendall(b"rubbish\\n")
    return until_told(place)  # the channel ends: so does the worker
"""
    with running(body) as program:
        assert program.logged("ended with exit code 0")["worker"] == 1
        program.process.send_signal(signal.SIGTERM)
        assert program.end()[0] == 0


def test_a_signal_while_it_starts_is_no_failure() -> None:
    body = """
def work(place):
    if place.number == 1:
        os.kill(os.getppid(), signal.SIGTERM)
    return until_told(place)
"""
    with running(body) as program:
        code, printed, _ = program.end()
    assert (code, printed) == (0, "")
