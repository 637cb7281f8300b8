from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from bench.errors import BenchError
from bench.usage import Usage, cpu_seconds, usage

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.platform("linux")

# A parent and its child each compute in a thread that ends, and say what the kernel has told them that they used.
PROGRAM = """
import resource, subprocess, sys, threading
child = None if sys.argv[1:] else subprocess.Popen([sys.executable, __file__, "child"], stdin=subprocess.PIPE)
thread = threading.Thread(target=sum, args=(range(6_000_000),))
thread.start()
thread.join()
used = resource.getrusage(resource.RUSAGE_SELF)
print(used.ru_utime + used.ru_stime, flush=True)
sys.stdin.read(1)
"""


@pytest.fixture
def parent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[str]]:
    program = tmp_path_factory.mktemp("usage") / "program.py"
    program.write_text(PROGRAM)
    command = [sys.executable, str(program)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.communicate("x")


def test_cpu_time_is_that_of_the_whole_tree_with_ended_threads_as_the_kernel_tells_the_processes_themselves(
    parent: subprocess.Popen[str],
) -> None:
    assert parent.stdout is not None
    told = sorted(float(parent.stdout.readline()) for _ in range(2))  # the child writes to the same pipe
    seen = usage(parent.pid)
    assert parent.pid in seen.cpu
    assert sorted(seen.cpu.values()) == pytest.approx(told, abs=0.02)
    assert min(told) > 0.02
    assert 5e6 < seen.resident < 1e8
    assert seen.waited >= 0


def test_what_a_process_that_ended_has_used_is_not_forgotten_in_silence() -> None:
    before, after = Usage({1: 0.5, 2: 0.5}, 0.0, 0), Usage({1: 0.75}, 0.0, 0)
    with pytest.raises(BenchError, match="process 2 of the subject ended"):
        after.since(before)
    assert before.since(after) == 0.25


def test_a_process_that_there_is_not_is_an_error() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    with pytest.raises(BenchError, match=f"process {process.pid} has no CPU clock"):
        cpu_seconds(process.pid)
