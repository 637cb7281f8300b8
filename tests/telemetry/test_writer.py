from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrallm.telemetry.writer import WHOLE, BackgroundWriter, PromptWriter, pieces

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


@given(st.lists(st.binary(max_size=30).map(lambda line: line.replace(b"\n", b"")), max_size=20), st.integers(1, 50))
def test_pieces_are_whole_lines_and_as_long_as_may_be(lines: list[bytes], limit: int) -> None:
    data = b"".join(line + b"\n" for line in lines)
    cut = list(pieces(data, limit))
    assert b"".join(cut) == data
    assert all(piece.endswith(b"\n") for piece in cut)
    assert all(len(piece) <= limit or piece.count(b"\n") == 1 for piece in cut)
    firsts = [piece.partition(b"\n")[0] + b"\n" for piece in cut[1:]]
    assert all(len(one) + len(first) > limit for one, first in zip(cut, firsts, strict=False)), "no more were needed"


def test_text_that_does_not_end_a_line_is_one() -> None:
    assert list(pieces(b"one\ntwo", 4)) == [b"one\n", b"two"]
    assert list(pieces(b"")) == []


def test_processes_that_share_a_pipe_do_not_write_into_each_others_lines(pipe: Pipe) -> None:
    program = f"""
from hydrallm.telemetry.writer import BackgroundWriter
writer = BackgroundWriter({pipe.write_end}, shared=True)
for _ in range(40):
    writer.write("".join("PLACE" * 20 + "\\n" for _ in range(500)))  # more than a pipe takes in one piece
writer.close(30)
"""
    processes = [
        subprocess.Popen([sys.executable, "-c", program.replace("PLACE", place)], pass_fds=[pipe.write_end])
        for place in "abc"
    ]
    lines = pipe.read_all().splitlines()
    assert [process.wait(20) for process in processes] == [0, 0, 0]
    assert {line: lines.count(line) for line in set(lines)} == dict.fromkeys(("a" * 20, "b" * 20, "c" * 20), 20_000)


def test_a_prompt_writer_writes_at_once_or_not_at_all(pipe: Pipe) -> None:
    writer = PromptWriter(pipe.write_end)
    line = "x" * (WHOLE - 1) + "\n"
    for _ in range(100):  # more than a pipe holds; one that waited would never come back
        writer.write(line)
    written = bytearray()
    while len(written) % len(line) or not written:
        written += os.read(pipe.read_end, 1 << 20)
    taken = len(written) // len(line)
    assert 0 < taken < 100
    writer.write("and on\n")
    assert pipe.read_all() == f"{100 - taken} log lines were dropped: they were not read fast enough\nand on\n"


def test_a_prompt_writer_does_not_mind_that_nobody_reads(pipe: Pipe) -> None:
    os.close(pipe.read_end)
    writer = PromptWriter(pipe.write_end)
    writer.write("nobody hears it\n")
    assert not writer.isatty()
    writer.flush()
