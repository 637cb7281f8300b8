"""The client's side: what is sent when an answer is held for long."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import pytest

from hydrallm.app import ERROR_FORMATS
from hydrallm.exchange.reply import Reply
from hydrallm.faults import streams
from hydrallm.faults.script import Answer, Fail, Hang, Raw, StreamError
from hydrallm.formats.base import ApiType
from hydrallm.http.server import Server
from hydrallm.policy.kinds import Kind

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.exchange.conftest import Client, Connect, Gateway, Provide, Serve
    from tests.exchange.conftest import Reply as Read
    from tests.exchange.streams.conftest import Api, Lead, SaidTo

    from hydrallm.errors import RequestError
    from hydrallm.http.server_stream import ServerStream
    from hydrallm.message import Response

SIGNS = {"openai": b": waiting\n\n", "anthropic": b'event: ping\ndata: {"type":"ping"}\n\n', "bedrock": b""}
"""What means nothing; Bedrock's frames have no such thing."""

SOON = "50ms"


def sign(api: Api) -> bytes:
    return SIGNS[api.type]


async def ask(gateway: Gateway, api: Api) -> tuple[int, dict[str, str]]:
    """Ask for a stream, and wait until its head is there, however long that takes."""
    gateway.client.send("POST", api.target, api.body, {})
    return await asyncio.wait_for(gateway.client.head(), 10)


async def rest(gateway: Gateway, head: tuple[int, dict[str, str]]) -> Read:
    return await asyncio.wait_for(gateway.client.rest(*head), 10)


async def held(api: Api, upstream: Any, gateway: Gateway) -> tuple[Any, tuple[int, dict[str, str]]]:  # noqa: ANN401 - Call
    """Let a model hold its answer until the client has been sent the head; return the call and that."""
    asking = asyncio.create_task(ask(gateway, api))
    call = await upstream.call()
    call.begin(api, *api.events()[: api.preamble])
    status, headers = await asking
    assert (status, headers["content-type"].encode()) == (200, streams.content_type(api.asked).split(b";")[0])
    assert headers["x-hydrallm-request-id"]
    assert "x-hydrallm-endpoint" not in headers  # nobody knows yet
    return call, (status, headers)


async def test_a_long_hold_ends_with_the_head_and_the_answer_follows(api: Api, by_hand: Lead, serve: Serve) -> None:
    upstream = await by_hand()
    gateway = await serve({"url": upstream.url, "type": api.type}, hold_limit=SOON)
    call, head = await held(api, upstream, gateway)
    call.send(*api.events()[api.preamble :])
    call.end()
    reply = await rest(gateway, head)
    assert (reply.complete, reply.body) == (True, sign(api) + b"".join(api.events()))
    record = await gateway.journal.ended()
    assert (record.outcome, record.held >= 0.05) == ("answered", True)


async def test_behind_the_head_another_model_is_asked_and_nothing_of_the_first_is_seen(
    api: Api, by_hand: Lead, provide: Provide, serve: Serve, said_to: SaidTo
) -> None:
    upstream, other = await by_hand(), await provide()
    gateway = await serve(
        {"url": upstream.url, "type": api.type}, {"url": other.url, "type": api.type}, hold_limit=SOON
    )
    call, head = await held(api, upstream, gateway)
    call.cut()
    reply = await rest(gateway, head)
    assert (reply.complete, reply.body) == (True, sign(api) + await said_to(other.received[0], Answer()))
    record = await gateway.journal.ended()
    assert [attempt.kind for attempt in record.attempts] == [Kind.CUT, None]


