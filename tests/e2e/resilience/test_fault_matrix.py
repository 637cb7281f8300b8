"""Every fault an upstream can cause, in every wire format, with every kind of fallback: whole, or raised, in time.

A *cell* is one call with an official SDK: a fault, a format (plain or streaming), a fallback. A gateway runs only a few
cells, on purpose: breakers remember, and a model that is left out cannot show its fault. Scorecard rows 7, 8 and 9 are
cells too, and with some others they stay in the suite; the whole matrix has the marker ``matrix``: ``make matrix``.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
import time
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

import msgspec
import pytest
import trustme
from tests.e2e.conftest import by_type

from hydrallm.faults.provider import Provider
from hydrallm.faults.script import (
    Answer,
    Cause,
    Cut,
    Fail,
    Hang,
    Malformed,
    Reply,
    Stall,
    StreamError,
    numbered,
)  # fmt: skip
from hydrallm.policy.kinds import Kind

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator, Mapping

    from tests.conftest import Scorecard
    from tests.e2e.conftest import Running
    from tests.e2e.resilience.conftest import Ask, Heard

pytestmark = pytest.mark.asyncio(loop_scope="session")

FIRST, SECOND = numbered(8, "first"), numbered(8, "second")
PAUSE = 0.01
"""Seconds between the events of a stream that is going to fail."""
DEADLINE = 12.0
"""Seconds, in the config of every gateway here; nothing that is not silent comes near it."""
MARGIN = 4.0
"""Seconds by which a busy machine may be late."""
SHORT = "400ms"
"""The clocks of a provider that is silent on purpose, and of no other."""

CALLS = (
    "chat", "chat-stream", "responses", "responses-stream", "messages", "messages-stream",
    "invoke", "invoke-stream", "converse", "converse-stream",
)  # fmt: skip
STREAMS = tuple(call for call in CALLS if call.endswith("-stream"))
PLAIN = tuple(call for call in CALLS if not call.endswith("-stream"))
AWS_STREAMS = ("invoke-stream", "converse-stream")
RESPONSES = ("responses-stream",)
NOT_AWS = CALLS[:6]
NOT_INVOKE = tuple(call for call in CALLS if call != "invoke")  # whose body is any maker's, so any object may be one
FORMATS_APART = (
    ("chat", "messages", "invoke"), ("chat-stream", "messages-stream", "invoke-stream"),
    ("responses", "converse"), ("responses-stream", "converse-stream"),
)  # fmt: skip
"""The calls such that no two of one group share a model, for faults that open a breaker at once."""


class Fault(NamedTuple):
    """A fault, and what may come of it.

    Attributes:
        reply: what the provider does; None where nothing answers at its address.
        kinds: what the gateway may call it; the first one it must, in one format at least.
        calls: to which it can happen.
        silent: whether it is noticed by a timeout only.
        opens: whether one such failure keeps other exchanges away from the model.
        returns: whether the upstream's answer may be the client's, whatever fallback there is.
        survives: whether the answer is complete all the same.
        tls: whether the provider speaks TLS with a certificate that nobody knows.
        own_key: whether the gateway has a key for the provider; otherwise it shows the client's.
        hold_limit: the config's, where it is not the default.
    """

    reply: Reply | None
    kinds: tuple[str, ...]
    calls: tuple[str, ...] = CALLS
    silent: bool = False
    opens: bool = False
    returns: bool = False
    survives: bool = False
    tls: bool = False
    own_key: bool = True
    hold_limit: str = "30s"


OPENING = {"quota", "auth", "model_unknown"}
RETURNING = {"client_error", "content_filter"}
KINDS = {"auth": "misconfigured", "model_unknown": "misconfigured"}
HTML = "<!DOCTYPE html><html><head><title>Log in</title></head><body>Please log in.</body></html>"
AS_HTML = {"content-type": "text/html"}


def caused(
    name: str,
    make: Any,  # noqa: ANN401 - Fail or StreamError
    default: str = "",
    calls: tuple[str, ...] = CALLS,
    **given: Any,  # noqa: ANN401 - its arguments
) -> dict[str, Fault]:
    """Return a fault for each cause; ``default`` is what it is called where its words say no more than "error"."""
    faults = {}
    for cause in get_args(Cause):
        named = (KINDS.get(cause, cause), *((default,) if default else ()))
        kinds = (default,) if default and cause == "client_error" else named  # a 200 has said that the request is fine
        opens, returns = cause in OPENING, cause in RETURNING
        faults[f"{name}{cause}"] = Fault(make(cause=cause, **given), kinds, calls, opens=opens, returns=returns)
    return faults


BAD, CUT, SLOW, STALLED = ("bad_answer",), ("cut",), ("slow_start",), ("stalled",)

BEFORE_HEADERS: dict[str, Fault] = {
    **caused("", Fail),
    "client-key-refused": Fault(Fail(cause="auth"), ("unauthorized",), NOT_AWS, own_key=False),
    "no-such-path": Fault(Fail(status=404, body='{"detail":"Not Found"}'), ("unsupported", "rephrased")),
    "bad-gateway": Fault(Fail(status=502, body=HTML, headers=AS_HTML), ("server",)),
    "refused": Fault(None, ("unreachable",)),
    "unknown-certificate": Fault(Answer(text=FIRST), ("tls",), tls=True),
    "silence": Fault(Hang(), SLOW, silent=True),
    "cut": Fault(Cut(), CUT),
    "reset": Fault(Cut(how="rst"), CUT),
    "cut-inside-headers": Fault(Cut(at="inside_headers"), CUT),
    "not-http": Fault(Malformed(what="not_http"), BAD),
    "two-lengths": Fault(Malformed(what="two_lengths"), BAD),
}

BEFORE_CONTENT: dict[str, Fault] = {
    **caused("200-", Fail, "bad_answer", status=200),
    **caused("first-event-", StreamError, "cut", STREAMS, events=0),
    **caused("after-the-preamble-", StreamError, "cut", STREAMS, events="preamble"),
    "flat-error": Fault(StreamError(cause="overloaded", form="flat"), ("overloaded",), RESPONSES),
    "response-failed": Fault(StreamError(cause="server", form="failed", events="preamble"), ("server",), RESPONSES),
    "empty-200": Fault(Fail(status=200, body=""), BAD),
    "null-200": Fault(Fail(status=200, body="null"), BAD),
    "object-200": Fault(Fail(status=200, body="{}"), BAD, NOT_INVOKE),
    "login-page-200": Fault(Fail(status=200, body=HTML, headers=AS_HTML), BAD + CUT),
    "no-content-204": Fault(Fail(status=204), BAD),
    "json-cut-at-its-length": Fault(Cut(at="inside_event", events=1, how="clean"), BAD, PLAIN),
    "json-half": Fault(Cut(at="after_events", events=1), CUT, PLAIN),
    "json-half-reset": Fault(Cut(at="after_events", events=1, how="rst"), CUT, PLAIN),
    "json-bad": Fault(Malformed(), BAD, PLAIN),
    "json-stalls": Fault(Stall(events="content"), SLOW, PLAIN, silent=True),
    "filtered": Fault(Answer(text="", finish="filtered"), ("content_filter",), returns=True),
    "cut-after-headers": Fault(Cut(at="after_headers"), CUT),
    "reset-after-headers": Fault(Cut(at="after_headers", how="rst"), CUT),
    "no-events": Fault(Cut(at="after_headers", how="clean"), BAD + CUT, STREAMS),
    "cut-after-the-preamble": Fault(Cut(at="after_events", events="preamble"), CUT, STREAMS),
    "reset-after-the-preamble": Fault(Cut(at="after_events", events="preamble", how="rst"), CUT, STREAMS),
    "end-after-the-preamble": Fault(Cut(at="after_events", events="preamble", how="clean"), CUT, STREAMS),
    "end-inside-the-first-content": Fault(Cut(at="inside_event", events="preamble", how="clean"), CUT, STREAMS),
    "malformed-first": Fault(Malformed(events=0), CUT, STREAMS),
    "malformed-after-the-preamble": Fault(Malformed(events="preamble", count=2), CUT, STREAMS),
    "wrong-checksum-first": Fault(Malformed(what="crc"), CUT, AWS_STREAMS),
    "wrong-checksum-after-the-preamble": Fault(Malformed(what="crc", events="preamble"), CUT, AWS_STREAMS),
    "stall-after-headers": Fault(Stall(events=0), SLOW, silent=True),
    "stall-after-the-preamble": Fault(Stall(events="preamble"), SLOW, STREAMS, silent=True),
    "pings-for-ever": Fault(Stall(events="preamble", beat=0.05), SLOW, STREAMS, silent=True),
    "held-long-then-silent": Fault(Stall(events="preamble"), SLOW, STREAMS, silent=True, hold_limit="50ms"),
    "held-long-then-pings": Fault(Stall(events=0, beat=0.05), SLOW, STREAMS, silent=True, hold_limit="50ms"),
    "held-long-then-cut": Fault(Cut(at="after_events", events="preamble", pause=0.2), CUT, STREAMS, hold_limit="50ms"),
    "held-long-then-error": Fault(
        StreamError(cause="overloaded", events="preamble", pause=0.2), ("overloaded",), STREAMS, hold_limit="50ms"
    ),
}

AFTER_CONTENT: dict[str, Fault] = {
    **caused("", StreamError, "cut", STREAMS, events="content"),
    **caused("late-", StreamError, "cut", STREAMS, events="closing"),
    "flat-error": Fault(StreamError(cause="overloaded", form="flat", events="content"), ("overloaded",), RESPONSES),
    "response-failed": Fault(StreamError(cause="server", form="failed", events="content"), ("server",), RESPONSES),
    "cut": Fault(Cut(at="after_events", events="content"), CUT, STREAMS),
    "reset": Fault(Cut(at="after_events", events="content", how="rst"), CUT, STREAMS),
    "end": Fault(Cut(at="after_events", events="content", how="clean"), CUT, STREAMS),
    "cut-inside-an-event": Fault(Cut(at="inside_event", events="content"), CUT, STREAMS),
    "end-inside-an-event": Fault(Cut(at="inside_event", events="content", how="clean"), CUT, STREAMS),
    "cut-before-the-end": Fault(Cut(at="after_events", events="closing"), CUT, STREAMS),
    "end-before-the-end": Fault(Cut(at="after_events", events="closing", how="clean"), CUT, STREAMS),
    "malformed-once": Fault(Malformed(events="content"), (), STREAMS, survives=True),
    "malformed-twice": Fault(Malformed(events="content", count=2), CUT, STREAMS),
    "wrong-checksum": Fault(Malformed(what="crc", events="content"), CUT, AWS_STREAMS),
    "stall": Fault(Stall(events="content"), STALLED, STREAMS, silent=True),
    "stall-before-the-end": Fault(Stall(events="closing"), STALLED, STREAMS, silent=True),
}

STAGES: dict[str, dict[str, Fault]] = {
    "before headers": BEFORE_HEADERS,
    "before content": BEFORE_CONTENT,
    "after content": AFTER_CONTENT,
}
FALLBACKS = ("healthy", "failing too", "none")

FAST = {
    "before headers": ("quota", "client-key-refused", "silence"),
    "before content": ("after-the-preamble-overloaded", "pings-for-ever", "held-long-then-error"),
    "after content": ("overloaded", "end", "malformed-once", "stall"),
}
"""What stays in the suite, beside the rows of the scorecard."""

ROWS = {
    7: (
        "cut before content, healthy fallback",
        ("cut", "reset", "cut-inside-headers", "cut-after-headers", "json-half", "cut-after-the-preamble",
         "reset-after-the-preamble", "end-after-the-preamble"),
    ),
    8: (
        "SSE error (or AWS exception) as the first event, healthy fallback",
        ("first-event-overloaded", "first-event-server", "first-event-rate_limited", "first-event-context_length",
         "flat-error", "response-failed"),
    ),
    9: (
        "200 with an error's JSON, empty, cut, or a web page, healthy fallback",
        ("200-overloaded", "200-server", "empty-200", "json-cut-at-its-length", "login-page-200"),
    ),
}  # fmt: skip


Wrong = tuple[str, str]
"""A cell that is not as it must be, and why."""


def judge(stage: str, fault: Fault, fallback: str, heard: Heard) -> str:
    """Return what is wrong with what a client heard; empty if nothing is."""
    recovers = stage != "after content" and fallback == "healthy" and not fault.returns
    filtered = heard.finish in {"content_filter", "content_filtered", "refusal"}
    honest = heard.error is not None or heard.whole or (fault.returns and filtered)
    checks = (
        (honest, "a truncated answer looks complete"),
        (not heard.whole or heard.text in {FIRST, SECOND}, "it is not the whole answer"),
        (FIRST.startswith(heard.text) or heard.text == SECOND, "something is doubled, missing or out of order"),
        (heard.text != SECOND or fallback == "healthy", "nobody could have said that"),
        (not recovers or (heard.whole and heard.text == SECOND), "the fallback could have answered"),
        (not fault.survives or (heard.whole and heard.text == FIRST), "the answer could have gone on"),
    )
    return next((why for holds, why in checks if not holds), "")


def settings(fault: Fault, fallback: str, urls: Mapping[str, str]) -> dict[str, Any]:
    """Return a gateway's config: a chain for each API type, at the addresses ``urls`` of ``first`` and ``second``."""
    aws = {"aws_region": "eu-central-1", "aws_access_key_id": "AKID", "aws_secret_access_key": "secret"}
    endpoints: dict[str, Any] = {}
    models = []
    for place, url in urls.items():
        quick = fault.silent and (place == "first" or fallback == "failing too")
        clocks = {"timeout": SHORT, "first_token_timeout": SHORT, "idle_timeout": SHORT} if quick else {}
        key = {"api_key": f"key-{place}"} if fault.own_key or (place, fallback) == ("second", "healthy") else {}
        endpoints |= {
            f"openai-{place}": {"url": f"{url}/v1", **key, **clocks},
            f"anthropic-{place}": {"url": url, **key, **clocks},
            f"bedrock-{place}": {"url": url, **aws, **clocks},
        }
        for api, model in (("openai", "gpt"), ("anthropic", "claude"), ("bedrock", "anthropic.claude-v1:0")):
            models.append({"endpoint": f"{api}-{place}", "type": api, "model": f"{model}-{place}", "attempts": 2})
    retry = {"default_interval": "1ms", "default_timeout": "10s", "max_cycles": 1, "deadline": f"{DEADLINE:g}s"}
    retry |= {"hold_limit": fault.hold_limit}
    return {"endpoints": endpoints, "models": models, "chains": by_type(models), "retry": retry}


