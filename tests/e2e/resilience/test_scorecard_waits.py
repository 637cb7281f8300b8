"""Waiting as long as the upstream asks for, and never past the deadline: scorecard row 19."""

from __future__ import annotations

import asyncio
import datetime
import email.utils
import json
import math
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from tests.e2e.conftest import by_type

from hydrallm.faults.provider import Provider, Received
from hydrallm.faults.script import Answer, Fail, Hang, Reply, Stall

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Scorecard
    from tests.e2e.conftest import Connect, Running
    from tests.e2e.conftest import Reply as Response
    from tests.e2e.resilience.conftest import Question

pytestmark = pytest.mark.asyncio(loop_scope="session")

INTERVAL = 0.1
LATE = 2.0
"""Seconds by which a busy machine may be late; never may it be early."""
ROUNDING = 0.002
Headers = dict[str, str]


def date(now: float) -> Headers:
    return {"retry-after": email.utils.formatdate(math.ceil(now) + 1, usegmt=True)}


def date_asked(now: float) -> float:
    return math.ceil(now) + 1 - now


class Case(NamedTuple):
    """What a 429 says, as a function of the time of day.

    Attributes:
        headers: the answer's.
        asked: seconds to wait; None if the headers say nothing sensible, and the interval counts.
    """

    headers: Callable[[float], Headers]
    asked: Callable[[float], float | None]


def fixed(asked: float | None, **headers: str) -> Case:
    """Return a case that does not depend on the time."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Case(lambda _: named, lambda _: asked)


def rfc3339(now: float) -> Headers:
    when = datetime.datetime.fromtimestamp(math.ceil(now) + 1, datetime.UTC)
    return {
        "anthropic-ratelimit-requests-remaining": "0",
        "anthropic-ratelimit-requests-reset": when.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


WAITS: dict[str, Case] = {
    "seconds": fixed(1.0, retry_after="1"),
    "a fraction": fixed(0.6, retry_after="0.6"),
    "zero": fixed(None, retry_after="0"),
    "an HTTP date": Case(date, date_asked),
    "a date that is over": fixed(None, retry_after="Sun, 06 Nov 1994 08:49:37 GMT"),
    "milliseconds": fixed(0.7, retry_after_ms="700"),
    "milliseconds and seconds": fixed(0.7, retry_after_ms="700", retry_after="1"),
    "rubbish": fixed(None, retry_after="in a while"),
    "a negative number": fixed(None, retry_after="-5"),
    "not a number": fixed(None, retry_after="NaN"),
    "1e9": fixed(None, retry_after="1e9"),
    "thirty years": fixed(None, retry_after="1000000000"),
    "rubbish milliseconds, good seconds": fixed(0.6, retry_after_ms="soon", retry_after="0.6"),
    "OpenAI's resets": fixed(
        0.7, x_ratelimit_remaining_requests="0", x_ratelimit_reset_requests="700ms",
        x_ratelimit_remaining_tokens="500", x_ratelimit_reset_tokens="6m0s",
    ),
    "OpenAI's resets in seconds": fixed(1.0, x_ratelimit_remaining_tokens="0", x_ratelimit_reset_tokens="1s"),
    "Anthropic's resets": Case(rfc3339, date_asked),
}  # fmt: skip


def config(urls: list[str], **retry: str | int) -> dict[str, Any]:
    """Return a config with a model at each of ``urls`` for each API type, tried twice."""
    aws = {"aws_region": "eu-central-1", "aws_access_key_id": "AKID", "aws_secret_access_key": "secret"}
    endpoints: dict[str, Any] = {}
    models = []
    for number, url in enumerate(urls):
        endpoints |= {
            f"openai-{number}": {"url": f"{url}/v1", "api_key": "k"},
            f"anthropic-{number}": {"url": url, "api_key": "k"},
            f"bedrock-{number}": {"url": url, **aws},
        }
        for api, model in (("openai", "gpt"), ("anthropic", "claude"), ("bedrock", "anthropic.claude-v1:0")):
            models.append({"endpoint": f"{api}-{number}", "type": api, "model": model, "attempts": 2})
    # What is shown is each exchange's own patience: all models of an API type fail at the same time here.
    table = {"default_interval": f"{INTERVAL * 1000:.0f}ms", "max_cycles": 1, "breaker": False, **retry}
    return {"retry": table, "endpoints": endpoints, "models": models, "chains": by_type(models)}


class Asker:
    """Makes a request in each wire format, plain and streaming, all at once."""

    def __init__(self, plain: dict[str, Question], streamed: dict[str, Question], connect: Connect) -> None:
        self.questions = [*plain.values(), *streamed.values()]
        self._connect = connect

    async def ask(self, port: int, limit: float) -> list[tuple[Response, float]]:
        """Return the answers, and how many seconds each took.

        Raises:
            TimeoutError: one took longer than ``limit`` seconds.
        """
        return await asyncio.wait_for(
            asyncio.gather(*(self._one(port, number) for number in range(len(self.questions)))), limit
        )

    async def _one(self, port: int, number: int) -> tuple[Response, float]:
        question = self.questions[number]
        begun = time.monotonic()
        async with await self._connect(port) as client:
            reply = await client.ask(question.body(mark=number), question.path)
        return reply, time.monotonic() - begun


@pytest.fixture
def asker(plain: dict[str, Question], streamed: dict[str, Question], connect: Connect) -> Asker:
    return Asker(plain, streamed, connect)


class Witness:
    """A provider's script that refuses each request the first time, and knows how long it was left alone after that."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._refused: dict[int, tuple[float, float | None]] = {}
        self.waits: dict[int, tuple[float, float | None]] = {}

    def __call__(self, received: Received) -> Reply:
        mark = json.loads(received.body)["mark"]
        now = time.time()
        if mark in self._refused:
            refused, asked = self._refused[mark]
            self.waits[mark] = now - refused, asked
            return Answer()
        self._refused[mark] = now, self._case.asked(now)
        return Fail(cause="rate_limited", headers=self._case.headers(now))