@pytest.mark.parametrize(
    ("failure", "outcome", "message"),
    [
        (None, "cut", "every model failed (1 attempt): e1/m1 cut"),
        (Fail(status=503, message="too busy"), "overloaded", "too busy"),
        (Fail(status=400, message="your fault"), "client_error", "your fault"),
        (StreamError(cause="overloaded", message="The model is overloaded."), "overloaded", "The model is overloaded."),
        (
            Raw(data="HTTP/1.1 302 Found\r\nlocation: /\r\ncontent-length: 4\r\n\r\nmove"),
            "misconfigured",
            "every model",
        ),
    ],
    ids=["cut", "an error that is shown", "an error that is returned", "an error event", "a redirect"],
)
async def test_behind_the_head_a_failure_is_an_event(
    failure: Any,  # noqa: ANN401 - a reply of the provider's
    outcome: str,
    message: str,
    api: Api,
    by_hand: Lead,
    provide: Provide,
    serve: Serve,
) -> None:
    upstream, other = await by_hand(), await provide(failure)
    models = [{"url": upstream.url, "type": api.type}, {"url": other.url, "type": api.type}]
    gateway = await serve(*models[: 1 if failure is None else 2], hold_limit=SOON)
    call, head = await held(api, upstream, gateway)
    call.cut()
    reply = await rest(gateway, head)
    assert not reply.complete
    before, error = api.parted(reply.body)
    assert before == sign(api)
    assert error["message"].startswith(message)
    record = await gateway.journal.ended()
    assert (record.status, record.outcome) == (200, outcome)


async def test_the_hold_begins_with_the_head_of_an_answer(api: Api, by_hand: Lead, serve: Serve) -> None:
    upstream = await by_hand()
    gateway = await serve({"url": upstream.url, "type": api.type}, hold_limit=SOON)
    asking = asyncio.create_task(ask(gateway, api))
    call = await upstream.call()
    call.begin(api)
    head = await asking
    call.end(*api.events())
    assert (await rest(gateway, head)).body == sign(api) + b"".join(api.events())


async def test_without_a_byte_from_any_upstream_nothing_is_held(
    api: Api, provide: Provide, serve: Serve, said_to: SaidTo
) -> None:
    silent, other = await provide(Hang()), await provide()
    gateway = await serve(
        {"url": silent.url, "type": api.type, "first_token_timeout": "100ms"},
        {"url": other.url, "type": api.type},
        hold_limit="20ms",
    )
    reply = await gateway.client.ask(api.body, api.target)
    assert (reply.complete, reply.headers["x-hydrallm-attempts"]) == (True, "2")
    assert reply.body == await said_to(other.received[0], Answer())


async def test_an_error_response_begins_the_hold_too(api: Api, provide: Provide, by_hand: Lead, serve: Serve) -> None:
    busy, upstream = await provide(Fail(status=503)), await by_hand()
    gateway = await serve({"url": busy.url, "type": api.type}, {"url": upstream.url, "type": api.type}, hold_limit=SOON)
    asking = asyncio.create_task(ask(gateway, api))
    call = await upstream.call()
    head = await asking  # the second model has not said a word
    call.begin(api, *api.events())
    call.end()
    assert (await rest(gateway, head)).body == sign(api) + b"".join(api.events())


async def test_a_plain_request_is_held_for_as_long_as_it_takes(by_hand: Lead, serve: Serve) -> None:
    upstream = await by_hand()
    gateway = await serve({"url": upstream.url}, hold_limit="1ms")
    asking = asyncio.create_task(gateway.client.ask())
    call = await upstream.call()
    body = b'{"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]}'
    call.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body))
    await gateway.has_seen_all()
    call.write(body)
    reply = await asking
    assert (reply.status, reply.body, reply.headers["x-hydrallm-endpoint"]) == (200, body, "e1")


async def test_a_filtered_answer_passes_behind_the_head(
    chat: Api, by_hand: Lead, provide: Provide, serve: Serve
) -> None:
    upstream, other = await by_hand(), await provide(Answer(text="", finish="filtered"))
    gateway = await serve({"url": upstream.url}, other, hold_limit=SOON)
    call, head = await held(chat, upstream, gateway)
    call.cut()
    reply = await rest(gateway, head)
    assert reply.complete
    assert b'"finish_reason":"content_filter"' in reply.body
    assert reply.body.endswith(b"data: [DONE]\n\n")


# -- signs of life -----------------------------------------------------------------------------------------------------