def told(reply: Reply | None) -> Reply | None:
    """Return a reply that says what no other does, and takes its time: content that came first is then sent first."""
    if isinstance(reply, Cut | StreamError | Malformed | Stall):
        pace = {} if isinstance(reply, Stall) or reply.pause else {"pause": PAUSE}
        return msgspec.structs.replace(reply, text=FIRST, **pace)
    return reply


@contextlib.asynccontextmanager
async def providers(fault: Fault, fallback: str) -> AsyncIterator[dict[str, Provider]]:
    """Start the providers of a chain by their place in it."""
    context = None
    if fault.tls:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    reply = told(fault.reply)
    script = {"first": reply, "second": Answer(text=SECOND) if fallback == "healthy" else reply}
    if fallback == "none":
        del script["second"]
    async with contextlib.AsyncExitStack() as stack:
        started = {}
        for place, reply in script.items():
            provider = Provider(reply, tls=context if place == "first" or fallback == "failing too" else None)
            started[place] = await stack.enter_async_context(provider)
            if reply is None:
                await provider.stop()  # its port refuses connections from now on
        yield started


class Batch(NamedTuple):
    """The cells that one gateway runs."""

    stage: str
    name: str
    fault: Fault
    fallback: str
    calls: tuple[str, ...]

    async def run(self, running: Running, ask: Ask) -> list[Wrong]:
        """Return what was wrong."""
        async with (
            providers(self.fault, self.fallback) as chain,
            running(settings(self.fault, self.fallback, {place: p.url for place, p in chain.items()})) as gateway,
        ):
            wrong = [found async for found in self._calls(ask, gateway.url)]
            if self.fault.reply is not None and not self.fault.tls:
                asked = len(chain["first"].received)
                assert asked >= len(self.calls), f"{self}: the fault was played {asked} times only"
        named = set(re.findall(r"failed, (\w+)|\"kind\":\"(\w+)", gateway.log))
        return [*wrong, *self._misnamed({first or second for first, second in named})]

    async def _calls(self, ask: Ask, url: str) -> AsyncIterator[Wrong]:
        calls = [ask(url, call, DEADLINE + MARGIN) for call in self.calls]
        for call, heard in zip(self.calls, await asyncio.gather(*calls, return_exceptions=True), strict=True):
            if isinstance(heard, BaseException):
                yield f"{call}, {self}", f"a hang, or not an error of the SDK: {heard!r}"
            elif why := judge(self.stage, self.fault, self.fallback, heard):
                yield f"{call}, {self}", f"{why}: {heard}"

    def _misnamed(self, named: set[str]) -> Iterator[Wrong]:
        kinds = self.fault.kinds
        if named - set(kinds) or (kinds and kinds[0] not in named and self.calls == self.fault.calls):
            yield str(self), f"the log calls it {', '.join(sorted(named))}, and it is {' or '.join(kinds)}"

    def __str__(self) -> str:
        return f"{self.stage}: {self.name}, fallback {self.fallback}"


