"""What is turned away is told at once, and then seldom, with the number."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from hydrallm.exchange.shedding import Shedding
from hydrallm.telemetry.records import Shed

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.exchange.conftest import Journal as Told


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - no event tells of it: it is the state of what is tested
            await asyncio.sleep(0.001)


async def test_a_flood_is_two_notes_and_nothing_is_lost(journal: Told) -> None:
    shedding = Shedding(journal, asyncio.get_running_loop(), interval=0.05)
    for number in range(1000):
        shedding.note("a", f"first {number}")
    shedding.note("b", "other")
    assert journal.sheds == [Shed("a", "first 0", 1), Shed("b", "other", 1)]
    await until(lambda: len(journal.sheds) == 3)
    assert journal.sheds[2] == Shed("a", "first 999", 999)
    assert shedding.counts == {"a": 1000, "b": 1}


async def test_what_happens_after_a_pause_is_told_at_once(journal: Told) -> None:
    loop = asyncio.get_running_loop()
    shedding = Shedding(journal, loop, interval=0.02)
    shedding.note("a", "one")
    await asyncio.sleep(0.05)  # an observation: that nothing more is told
    assert len(journal.sheds) == 1
    shedding.note("a", "two")
    assert journal.sheds == [Shed("a", "one", 1), Shed("a", "two", 1)]


async def test_as_long_as_it_goes_on_it_is_told_again(journal: Told) -> None:
    shedding = Shedding(journal, asyncio.get_running_loop(), interval=0.02)
    async with asyncio.timeout(10):
        while len(journal.sheds) < 5:
            shedding.note("a", "more")
            await asyncio.sleep(0.001)
    assert sum(shed.count for shed in journal.sheds) <= shedding.counts["a"]