Opened = Callable[[ApiType, float], Awaitable[tuple["Client", Reply]]]


@pytest.fixture
async def opened(connect: Connect) -> AsyncIterator[Opened]:
    """Holds the reply to a request from its first moment, without an upstream; a sign of life is due every interval."""
    async with contextlib.AsyncExitStack() as stack:

        async def begin(api_type: ApiType, interval: float) -> tuple[Client, Reply]:
            loop = asyncio.get_running_loop()
            replies: asyncio.Queue[Reply] = asyncio.Queue()

            async def handle(request: ServerStream) -> None:
                reply = Reply(loop, request, ERROR_FORMATS[api_type], 0.01, "an-id", interval)
                reply.hold()
                await replies.put(reply)
                try:
                    await loop.create_future()
                finally:
                    reply.close()

            server = Server(handle, refuse, lambda _: None)
            ((_, port),) = await server.listen("127.0.0.1", 0)
            stack.push_async_callback(server.stop)
            client = await connect(port)
            stack.push_async_callback(client.close)
            client.send("POST", "/", b"{}", {})
            await asyncio.wait_for(client.head(), 10)
            return client, await replies.get()

        yield begin


def refuse(error: RequestError, request: ServerStream | None) -> Response:
    raise AssertionError(f"{error} {request}")


@pytest.mark.parametrize("api_type", [ApiType.OPENAI, ApiType.ANTHROPIC])
async def test_signs_of_life_come_at_intervals_until_something_is_said(api_type: ApiType, opened: Opened) -> None:
    client, reply = await opened(api_type, 0.05)
    loop = asyncio.get_running_loop()
    at = []
    for _ in range(4):
        assert await asyncio.wait_for(client.chunk(), 10) == SIGNS[api_type]
        at.append(loop.time())
    assert [later - earlier for earlier, later in itertools.pairwise(at)] == pytest.approx([0.05] * 3, abs=0.04)
    assert 0.15 <= reply.end_hold(loop.time()) < 5
    await asyncio.sleep(0.1)  # for two more of them, if it had not ended
    reply.begin(200, [], length=None, first=b"data: 1\n\n")
    said = await asyncio.wait_for(client.chunk(), 10)
    assert said == b"data: 1\n\n"
    reply.request.finish()
    assert await asyncio.wait_for(client.chunk(), 10) == b""


async def test_there_are_none_between_the_frames_of_aws(opened: Opened) -> None:
    client, reply = await opened(ApiType.BEDROCK, 0.01)
    chunk = asyncio.create_task(client.chunk())
    await asyncio.sleep(0.05)  # for several of them, if there were any
    assert not chunk.done()
    reply.begin(200, [], length=None, first=b"a frame")
    assert await asyncio.wait_for(chunk, 10) == b"a frame"


# -- a client that leaves ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["held", "opened", "committed"])
async def test_a_client_that_leaves_takes_the_upstream_with_it_and_marks_no_model(
    when: str, api: Api, by_hand: Lead, serve: Serve, connect: Connect
) -> None:
    upstream = await by_hand()
    limit = "10ms" if when == "opened" else "20s"
    gateway = await serve({"url": upstream.url, "type": api.type, "attempts": 3}, hold_limit=limit)
    loop = asyncio.get_running_loop()
    for number in range(1, 7):  # one more than the failures in a row that open a breaker
        client = await connect(gateway.port)
        client.send("POST", api.target, api.body, {})
        call = await upstream.call()
        call.begin(api, *api.events()[: api.preamble + (when == "committed")])
        if when == "held":
            await gateway.has_seen_all()
        else:
            await asyncio.wait_for(client.head(), 10)
        left = loop.time()
        await client.close()
        await call.left()
        assert loop.time() - left < 0.05
        await gateway.journal.generations(number)
    records = await gateway.journal.generations(6)
    assert {(record.status, record.outcome, len(record.attempts)) for record in records} == {(499, "client_left", 1)}
    assert gateway.journal.failed == []
    assert gateway.journal.changes == []
    assert (await gateway.health())["status"] == "ok"