def batches(stage: str, fallback: str, names: Iterable[str] | None = None) -> list[Batch]:
    """Return a part of the matrix, by gateway; all faults of a stage, or those with ``names``."""
    found = []
    for name, fault in STAGES[stage].items():
        apart = fault.opens and fallback == "healthy"
        for group in FORMATS_APART if apart else (CALLS,):
            calls = tuple(call for call in group if call in fault.calls)
            if calls and (names is None or name in names):
                found.append(Batch(stage, name, fault, fallback, calls))
    return found


async def run_all(todo: list[Batch], running: Running, ask: Ask) -> tuple[int, float, list[Wrong]]:
    """Run batches, a few at a time; print what was wrong and return how many cells, how many seconds, and it."""
    at_once = asyncio.Semaphore(4)
    begun = time.monotonic()

    async def one(batch: Batch) -> list[Wrong]:
        async with at_once:
            return await batch.run(running, ask)

    wrong = [each for found in await asyncio.gather(*map(one, todo)) for each in found]
    print(*(f"  {cell}\n      {why}" for cell, why in wrong), sep="\n")
    return sum(len(batch.calls) for batch in todo), time.monotonic() - begun, wrong


def figure(cells: int, seconds: float, wrong: list[Wrong]) -> str:
    return f"{cells} cells, {len(wrong)} wrong, {seconds:.0f} s"


