from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from hydrallm.telemetry.writer import BackgroundWriter

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.platform("linux", "darwin")


class Pipe:
    """A pipe, and what has been read of it; nothing is, until it is asked for."""

    def __init__(self) -> None:
        self.read_end, self.write_end = os.pipe()

    def read_all(self) -> str:
        os.close(self.write_end)
        with open(self.read_end, "rb", closefd=False) as file:
            return file.read().decode()


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    for descriptor in (made.read_end, made.write_end):
        try:
            os.close(descriptor)
        except OSError:
            continue  # the test has closed it


def test_everything_is_written_in_order(pipe: Pipe) -> None:
    writer = BackgroundWriter(pipe.write_end)
    for number in range(500):
        writer.write(f"{number}\n")
    writer.close()
    assert pipe.read_all().split() == [str(number) for number in range(500)]


def test_a_lone_surrogate_is_written_as_what_it_is(pipe: Pipe) -> None:
    writer = BackgroundWriter(pipe.write_end)
    writer.write("a\ud800b\n")
    writer.close()
    assert pipe.read_all() == "a\\ud800b\n"


def test_what_is_not_read_holds_nobody_up_and_is_counted(pipe: Pipe) -> None:
    writer = BackgroundWriter(pipe.write_end, max_waiting=3)
    line = "x" * 100_000 + "\n"  # more than a pipe holds, so the very first one blocks the thread
    for _ in range(50):
        writer.write(line)  # a writer that waited would never come back
    assert writer._dropped > 0  # noqa: SLF001 - how many is up to the thread
    dropped = writer._dropped  # noqa: SLF001
    read: list[bytes] = []

    def drain() -> None:
        while data := os.read(pipe.read_end, 65536):
            read.append(data)

    reader = threading.Thread(target=drain)
    reader.start()
    while not writer._queue.empty():  # noqa: SLF001 - until there is room again
        pass
    writer.write("the last\n")
    writer.close(10)
    os.close(pipe.write_end)
    reader.join(10)
    lines = b"".join(read).decode().splitlines()
    assert lines[-2:] == [f"{dropped} log lines were dropped: they were not read fast enough", "the last"]
    assert len(lines) == 50 - dropped + 2


def test_the_end_is_not_waited_for_where_nobody_reads(pipe: Pipe) -> None:
    writer = BackgroundWriter(pipe.write_end)
    writer.write("x" * 200_000)
    writer.close(0.05)


def test_a_closed_pipe_is_nobodys_problem(pipe: Pipe) -> None:
    os.close(pipe.read_end)
    writer = BackgroundWriter(pipe.write_end)
    writer.write("nobody hears it\n")
    writer.close()


def test_a_terminal_is_known_for_one(pipe: Pipe) -> None:
    master, terminal = os.openpty()
    try:
        assert BackgroundWriter(terminal).isatty()
        assert not BackgroundWriter(pipe.write_end).isatty()
    finally:
        os.close(master)
        os.close(terminal)
