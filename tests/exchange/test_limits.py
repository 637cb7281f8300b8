"""What is over a limit gets 503 and the advice to come again; what runs is not disturbed, and nobody is blamed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from hydrallm.faults.script import Answer, Hang
from hydrallm.policy.kinds import Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.exchange.conftest import Client, Connect, Provide, Reply, Serve
STREAM = b'{"model": "client-model", "stream": true, "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}'
LONG = Answer(text="word " * 20, pause=0.02)
HEALTH = "/_hydra/health"
ERRORS: list[tuple[str, Callable[[Any], tuple[str, str]]]] = [
    ("/v1/chat/completions", lambda error: (error["error"]["type"], error["error"]["code"])),
    ("/v1/responses", lambda error: (error["error"]["type"], error["error"]["code"])),
    ("/v1/messages", lambda error: (error["type"], error["error"]["type"])),
    ("/model/m/converse", lambda error: (error["message"][:3], error["message"][:0])),
    ("/v1/embeddings", lambda error: (error["error"]["type"], error["error"]["code"])),
]


def turned_away(reply: Reply) -> bool:
    return (reply.status, reply.headers["retry-after"], reply.headers["x-should-retry"]) == (503, "1", "true")


async def begun(client: Client) -> None:
    """Ask for a stream on ``client`` and wait for its first content."""
    client.send("POST", "/v1/chat/completions", STREAM, {})
    status, _ = await client.head()
    assert status == 200
    assert await client.chunk()


@pytest.mark.parametrize(("path", "named"), ERRORS)
async def test_too_many_exchanges_at_a_time_are_refused_in_the_clients_format(
    path: str, named: Callable[[Any], tuple[str, str]], provide: Provide, serve: Serve, connect: Connect
) -> None:
    upstream = await provide(LONG)
    gateway = await serve(upstream, server={"max_exchanges": 2})
    clients = [await connect(gateway.port) for _ in range(2)]
    for client in clients:
        await begun(client)
    for _ in range(3):
        reply = await gateway.ask(STREAM, path)
        assert turned_away(reply)
        assert named(reply.json)[0]
        assert "server.max_exchanges" in reply.body.decode()
        assert reply.headers["x-hydrallm-request-id"]
    assert (await gateway.ask(None, HEALTH, "GET")).status == 200, "health is always told"
    for client in clients:
        while await client.chunk():
            pass
        await client.close()
    assert (await gateway.ask(STREAM, "/v1/chat/completions")).status == 200
    await gateway.journal.ended(7)
    outcomes = [record.outcome for record in gateway.journal.exchanges]
    assert sorted(outcomes) == ["answered"] * 4 + ["shed"] * 3
    (told,) = gateway.journal.sheds
    assert (told.limit, told.count) == ("server.max_exchanges", 1)
    assert gateway.journal.failed == []


async def test_who_has_no_key_is_told_that_first(provide: Provide, serve: Serve, connect: Connect) -> None:
    gateway = await serve(await provide(LONG), server={"max_exchanges": 1, "client_keys": ["k" * 20]})
    client = await connect(gateway.port)
    client.send("POST", "/v1/chat/completions", STREAM, {"x-api-key": "k" * 20})
    assert (await client.head())[0] == 200
    assert (await gateway.ask(STREAM)).status == 401
    assert (await gateway.ask(STREAM, headers={"x-api-key": "k" * 20})).status == 503
    await client.close()


async def test_one_client_too_many_is_told_in_its_format_and_it_is_recorded(
    provide: Provide, serve: Serve, connect: Connect
) -> None:
    gateway = await serve(await provide(LONG), server={"max_connections": 2})
    await begun(gateway.client)
    other = await connect(gateway.port)
    await begun(other)
    reply = await gateway.ask(STREAM, "/v1/messages")
    assert turned_away(reply)
    assert reply.json["type"] == "error"
    assert reply.headers["connection"] == "close"
    record = await gateway.journal.ended(1)
    assert (record.outcome, record.status, record.path) == ("shed", 503, "/v1/messages")
    assert gateway.journal.sheds[0].limit == "server.max_connections"
    for client in (gateway.client, other):
        while await client.chunk():
            pass
    await other.close()


async def test_a_body_that_does_not_fit_is_refused_and_room_is_given_back_with_the_answers_beginning(
    provide: Provide, serve: Serve, connect: Connect
) -> None:
    upstream = await provide([Hang(), LONG, Answer(), Answer()])
    gateway = await serve(upstream, server={"max_body": "1MB", "max_buffered": "1.5MB"}, first_token_timeout="20s")
    big = STREAM[:-1] + b', "user": "' + b"x" * 900_000 + b'"}'
    waiting = await connect(gateway.port)
    waiting.send("POST", "/v1/chat/completions", big, {})
    await upstream.wait_received(1)
    reply = await gateway.ask(big)
    assert turned_away(reply)
    assert "server.max_buffered" in reply.body.decode()
    assert gateway.journal.sheds[0].limit == "server.max_buffered"
    await waiting.close()
    await gateway.journal.ended(2)
    streaming = await connect(gateway.port)
    streaming.send("POST", "/v1/chat/completions", big, {})
    assert (await streaming.head())[0] == 200
    assert (await gateway.ask(big)).status == 200, "of the stream that runs only the answer is left"
    await streaming.close()


# -- upstream ----------------------------------------------------------------------------------------------------------


def of_one(upstream_url: str, **more: object) -> dict[str, Any]:
    return {"url": upstream_url, "max_connections": 1, "queue_timeout": "50ms", **more}


async def test_when_no_connection_becomes_free_the_next_model_is_asked_and_this_one_is_not_blamed(
    provide: Provide, serve: Serve, connect: Connect
) -> None:
    taken, spare = await provide(Answer(text="word " * 100, pause=0.02)), await provide()
    gateway = await serve(of_one(taken.url), spare)
    client = await connect(gateway.port)
    await begun(client)
    for _ in range(8):  # more than a breaker would stand
        reply = await gateway.ask()
        assert (reply.status, reply.headers["x-hydrallm-endpoint"]) == (200, "e2")
    assert [(attempt.kind, attempt.endpoint) for attempt in gateway.journal.failed] == [(Kind.SATURATED, "e1")] * 8
    assert "max_connections" in gateway.journal.failed[0].detail
    assert [model["state"] for model in (await gateway.health())["models"]] == ["closed", "closed"]
    assert len(taken.received) == 1
    await client.close()


@pytest.mark.parametrize(("method", "path"), [("POST", "/v1/chat/completions"), ("GET", "/v1/files")])
async def test_when_there_is_no_other_it_is_a_503_that_may_be_tried_again(
    method: str, path: str, provide: Provide, serve: Serve, connect: Connect
) -> None:
    gateway = await serve(of_one((await provide(LONG)).url))
    client = await connect(gateway.port)
    await begun(client)
    reply = await gateway.ask(STREAM if method == "POST" else None, path, method)
    assert (reply.status, reply.headers["x-should-retry"]) == (503, "true")
    assert reply.json["error"]["code"] == "upstream_saturated"
    await client.close()


async def test_whoever_waits_is_served_in_turn(provide: Provide, serve: Serve) -> None:
    upstream = await provide(Answer(delay=0.01))
    gateway = await serve({"url": upstream.url, "max_connections": 2, "queue_timeout": "10s"})
    replies = await asyncio.gather(*(gateway.ask(b'{"model": "m", "user": "%d"}' % number) for number in range(20)))
    assert [reply.status for reply in replies] == [200] * 20
    assert all(len(record.attempts) == 1 for record in gateway.journal.exchanges)
    assert len({received.connection.number for received in upstream.received}) == 2
