"""Streams up to the commit, in each wire format: what fails there is made good, and nothing of it is seen."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from hydrallm.faults import failures, streams
from hydrallm.faults.script import Answer, Cut, Fail, Malformed, Raw, Stall, StreamError
from hydrallm.faults.wire import LAST_CHUNK, chunk, response_head
from hydrallm.policy.kinds import Kind

if TYPE_CHECKING:
    from tests.exchange.conftest import Client, Provide, Serve
    from tests.exchange.conftest import Reply as Read
    from tests.exchange.streams.conftest import Api, Lead, SaidTo

    from hydrallm.faults.script import Reply

TEXT = "the second model answers, word by word"

# What may fail before the first content, and what it is called.
FAULTS: dict[str, tuple[Reply, Kind]] = {
    "an error before the headers": (Fail(cause="overloaded"), Kind.OVERLOADED),
    "an error as the first event": (StreamError(cause="overloaded"), Kind.OVERLOADED),
    "an error after the preamble": (StreamError(events="preamble", cause="rate_limited"), Kind.RATE_LIMITED),
    "malformed at first": (Malformed(), Kind.CUT),
    "malformed after the preamble": (Malformed(events="preamble"), Kind.CUT),
    "a wrong checksum or a malformed event": (Malformed(what="crc", events="preamble"), Kind.CUT),
    "cut before the headers": (Cut(), Kind.CUT),
    "cut after the headers": (Cut(at="after_headers"), Kind.CUT),
    "cut in the first event": (Cut(at="inside_event", events=0), Kind.CUT),
    "cut after the preamble": (Cut(at="after_events", events="preamble"), Kind.CUT),
    "reset after the preamble": (Cut(at="after_events", events="preamble", how="rst", pause=0.001), Kind.CUT),
    "ended after the headers": (Cut(at="after_headers", how="clean"), Kind.BAD_ANSWER),
    "ended in the first content": (Cut(at="inside_event", events="preamble", how="clean"), Kind.CUT),
    "silent after the headers": (Stall(events=0), Kind.SLOW_START),
    "silent after the preamble": (Stall(events="preamble"), Kind.SLOW_START),
    "nothing but signs of life": (Stall(events="preamble", beat=0.01), Kind.SLOW_START),
}


async def ask(client: Client, api: Api) -> Read:
    return await client.ask(api.body, api.target)


@pytest.mark.parametrize(("fault", "kind"), FAULTS.values(), ids=FAULTS.keys())
async def test_a_failure_before_the_first_content_is_made_good(
    fault: Reply, kind: Kind, api: Api, provide: Provide, serve: Serve, said_to: SaidTo
) -> None:
    first, second = await provide(fault), await provide(Answer(text=TEXT))
    patience = "100ms" if isinstance(fault, Stall) else "20s"
    gateway = await serve(
        {"url": first.url, "type": api.type, "first_token_timeout": patience}, {"url": second.url, "type": api.type}
    )
    reply = await ask(gateway.client, api)
    assert (reply.status, reply.complete) == (200, True)
    assert reply.headers["content-type"].encode() == streams.content_type(api.asked)
    assert (reply.headers["x-hydrallm-endpoint"], reply.headers["x-hydrallm-attempts"]) == ("e2", "2")
    assert reply.body == await said_to(second.received[0], Answer(text=TEXT))
    record = await gateway.journal.ended()
    assert [attempt.kind for attempt in record.attempts] == [kind, None]
    assert (record.outcome, record.wire_format, record.stream) == ("answered", api.name, True)


def whole(api: Api, *events: bytes, ended: bool = True) -> Raw:
    """Return a stream that comes in one write, the connection open behind it."""
    headers = [(b"content-type", streams.content_type(api.asked)), (b"transfer-encoding", b"chunked")]
    data = response_head(200, headers) + chunk(b"".join(events)) + (LAST_CHUNK if ended else b"")
    return Raw(data=data.decode("latin-1"), how=None)


@pytest.mark.parametrize("case", ["error", "broken", "unended"])
async def test_a_failure_that_comes_with_the_first_content_is_made_good_too(
    case: str, api: Api, provide: Provide, serve: Serve, said_to: SaidTo
) -> None:
    begun = api.events()[: api.preamble + 2]
    bad = streams.malformed_event(api.asked, crc=True)
    error = streams.error_event(api.asked, failure(api))
    stream = {"error": [*begun, error], "broken": [*begun, bad, bad], "unended": begun}[case]
    first, second = await provide(whole(api, *stream)), await provide(Answer(text=TEXT))
    gateway = await serve({"url": first.url, "type": api.type}, {"url": second.url, "type": api.type})
    reply = await ask(gateway.client, api)
    assert reply.complete
    assert reply.body == await said_to(second.received[0], Answer(text=TEXT))
    record = await gateway.journal.ended()
    assert [attempt.kind for attempt in record.attempts] == [Kind.OVERLOADED if case == "error" else Kind.CUT, None]


def failure(api: Api) -> Any:  # noqa: ANN401 - what error_event takes
    return failures.failure(api.asked, StreamError(cause="overloaded"), 503)


async def test_nothing_is_released_before_the_first_content(api: Api, by_hand: Lead, serve: Serve) -> None:
    upstream = await by_hand()
    gateway = await serve({"url": upstream.url, "type": api.type})
    gateway.client.send("POST", api.target, api.body, {})
    head = asyncio.create_task(gateway.client.head())
    call = await upstream.call()
    events = api.events()
    call.begin(api)
    for event in events[: api.preamble]:
        await gateway.has_seen_all()
        call.send(event)
    half = len(events[api.preamble]) // 2
    call.send(events[api.preamble][:half])
    await gateway.has_seen_all()
    assert not head.done()
    call.send(events[api.preamble][half:])
    status, headers = await asyncio.wait_for(head, 10)
    for event in events[api.preamble + 1 :]:
        call.send(event)
    call.end()
    reply = await gateway.client.rest(status, headers)
    assert (reply.status, reply.complete, reply.body) == (200, True, b"".join(events))


async def test_events_pass_whole_however_they_are_cut(
    api: Api, provide: Provide, serve: Serve, said_to: SaidTo
) -> None:
    upstream = await provide(Answer(text=TEXT, write_size=7))
    gateway = await serve({"url": upstream.url, "type": api.type})
    reply = await ask(gateway.client, api)
    assert reply.complete
    assert reply.body == await said_to(upstream.received[0], Answer(text=TEXT))


@pytest.mark.parametrize("finish", ["stop", "length"])
async def test_an_empty_completion_is_an_answer(finish: Any, api: Api, provide: Provide, serve: Serve) -> None:  # noqa: ANN401 - a Literal
    upstream, other = await provide(Answer(text="", finish=finish)), await provide()
    gateway = await serve({"url": upstream.url, "type": api.type}, {"url": other.url, "type": api.type})
    reply = await ask(gateway.client, api)
    assert (reply.status, reply.complete, reply.headers["x-hydrallm-attempts"]) == (200, True, "1")
    assert reply.body
    assert other.received == []
