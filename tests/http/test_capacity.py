"""What this process may use, against the kernel's and the standard library's word for it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from hydrallm.http import capacity

pytestmark = pytest.mark.platform("linux")


def in_a_process(code: str, soft: int, hard: int) -> list[str]:
    """Return what ``code`` prints in a process of its own, with limits on open files."""
    head = f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))\n"
    done = subprocess.run([sys.executable, "-c", head + code], check=True, capture_output=True, text=True)
    return done.stdout.split()


def test_the_limit_on_open_files_is_raised_as_far_as_it_may_be() -> None:
    code = """
import resource
from hydrallm.http.capacity import open_files
print(open_files(), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""
    assert in_a_process(code, 64, 300) == ["300", "300", "300"]
    assert in_a_process(code, 300, 300) == ["300", "300", "300"]


def test_it_is_known_when_no_file_can_be_opened() -> None:
    code = """
import os
from hydrallm.http.capacity import files_exhausted
print(files_exhausted())
held = []
try:
    while True:
        held.append(os.dup(0))
except OSError:
    print(files_exhausted())
os.close(held.pop())
print(files_exhausted())
"""
    assert in_a_process(code, 64, 64) == ["False", "True", "False"]


def test_memory_is_what_the_machine_has_or_less() -> None:
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 0 < capacity.memory() <= total


GB = 1 << 30


@pytest.mark.parametrize(
    ("wanted", "files", "memory", "most"),
    [
        pytest.param(None, 20_000, 24 * GB, 9872, id="half-of-the-files"),
        pytest.param(None, 1 << 20, GB, 8192, id="memory-of-a-small-machine"),
        pytest.param(None, 64, GB, 24, id="few-files"),
        pytest.param(None, 1, GB, 1, id="next-to-nothing"),
        pytest.param(100, 20_000, GB, 100, id="as-the-config-says"),
        pytest.param(50_000, 20_000, 24 * GB, 19_744, id="no-more-than-files"),
    ],
)
def test_connections(wanted: int | None, files: int, memory: int, most: int) -> None:
    assert capacity.connections(wanted, files, memory) == most
    assert most + capacity.spare_files(files) <= max(files, 1 + capacity.spare_files(files))
