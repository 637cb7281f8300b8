"""When credentials are fetched, by a clock that the tests move, and what requests get meanwhile."""

from __future__ import annotations

import asyncio
import datetime
import queue
import threading
from typing import TYPE_CHECKING, Any

import pytest

from hydrallm.credentials.aws import KeyPair
from hydrallm.credentials.aws_chain import Resolved
from hydrallm.credentials.refresh import LONGEST_BACKOFF, PATIENCE, RefreshedKeys, Supply
from hydrallm.endpoints.base import AwsChain, AwsKeys, BaseURL, Endpoint
from hydrallm.errors import ConnectError, CredentialError
from hydrallm.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

NOON = datetime.datetime(2030, 1, 1, 12, tzinfo=datetime.UTC)


class Loop(asyncio.SelectorEventLoop):
    """A loop whose clock moves only when it is put forward."""

    clock = 0.0

    def time(self) -> float:
        return self.clock


class Source:
    """What is asked for credentials, on a thread; the test answers."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._answers: queue.SimpleQueue[Resolved | BaseException] = queue.SimpleQueue()
        self.asked: asyncio.Queue[float] = asyncio.Queue()
        """The loop's time whenever it is asked."""
        self.told: list[tuple[object, Resolved | None]] = []
        self.slept = 0.0
        """Seconds that the machine slept, which its loop does not notice."""
        self.threads: set[int] = set()

    def now(self) -> datetime.datetime:
        return NOON + datetime.timedelta(seconds=self._loop.time() + self.slept)

    def fetch(self) -> Resolved:
        self.threads.add(threading.get_ident())
        self._loop.call_soon_threadsafe(self.asked.put_nowait, self._loop.time())
        answer = self._answers.get(timeout=20)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def tell(self, news: object, used: Resolved | None) -> None:
        self.told.append((news, used))

    def answer(self, answer: Resolved | BaseException) -> None:
        self._answers.put(answer)

    def granted(self, number: int, lifetime: float | None, source: str = "sso") -> Resolved:
        expires = None if lifetime is None else self.now() + datetime.timedelta(seconds=lifetime)
        return Resolved(KeyPair(f"AKID{number}", Secret(f"secret-{number}"), None), expires, source, None)

    async def next_asked(self) -> float:
        return await self.asked.get()


