"""What an upstream may send instead of an answer, and how an answer may end, one attempt at a time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from hydrallm.exchange.attempt import LINGER
from hydrallm.faults import failures, streams
from hydrallm.faults.script import Answer, Fail, StreamError
from hydrallm.policy.kinds import Kind

if TYPE_CHECKING:
    from tests.exchange.conftest import Provide, Serve
    from tests.exchange.streams.conftest import Api, Call, Lead, SaidTo

    from hydrallm.faults.failures import Failure

PLAIN = b'{"model": "client-model"}'
STREAM = b'{"model": "client-model", "stream": true}'


def overloaded(api: Api) -> Failure:
    return failures.failure(api.asked, StreamError(cause="overloaded"), 503)


# -- after the commit --------------------------------------------------------------------------------------------------


def go_wrong(call: Call, case: str, api: Api) -> None:
    """Let the rest of a stream come, or not come, in one of the ways that leave it incomplete."""
    half = api.events()[api.preamble + 1][:-9]
    bad = streams.malformed_event(api.asked)
    match case:
        case "an error":
            call.send(streams.error_event(api.asked, overloaded(api)))
        case "malformed events":
            call.send(bad, bad)
        case "cut":
            call.cut()
        case "cut in an event":
            call.send(half)
            call.cut()
        case "ended":
            call.end()
        case "ended in an event":
            call.end(half)
        case _:
            assert case == "silent"


CASES = ["an error", "malformed events", "cut", "cut in an event", "ended", "ended in an event", "silent"]


@pytest.mark.parametrize("case", CASES)
async def test_a_stream_that_fails_after_its_first_content_says_so_and_is_cut(
    case: str, api: Api, by_hand: Lead, provide: Provide, serve: Serve
) -> None:
    upstream, other = await by_hand(), await provide()
    patience = {"idle_timeout": "100ms" if case == "silent" else "20s"}
    gateway = await serve(
        {"url": upstream.url, "type": api.type, "attempts": 3} | patience, {"url": other.url, "type": api.type}
    )
    gateway.client.send("POST", api.target, api.body, {})
    call = await upstream.call()
    begun = api.events()[: api.preamble + 1]
    call.begin(api, *begun)
    head = await asyncio.wait_for(gateway.client.head(), 10)
    go_wrong(call, case, api)
    reply = await asyncio.wait_for(gateway.client.rest(*head), 10)
    assert (reply.status, reply.complete) == (200, False)
    before, error = api.parted(reply.body)
    assert before == b"".join(begun)
    if case == "an error":
        assert error["message"] == overloaded(api).message
    else:
        assert error["message"].startswith("the answer broke off: e1/m1 ")
    record = await gateway.journal.ended()
    kind = {"an error": Kind.OVERLOADED, "silent": Kind.STALLED}.get(case, Kind.CUT)
    assert (record.outcome, record.status, [attempt.kind for attempt in record.attempts]) == (kind, 200, [kind])
    assert record.detail
    assert other.received == []
    if not case.startswith("ended"):  # for HTTP that was a whole answer, so the connection serves another
        await call.left()


async def test_a_malformed_event_between_intact_ones_is_dropped(api: Api, by_hand: Lead, serve: Serve) -> None:
    upstream = await by_hand()
    gateway = await serve({"url": upstream.url, "type": api.type})
    gateway.client.send("POST", api.target, api.body, {})
    call = await upstream.call()
    events = api.events()
    call.begin(api, *events[: api.preamble + 1])
    head = await asyncio.wait_for(gateway.client.head(), 10)
    for event in events[api.preamble + 1 : -3]:
        call.send(streams.malformed_event(api.asked), event)
    call.end(*events[-3:])
    reply = await asyncio.wait_for(gateway.client.rest(*head), 10)
    assert (reply.complete, reply.body) == (True, b"".join(events))
    record = await gateway.journal.ended()
    assert (record.outcome, record.dropped_events) == ("answered", len(events) - api.preamble - 4)


# -- after the end -----------------------------------------------------------------------------------------------------


async def test_a_cut_after_the_last_event_is_no_failure(api: Api, by_hand: Lead, serve: Serve) -> None:
    upstream = await by_hand()
    gateway = await serve({"url": upstream.url, "type": api.type})
    gateway.client.send("POST", api.target, api.body, {})
    call = await upstream.call()
    events = api.events()
    call.begin(api, *events[: api.preamble + 1])
    head = await asyncio.wait_for(gateway.client.head(), 10)
    call.send(*events[api.preamble + 1 :])
    call.cut()
    reply = await asyncio.wait_for(gateway.client.rest(*head), 10)
    assert (reply.complete, reply.body) == (True, b"".join(events))
    record = await gateway.journal.ended()
    assert (record.outcome, [attempt.kind for attempt in record.attempts]) == ("answered", [None])


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_last_event_that_lacks_only_its_blank_line_gets_it(
    at_once: bool, chat: Api, by_hand: Lead, serve: Serve
) -> None:
    """Some servers end so, and a client would discard the event."""
    upstream = await by_hand()
    gateway = await serve({"url": upstream.url})
    gateway.client.send("POST", chat.target, chat.body, {})
    call = await upstream.call()
    *events, last = chat.events()
    lacking = last.removesuffix(b"\n")
    if at_once:
        call.begin(chat)
        call.end(b"".join(events) + lacking)
        head = await asyncio.wait_for(gateway.client.head(), 10)
    else:
        call.begin(chat, *events)
        head = await asyncio.wait_for(gateway.client.head(), 10)
        call.end(lacking)
    reply = await asyncio.wait_for(gateway.client.rest(*head), 10)
    assert (reply.complete, reply.body) == (True, b"".join([*events, last]))
    assert (await gateway.journal.ended()).outcome == "answered"


async def test_a_last_error_that_lacks_only_its_blank_line_is_one_too(chat: Api, by_hand: Lead, serve: Serve) -> None:
    upstream = await by_hand()
    gateway = await serve({"url": upstream.url})
    gateway.client.send("POST", chat.target, chat.body, {})
    call = await upstream.call()
    call.begin(chat, *chat.events()[:3])
    head = await asyncio.wait_for(gateway.client.head(), 10)
    call.end(b'data: {"error": {"message": "Too much to do.", "type": "overloaded_error"}}\n')
    reply = await asyncio.wait_for(gateway.client.rest(*head), 10)
    before, error = chat.parted(reply.body)
    assert (before, error["message"]) == (b"".join(chat.events()[:3]), "Too much to do.")
    assert not reply.complete
    assert (await gateway.journal.ended()).outcome == Kind.OVERLOADED


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_body_that_does_not_end_is_not_waited_for_long(
    at_once: bool,
    chat: Api,
    by_hand: Lead,
    serve: Serve,
) -> None:
    upstream = await by_hand()
    gateway = await serve({"url": upstream.url, "idle_timeout": "20s"})
    gateway.client.send("POST", chat.target, chat.body, {})
    call = await upstream.call()
    events = chat.events()
    call.begin(chat, *events if at_once else events[: chat.preamble + 1])
    head = await asyncio.wait_for(gateway.client.head(), 10)
    if not at_once:
        call.send(*events[chat.preamble + 1 :])
    began = asyncio.get_running_loop().time()
    reply = await asyncio.wait_for(gateway.client.rest(*head), 10)
    assert asyncio.get_running_loop().time() - began == pytest.approx(LINGER, abs=0.5)
    assert (reply.complete, reply.body) == (True, b"".join(events))
    assert (await gateway.journal.ended()).outcome == "answered"
    await call.left()


# -- 200, and no answer ------------------------------------------------------------------------------------------------

SSE = {"content-type": "text/event-stream"}
HTML = {"content-type": "text/html"}
CHUNK = 'data: {"choices": [{"index": 0, "delta": {"content": "hi"}}]}\n\n'
SLOW_DOWN = '{"error": {"message": "Slow down.", "type": "requests", "code": "rate_limit_exceeded"}}'

# The request, and then what the client is told once nothing is left: status, type, code.
NO_ANSWERS: dict[str, tuple[bytes, Fail, Kind, int, str, str]] = {
    "an error, plain": (
        PLAIN,
        Fail(status=200, body=SLOW_DOWN),
        *(Kind.RATE_LIMITED, 429, "requests", "rate_limit_exceeded"),
    ),
    "an error, streaming": (
        STREAM,
        Fail(status=200, body=SLOW_DOWN),
        *(Kind.RATE_LIMITED, 429, "requests", "rate_limit_exceeded"),
    ),
    "an error with a status": (
        PLAIN,
        Fail(status=200, body='{"error": {"message": "Provider returned error", "code": 503}}'),
        *(Kind.OVERLOADED, 503, "service_unavailable_error", "503"),
    ),
    "an error that says nothing known": (
        PLAIN,
        Fail(status=200, body='{"error": {"message": "boom", "type": "odd"}}'),
        *(Kind.BAD_ANSWER, 502, "odd", "upstream_bad_answer"),
    ),
    "an error in a list": (
        PLAIN,
        Fail(status=200, body='[{"error": {"message": "boom", "code": 500}}]'),
        *(Kind.BAD_ANSWER, 502, "server_error", "upstream_bad_answer"),
    ),
    "an event": (
        STREAM,
        Fail(
            status=200,
            headers=SSE,
            body='data: {"error": {"message": "too long", "type": "x", "code": "context_length_exceeded"}}\n\n',
        ),
        *(Kind.CONTEXT_LENGTH, 400, "x", "context_length_exceeded"),
    ),
    "an answer instead of a stream": (
        STREAM,
        Fail(status=200, body='{"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]}'),
        *(Kind.BAD_ANSWER, 502, "server_error", "upstream_bad_answer"),
    ),
    "a stream instead of an answer": (
        PLAIN,
        Fail(status=200, headers=SSE, body=CHUNK + "data: [DONE]\n\n"),
        *(Kind.BAD_ANSWER, 502, "server_error", "upstream_bad_answer"),
    ),
    "a page, plain": (
        PLAIN,
        Fail(status=200, headers=HTML, body="<html>Please log in.</html>"),
        *(Kind.BAD_ANSWER, 502, "server_error", "upstream_bad_answer"),
    ),
    "a page, streaming": (
        STREAM,
        Fail(status=200, headers=HTML, body="<html>Please log in.</html>"),
        *(Kind.CUT, 502, "server_error", "upstream_cut"),
    ),
    "no member that an answer has": (
        PLAIN,
        Fail(status=200, body="{}"),
        *(Kind.BAD_ANSWER, 502, "server_error", "upstream_bad_answer"),
    ),
    "nothing": (
        PLAIN,
        Fail(status=200, body=""),
        *(Kind.BAD_ANSWER, 502, "server_error", "upstream_bad_answer"),
    ),
}


@pytest.mark.parametrize(
    ("body", "failure", "kind", "status", "error_type", "code"), NO_ANSWERS.values(), ids=NO_ANSWERS.keys()
)
async def test_a_200_that_is_no_answer_leads_to_the_next_model_and_is_shown_as_an_error(
    body: bytes, failure: Fail, kind: Kind, status: int, error_type: str, code: str, provide: Provide, serve: Serve
) -> None:
    first, second = await provide(failure), await provide()
    gateway = await serve(first, second)
    reply = await gateway.client.ask(body)
    assert (reply.status, reply.headers["x-hydrallm-endpoint"]) == (200, "e2")
    assert [attempt.kind for attempt in gateway.journal.failed] == [kind]
    second.play(failure)
    reply = await gateway.client.ask(body)
    assert (reply.status, reply.headers["content-type"]) == (status, "application/json")
    error = reply.json["error"]
    assert error["message"]
    assert (error["type"], error["code"]) == (error_type, code)
    assert (await gateway.journal.ended(2)).outcome == kind


async def test_an_error_inside_a_200_is_said_in_the_shape_of_the_api(provide: Provide, serve: Serve) -> None:
    body = '{"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}'
    gateway = await serve({"url": (await provide(Fail(status=200, body=body))).url, "type": "anthropic"})
    reply = await gateway.client.ask(PLAIN, "/v1/messages")
    assert (reply.status, reply.json["type"], reply.json["error"]["type"]) == (503, "error", "overloaded_error")
    assert reply.json["error"]["message"] == "Overloaded"


async def test_what_is_said_inside_a_200_is_masked(provide: Provide, serve: Serve) -> None:
    body = '{"error": {"message": "bad k-our-secret here", "type": "odd"}}'
    upstream = await provide(Fail(status=200, body=body))
    gateway = await serve({"url": upstream.url, "api_key": "k-our-secret"})
    reply = await gateway.client.ask(PLAIN)
    assert reply.json["error"]["message"].startswith("bad ")
    assert b"k-our-secret" not in reply.body


# -- the content filter ------------------------------------------------------------------------------------------------


async def test_a_filtered_request_is_the_clients_business(provide: Provide, serve: Serve) -> None:
    upstream, other = await provide(Fail(cause="content_filter")), await provide()
    gateway = await serve({"url": upstream.url, "attempts": 3, "api_key": "k-our-secret"}, other)
    reply = await gateway.client.ask(PLAIN)
    assert (reply.status, reply.json["error"]["code"]) == (400, "content_filter")
    assert (len(upstream.received), other.received) == (1, [])
    assert (await gateway.journal.ended()).outcome == Kind.CONTENT_FILTER


@pytest.mark.parametrize("stream", [True, False])
async def test_a_filtered_answer_without_content_is_passed_on_as_it_is(
    stream: bool,
    api: Api,
    provide: Provide,
    serve: Serve,
    said_to: SaidTo,
) -> None:
    filtered = Answer(text="", finish="filtered")
    upstream, other = await provide(filtered), await provide()
    gateway = await serve({"url": upstream.url, "type": api.type, "attempts": 3}, {"url": other.url, "type": api.type})
    reply = await gateway.client.ask(*question(api, stream=stream))
    assert (reply.status, reply.complete, reply.headers["x-hydrallm-attempts"]) == (200, True, "1")
    assert reply.body == await said_to(upstream.received[0], filtered)
    assert other.received == []
    assert (await gateway.journal.ended()).outcome == Kind.CONTENT_FILTER


@pytest.mark.parametrize("stream", [True, False])
async def test_another_model_is_asked_for_what_was_filtered_where_the_config_says_so(
    stream: bool,
    api: Api,
    provide: Provide,
    serve: Serve,
) -> None:
    filtered, refused = await provide(Answer(text="", finish="filtered")), await provide(Fail(cause="content_filter"))
    models: list[dict[str, Any]] = [
        {"url": provider.url, "type": api.type, "attempts": 3} for provider in (filtered, refused, await provide())
    ]
    gateway = await serve(*models, on={"content_filter": "next"})
    reply = await gateway.client.ask(*question(api, stream=stream))
    assert (reply.status, reply.complete, reply.headers["x-hydrallm-endpoint"]) == (200, True, "e3")
    assert [attempt.kind for attempt in gateway.journal.failed] == [Kind.CONTENT_FILTER] * 2


def question(api: Api, *, stream: bool) -> tuple[bytes, str]:
    """Return the body and the path that ask for a stream or a plain answer."""
    if stream:
        return api.body, api.target
    return PLAIN, api.target.replace("-with-response-stream", "").replace("-stream", "")