async def test_the_matrix_has_every_kind() -> None:
    named = {kind for faults in STAGES.values() for fault in faults.values() for kind in fault.kinds}
    assert named == set(Kind) - {Kind.UNSERVED, Kind.SATURATED}, "failures of no upstream"


@pytest.mark.parametrize("row", ROWS)
async def test_a_healthy_fallback_answers(row: int, running: Running, ask: Ask, scorecard: Scorecard) -> None:
    title, names = ROWS[row]
    todo = [b for stage in ("before headers", "before content") for b in batches(stage, "healthy", names)]
    cells, _, wrong = await run_all(todo, running, ask)
    scorecard(row, title, f"{cells - len(wrong)} of {cells} recovered", "100 %", not wrong)


@pytest.mark.parametrize("stage", STAGES)
async def test_the_faults_that_matter_most(stage: str, running: Running, ask: Ask, scorecard: Scorecard) -> None:
    cells, seconds, wrong = await run_all(batches(stage, "healthy", FAST[stage]), running, ask)
    scorecard(0, f"fault matrix, a part: {stage}", figure(cells, seconds, wrong), "0 wrong", not wrong)


@pytest.mark.matrix
@pytest.mark.timeout(300)
@pytest.mark.parametrize("fallback", FALLBACKS)
@pytest.mark.parametrize("stage", STAGES)
async def test_every_fault(stage: str, fallback: str, running: Running, ask: Ask, scorecard: Scorecard) -> None:
    cells, seconds, wrong = await run_all(batches(stage, fallback), running, ask)
    title = f"fault matrix: {stage}, fallback {fallback}"
    scorecard(0, title, figure(cells, seconds, wrong), "0 wrong", not wrong)
