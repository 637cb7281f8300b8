from __future__ import annotations

import itertools
import socket
from typing import TYPE_CHECKING

import pytest

from hydrallm.supervisor.messages import Lines, Notice
from hydrallm.supervisor.slot import PAUSES, Link, Slot

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.platform("linux", "darwin")


@pytest.fixture
def pair() -> Iterator[tuple[Link, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Link(ours), theirs


def test_deaths_of_the_young_in_a_row_make_the_next_one_wait_longer_and_longer() -> None:
    slot = Slot(1, ())
    pauses = [slot.vacate(100.0, young=True) for _ in range(len(PAUSES) + 2)]
    assert pauses == [*PAUSES, PAUSES[-1], PAUSES[-1]]
    assert slot.due == 100.0 + PAUSES[-1]
    assert slot.vacate(200.0, young=False) == 0.0
    assert slot.due == 200.0
    assert slot.vacate(300.0, young=True) == PAUSES[0] == 0.0, "one death says nothing"


def test_a_worker_that_does_not_read_holds_nobody_up(pair: tuple[Link, socket.socket]) -> None:
    link, worker = pair
    for sent in itertools.count(1):
        link.send(Notice(f"notice {sent}"))
        if link.full:
            break
    worker.setblocking(False)
    lines = Lines()
    arrived: list[object] = []
    while len(arrived) < sent:
        arrived += lines.feed(worker.recv(1 << 16))
        link.flush()
    assert not link.full
    assert arrived == [Notice(f"notice {number}") for number in range(1, sent + 1)], "whole, and in order"


def test_a_worker_that_has_died_is_no_error(pair: tuple[Link, socket.socket]) -> None:
    link, worker = pair
    worker.close()
    link.send(Notice("drain"))
    assert not link.full
    assert link.receive() is None


def test_last_words_are_heard(pair: tuple[Link, socket.socket]) -> None:
    link, worker = pair
    assert link.receive() == []
    worker.sendall(b'{"type":"notice","topic":"failed","text":"why"}\n')
    worker.close()
    assert link.receive() == [Notice("failed", "why")]
    assert link.receive() is None


def test_rubbish_ends_the_channel(pair: tuple[Link, socket.socket]) -> None:
    link, worker = pair
    worker.sendall(b"rubbish\n")
    assert link.receive() is None