async def test_the_wait_is_what_the_upstream_asks_for(asker: Asker, running: Running, scorecard: Scorecard) -> None:
    at_once = asyncio.Semaphore(4)

    async def run(name: str, case: Case) -> list[str]:
        witness = Witness(case)
        async with at_once, Provider(witness) as provider, running(config([provider.url])) as gateway:
            answers = await asker.ask(gateway.port, 20)
        wrong = [f"{name}: status {reply.status}" for reply, _ in answers if reply.status != 200]
        wrong += [f"{name}: {len(witness.waits)} of {len(answers)} were tried again"] * (
            len(witness.waits) != len(answers)
        )
        for wait, asked in witness.waits.values():
            least = max(asked or 0.0, INTERVAL)
            if not least - ROUNDING <= wait <= least + LATE:
                wrong.append(f"{name}: waited {wait:.3f} s, asked for {least:.3f} s")
        return wrong

    found = await asyncio.gather(*(run(name, case) for name, case in WAITS.items()))
    wrong = [why for each in found for why in each]
    print(*wrong, sep="\n")
    waits = len(WAITS) * len(asker.questions)
    title = f"Retry-After in {len(WAITS)} forms, six formats, plain and streaming"
    scorecard(19, title, f"{waits - len(wrong)} of {waits} right, none early", "100 %", not wrong)


async def test_what_asks_for_too_long_is_not_waited_for(asker: Asker, running: Running, scorecard: Scorecard) -> None:
    refusing, healthy = Fail(cause="rate_limited", headers={"retry-after": "9"}), Answer()
    async with Provider(refusing) as first, Provider(healthy) as second:
        async with running(config([first.url], deadline="2s")) as gateway:
            late = await asker.ask(gateway.port, 2 + LATE)
        asked_once = len(first.received) == len(asker.questions)
        first.received.clear()
        async with running(config([first.url, second.url], max_wait="1s")) as gateway:
            onward = await asker.ask(gateway.port, 9)
    assert asked_once, "a wait that ends after the deadline is not begun"
    assert {reply.status for reply, _ in late} == {429}
    assert {reply.headers.get("x-should-retry") for reply, _ in late} == {"true"}, "the proxy stopped early"
    assert all(8 <= float(reply.headers["retry-after"]) <= 9 for reply, _ in late)
    assert {reply.status for reply, _ in onward} == {200}
    slowest = max(seconds for answers in (late, onward) for _, seconds in answers)
    scorecard(
        19, "Retry-After beyond the deadline, or beyond max_wait with another model left",
        f"not waited for: {slowest:.2f} s", "at once", slowest < LATE,
    )  # fmt: skip


SILENT: dict[str, Reply] = {
    "no answer": Hang(),
    "headers only": Stall(events=0),
    "the preamble only": Stall(events="preamble"),
    "pings for ever": Stall(events="preamble", beat=0.02),
}


@pytest.mark.parametrize("hold_limit", ["30s", "100ms"])
async def test_no_silence_passes_the_deadline(
    hold_limit: str, asker: Asker, running: Running, scorecard: Scorecard
) -> None:
    async def run(name: str, reply: Reply) -> list[tuple[str, float]]:
        async with (
            Provider(reply) as provider,
            running(config([provider.url] * 2, deadline="1s", hold_limit=hold_limit)) as gateway,
        ):
            answers = await asker.ask(gateway.port, 20)
        held = hold_limit != "30s"
        whole = [r for r, _ in answers if r.status < 400 and (r.complete or not held)]
        assert not whole, f"{name}: {whole[0]}"
        return [(name, seconds) for _, seconds in answers]

    found = await asyncio.gather(*(run(name, reply) for name, reply in SILENT.items()))
    seconds = [each for answers in found for _, each in answers]
    scorecard(
        19, f"silent upstreams, deadline 1 s, hold_limit {hold_limit}: the end",
        f"{min(seconds):.2f} to {max(seconds):.2f} s", f"1 s, {LATE:g} s late at most",
        min(seconds) >= 1 - ROUNDING and max(seconds) <= 1 + LATE,
    )  # fmt: skip