class Stage:
    """Keys, their source, and the clock."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.source = Source(loop)
        self.keys = RefreshedKeys("test-credentials", self.source.fetch, self.source.now, self.source.tell)

    async def skip(self, seconds: float) -> None:
        self.loop.clock += seconds
        for _ in range(5):
            await asyncio.sleep(0)

    async def current(self, patience: float = 5.0) -> str:
        return (await self.keys.current(self.loop.time() + patience)).pair.access_key_id

    async def granted(self, number: int, lifetime: float | None, source: str = "sso") -> Resolved:
        """Begin, and wait for the first keys."""
        self.keys.start()
        await self.source.next_asked()
        first = self.source.granted(number, lifetime, source)
        self.source.answer(first)
        assert await self.current() == f"AKID{number}"
        return first

    async def failed(self, reason: str = "no luck") -> None:
        """Let the fetch that is under way fail, and wait until that is known."""
        fetching = asyncio.ensure_future(self.settled())
        await asyncio.sleep(0)
        self.source.answer(CredentialError(reason))
        await fetching

    async def settled(self) -> None:
        fetching = self.keys._fetching  # noqa: SLF001 - nobody outside needs to know when a fetch has ended
        assert fetching is not None
        await asyncio.shield(fetching)


def play(scene: Callable[[Stage], Awaitable[None]]) -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, Loop)
        stage = Stage(loop)
        try:
            await scene(stage)
        finally:
            stage.source.answer(CredentialError("the test is over"))
            stage.keys.close()

    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(run())


def test_the_first_requests_wait_for_the_first_fetch_and_later_ones_for_nothing() -> None:
    async def scene(stage: Stage) -> None:
        stage.keys.start()
        stage.keys.start()
        await stage.source.next_asked()
        waiting = [asyncio.ensure_future(stage.current()) for _ in range(20)]
        await asyncio.sleep(0)
        assert not any(each.done() for each in waiting)
        first = stage.source.granted(1, 3600)
        stage.source.answer(first)
        assert set(await asyncio.gather(*waiting)) == {"AKID1"}
        one = stage.current(patience=0)
        with pytest.raises(StopIteration, match="AKID1"):
            one.send(None)  # it never gave the loop away
        assert stage.source.asked.empty()
        assert stage.source.told == [(first, first)]
        assert threading.get_ident() not in stage.source.threads

    play(scene)


@pytest.mark.parametrize(
    ("lifetime", "source", "after"),
    [
        (6 * 3600, "iam-role", 6 * 3600 - 900),
        (3600, "assume-role", 2700),
        (1800, "container-role", 900),
        (1200, "sso", 600),  # 900 s before the end of so short a life would be at its beginning
        (60, "custom-process", 30),
        (None, "shared-credentials-file", 60),
        (None, "config-file", 60),
    ],
)
def test_when_they_are_fetched_anew(lifetime: float | None, source: str, after: float) -> None:
    async def scene(stage: Stage) -> None:
        await stage.granted(1, lifetime, source)
        await stage.skip(after - 0.1)
        assert stage.source.asked.empty()
        await stage.skip(0.1)
        assert await stage.source.next_asked() == pytest.approx(after)
        assert await stage.current(patience=0) == "AKID1", "the old ones are used meanwhile"
        stage.source.answer(stage.source.granted(2, lifetime, source))
        await stage.settled()
        assert await stage.current(patience=0) == "AKID2"
        assert [used.pair.access_key_id for _, used in stage.source.told if used] == ["AKID1", "AKID2"]

    play(scene)


def test_what_never_expires_and_stands_in_no_file_is_not_fetched_again() -> None:
    async def scene(stage: Stage) -> None:
        await stage.granted(1, None, "custom-process")
        await stage.skip(30 * 86400)
        assert await stage.current(patience=0) == "AKID1"
        assert stage.source.asked.empty()

    play(scene)


def test_what_stands_in_the_file_still_is_no_news() -> None:
    async def scene(stage: Stage) -> None:
        first = await stage.granted(1, None, "config-file")
        await stage.skip(61)
        await stage.source.next_asked()
        stage.source.answer(first)
        await stage.settled()
        assert len(stage.source.told) == 1

    play(scene)


def test_a_refresh_that_fails_is_told_once_and_tried_again_while_the_old_ones_are_valid() -> None:
    async def scene(stage: Stage) -> None:
        first = await stage.granted(1, 3600)
        await stage.skip(2700)
        await stage.source.next_asked()
        waits: list[float] = []
        for number in range(9):
            await stage.failed(f"no luck {number}")
            assert await stage.current(patience=0) == "AKID1"
            pause = min(2.0**number, LONGEST_BACKOFF)
            waits.append(pause)
            await stage.skip(pause - 0.1)
            assert stage.source.asked.empty(), pause
            await stage.skip(0.1)
            assert await stage.source.next_asked() == pytest.approx(2700 + sum(waits))
        assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
        (news, used) = stage.source.told[1]
        assert str(news) == "no luck 0"
        assert used is first
        assert len(stage.source.told) == 2
        stage.source.answer(second := stage.source.granted(2, 3600))
        await stage.settled()
        assert stage.source.told[2] == (second, second)
        assert await stage.current(patience=0) == "AKID2"

    play(scene)


def test_expired_ones_are_not_used() -> None:
    async def scene(stage: Stage) -> None:
        await stage.granted(1, 3600)
        await stage.skip(2701)
        await stage.source.next_asked()
        await stage.failed("the token has expired")
        await stage.skip(895)
        await stage.source.next_asked()
        assert await stage.current(patience=0) == "AKID1"
        await stage.skip(5)
        with pytest.raises(
            CredentialError, match=r"^no AWS credentials: the last ones expired at .*13:00:00 UTC; their source has not"
        ):
            await stage.current(patience=0)
        await stage.failed("the token has expired")
        with pytest.raises(ConnectError, match=r"expired at .*13:00:00 UTC; the token has expired$"):
            await stage.current(patience=0)

    play(scene)


def test_what_expired_while_the_machine_slept_is_fetched_by_the_first_request() -> None:
    async def scene(stage: Stage) -> None:
        await stage.granted(1, 3600)
        stage.source.slept = 7200
        waiting = asyncio.ensure_future(stage.current())
        await stage.source.next_asked()
        assert not waiting.done()
        stage.source.answer(stage.source.granted(2, 3600))
        assert await waiting == "AKID2"

    play(scene)


def test_what_is_due_after_a_sleep_is_fetched_behind_the_first_request() -> None:
    async def scene(stage: Stage) -> None:
        await stage.granted(1, 3600)
        stage.source.slept = 3000
        assert await stage.current(patience=0) == "AKID1"
        await stage.source.next_asked()
        assert await stage.current(patience=0) == "AKID1"
        assert stage.source.asked.empty(), "one fetch at a time"

    play(scene)


def test_where_there_are_none_requests_fail_at_once_and_do_not_ask_again() -> None:
    async def scene(stage: Stage) -> None:
        waiting = [asyncio.ensure_future(stage.current()) for _ in range(5)]
        await stage.source.next_asked()
        stage.source.answer(CredentialError("run aws sso login"))
        failures = await asyncio.gather(*waiting, return_exceptions=True)
        assert {str(each) for each in failures} == {"no AWS credentials: run aws sso login"}
        for _ in range(50):
            with pytest.raises(CredentialError, match="run aws sso login"):
                await stage.current()
        assert stage.source.asked.empty()
        assert [used for _, used in stage.source.told] == [None]

    play(scene)


def test_a_source_that_hangs_is_not_waited_for_for_long_and_not_asked_twice() -> None:
    async def scene(stage: Stage) -> None:
        stage.keys.start()
        await stage.source.next_asked()
        waiting, patient = (asyncio.ensure_future(stage.current(patience)) for patience in (1, 3600))
        await asyncio.sleep(0)
        await stage.skip(0.9)
        assert not waiting.done()
        await stage.skip(0.1)
        with pytest.raises(CredentialError, match=r"their source has not answered for 1\.0 s"):
            await waiting
        await stage.skip(PATIENCE - 1)
        with pytest.raises(CredentialError, match=r"their source has not answered for 10\.0 s"):
            await patient
        assert [str(news) for news, _ in stage.source.told] == ["their source has not answered for 10.0 s"]
        await stage.skip(86400)
        assert stage.source.asked.empty()
        stage.source.answer(stage.source.granted(1, 3600))
        await stage.settled()
        assert await stage.current(patience=0) == "AKID1"
        assert len(stage.source.told) == 2, "that it has come after all"

    play(scene)


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (-1.0, r"those from sso expired at 2030-01-01 11:59:59 UTC"),
        (SystemExit(3), "SystemExit: 3"),
        (ZeroDivisionError("by zero"), "ZeroDivisionError: by zero"),
    ],
)
def test_whatever_else_a_fetch_ends_with_is_a_failure(outcome: float | BaseException, reason: str) -> None:
    async def scene(stage: Stage) -> None:
        waiting = asyncio.ensure_future(stage.current())
        await stage.source.next_asked()
        stage.source.answer(outcome if isinstance(outcome, BaseException) else stage.source.granted(1, outcome))
        with pytest.raises(CredentialError, match=reason):
            await waiting

    play(scene)


def test_a_client_that_leaves_takes_nobody_with_it() -> None:
    async def scene(stage: Stage) -> None:
        leaves, stays = (asyncio.ensure_future(stage.current()) for _ in range(2))
        await stage.source.next_asked()
        leaves.cancel()
        await asyncio.sleep(0)
        stage.source.answer(stage.source.granted(1, 3600))
        assert await stays == "AKID1"
        assert leaves.cancelled()

    play(scene)


def test_once_closed_nothing_is_fetched_and_nobody_waits() -> None:
    async def scene(stage: Stage) -> None:
        waiting = asyncio.ensure_future(stage.current())
        await stage.source.next_asked()
        stage.keys.close()
        with pytest.raises(CredentialError):
            await waiting
        stage.source.answer(stage.source.granted(1, 3600))
        with pytest.raises(CredentialError):
            await stage.current()
        assert stage.source.told == []
        assert stage.source.asked.empty()

    play(scene)


# -- the endpoint with the keys of the moment -------------------------------------------------------------------------

URL = BaseURL("https", "bedrock.example", 443, b"", b"bedrock.example")


@pytest.mark.parametrize(
    ("stated", "profiles", "region"), [("eu-west-1", "us-east-1", "eu-west-1"), (None, "us-east-1", "us-east-1")]
)
def test_an_endpoint_has_the_keys_of_the_moment(stated: str | None, profiles: str | None, region: str) -> None:
    async def scene(stage: Stage) -> None:
        chain = AwsChain(None, stated)
        configured = Endpoint("e", URL, chain, headers=((b"x-a", b"1"),))
        supply = Supply(configured, chain, stage.keys)
        waiting = asyncio.ensure_future(supply.endpoint(stage.loop.time() + 5))
        await stage.source.next_asked()
        pair = KeyPair("AKID", Secret("s"), Secret("t"))
        stage.source.answer(Resolved(pair, None, "env", profiles))
        endpoint = await waiting
        assert endpoint == Endpoint(
            "e", URL, AwsKeys("AKID", Secret("s"), Secret("t"), region), headers=((b"x-a", b"1"),)
        )
        assert await supply.endpoint(0) is endpoint, "it is made once for each set of keys"

    play(scene)


def test_without_a_region_nothing_is_signed() -> None:
    async def scene(stage: Stage) -> None:
        chain = AwsChain(None, None)
        supply = Supply(Endpoint("e", URL, chain), chain, stage.keys)
        waiting: Any = asyncio.ensure_future(supply.endpoint(stage.loop.time() + 5))
        await stage.source.next_asked()
        stage.source.answer(stage.source.granted(1, None))
        with pytest.raises(CredentialError, match="no region to sign for; set aws_region"):
            await waiting

    play(scene)
