"""What one exchange leaves to the next: breakers, cooldowns and the retry budget, through a real gateway."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from hydrallm.faults.script import Answer, Cut, Fail, Hang
from hydrallm.policy.breaker import FIRST_OPEN, IN_A_ROW, State
from hydrallm.policy.budget import CAPACITY, PER_SECOND
from hydrallm.policy.kinds import RULES, Kind

if TYPE_CHECKING:
    from tests.exchange.conftest import Gateway, Provide, Serve

    from hydrallm.faults.provider import Provider
    from hydrallm.faults.script import Reply

STREAM = b'{"model": "client-model", "stream": true}'


async def outage(gateway: Gateway, count: int = IN_A_ROW, body: bytes = b"{}") -> None:
    for _ in range(count):
        await gateway.client.ask(body)


@pytest.fixture
async def shaky(provide: Provide) -> Provider:
    """A provider that has failed and is well again once its script is changed."""
    return await provide(Fail(status=500))


async def test_a_model_that_keeps_failing_is_left_out_and_that_is_told_once(
    shaky: Provider, provide: Provide, serve: Serve
) -> None:
    steady = await provide()
    gateway = await serve({"url": shaky.url, "attempts": 2}, steady)
    await outage(gateway, IN_A_ROW - 1)
    assert (await gateway.health())["status"] == "ok"
    await outage(gateway, 1)
    asked = len(shaky.received)
    assert asked == 2 * IN_A_ROW - 1  # with the breaker open, the second model comes before the second try
    for _ in range(3):
        reply = await gateway.client.ask()
        assert (reply.status, reply.headers["x-hydrallm-endpoint"], reply.headers["x-hydrallm-attempts"]) == (
            *(200, "e2", "1"),
        )
    assert len(shaky.received) == asked
    (change,) = gateway.journal.changes
    assert (change.endpoint, change.model, change.state, change.cause) == ("e1", "m1", State.OPEN, Kind.SERVER)
    assert change.retry_in == pytest.approx(FIRST_OPEN, abs=0.1)
    health = await gateway.health()
    assert health["status"] == "degraded"
    assert [(model["state"], model["cause"]) for model in health["models"]] == [("open", "server"), ("closed", None)]
    assert 0 < health["models"][0]["retry_in"] <= FIRST_OPEN


async def test_a_stream_that_breaks_off_speaks_against_its_model_too(provide: Provide, serve: Serve) -> None:
    cutting, steady = await provide(Cut(at="after_events", events="content", pause=0.001)), await provide()
    gateway = await serve(cutting, steady)
    for _ in range(IN_A_ROW):
        reply = await gateway.ask(STREAM)
        assert not reply.complete
    reply = await gateway.ask(STREAM)
    assert (reply.complete, reply.headers["x-hydrallm-endpoint"]) == (True, "e2")


@pytest.mark.parametrize("body", [b"{}", STREAM])
async def test_a_model_that_answers_its_probe_is_back(
    body: bytes, shaky: Provider, provide: Provide, serve: Serve
) -> None:
    gateway = await serve(shaky, await provide())
    opened_long_ago(gateway)
    shaky.play(Answer())
    for _ in range(2):
        assert (await gateway.client.ask(body)).headers["x-hydrallm-endpoint"] == "e1"
    assert [change.state for change in gateway.journal.changes] == [State.OPEN, State.HALF_OPEN, State.CLOSED]
    health = await gateway.health()
    assert (health["status"], health["models"][0]["state"], health["models"][0]["cause"]) == ("ok", "closed", None)


async def test_a_model_that_fails_its_probe_is_left_out_for_longer(
    shaky: Provider, provide: Provide, serve: Serve
) -> None:
    gateway = await serve({"url": shaky.url, "attempts": 3}, await provide())
    opened_long_ago(gateway)
    reply = await gateway.client.ask()
    assert (reply.status, reply.headers["x-hydrallm-attempts"]) == (200, "2")  # a probe is one try
    assert [change.state for change in gateway.journal.changes] == [State.OPEN, State.HALF_OPEN, State.OPEN]
    assert gateway.journal.changes[-1].retry_in == pytest.approx(2 * FIRST_OPEN, abs=0.5)


async def test_one_exchange_at_a_time_makes_the_probe(provide: Provide, serve: Serve) -> None:
    silent, steady = await provide(Hang()), await provide()
    gateway = await serve(silent, steady)
    opened_long_ago(gateway)
    gateway.client.send("POST", "/v1/chat/completions", b"{}", {})
    await asyncio.wait_for(silent.wait_received(), 5)
    assert (await gateway.health())["models"][0]["state"] == "half_open"
    assert (await gateway.ask()).headers["x-hydrallm-endpoint"] == "e2"
    await gateway.client.close()  # the one that probes leaves: the next one may
    await gateway.journal.generations(2)
    silent.play(Answer())
    assert (await gateway.ask()).headers["x-hydrallm-endpoint"] == "e1"
    assert [change.state for change in gateway.journal.changes] == [State.OPEN, State.HALF_OPEN, State.CLOSED]


def opened_long_ago(gateway: Gateway) -> None:
    """Let the breaker of the first model have opened so long ago that a probe is due."""
    then = asyncio.get_running_loop().time() - FIRST_OPEN
    for _ in range(IN_A_ROW):
        gateway.models[0].breaker.failed(Kind.SERVER, RULES[Kind.SERVER], then, probe=False)


async def test_where_nothing_else_is_left_one_try_is_made_all_the_same(shaky: Provider, serve: Serve) -> None:
    gateway = await serve({"url": shaky.url, "attempts": 3}, max_cycles=3)
    await outage(gateway)
    asked = len(shaky.received)
    reply = await gateway.client.ask()
    assert (reply.status, reply.headers["x-hydrallm-attempts"]) == (500, "1")
    assert reply.headers["x-should-retry"] == "true"  # it stopped early
    assert len(shaky.received) == asked + 1
    shaky.play(Answer())
    assert (await gateway.client.ask()).status == 200


@pytest.mark.parametrize(
    "failure",
    [
        Fail(status=400),
        Fail(cause="context_length"),
        Fail(cause="content_filter"),
        Fail(status=401),
        Fail(status=405),
    ],
)
async def test_what_does_not_speak_against_a_model_does_not_open_its_breaker(
    failure: Reply, provide: Provide, serve: Serve
) -> None:
    gateway = await serve(await provide(failure), await provide())
    await outage(gateway, 2 * IN_A_ROW)
    assert gateway.journal.changes == []
    assert (await gateway.health())["status"] == "ok"


@pytest.mark.parametrize(("cause", "kind"), [("auth", Kind.MISCONFIGURED), ("quota", Kind.QUOTA)])
async def test_what_time_does_not_heal_opens_the_breaker_at_once(
    cause: str, kind: Kind, provide: Provide, serve: Serve
) -> None:
    first = await provide(Fail(cause=cause))  # type: ignore[arg-type]
    gateway = await serve({"url": first.url, "api_key": "k-our-secret", "attempts": 3}, await provide())
    await outage(gateway, 3)
    assert len(first.received) == 1
    assert [(change.state, change.cause) for change in gateway.journal.changes] == [(State.OPEN, kind)]


# -- cooldowns ---------------------------------------------------------------------------------------------------------


async def test_a_model_that_asks_for_time_is_left_alone_by_the_exchanges_after(provide: Provide, serve: Serve) -> None:
    first, second = await provide(Fail(status=429, headers={"retry-after": "30"})), await provide()
    gateway = await serve({"url": first.url, "api_key": "ours", "attempts": 3}, second)
    await outage(gateway, 3)
    assert len(first.received) == 1
    health = await gateway.health()
    assert (health["status"], health["models"][0]["state"]) == ("degraded", "cooling")
    assert 28 < health["models"][0]["retry_in"] <= 30
    assert gateway.journal.changes == []  # that is not the breaker's doing


async def test_a_cooldown_ends_when_the_upstream_said(provide: Provide, serve: Serve) -> None:
    first = await provide([Fail(status=429, headers={"retry-after-ms": "200"}), Answer()])
    gateway = await serve({"url": first.url, "api_key": "ours"}, await provide())
    assert (await gateway.client.ask()).headers["x-hydrallm-endpoint"] == "e2"
    assert (await gateway.client.ask()).headers["x-hydrallm-endpoint"] == "e2"
    await asyncio.sleep(0.2)
    assert (await gateway.client.ask()).headers["x-hydrallm-endpoint"] == "e1"


async def test_a_cooldown_is_waited_for_where_nothing_else_is_left(provide: Provide, serve: Serve) -> None:
    first = await provide([Fail(status=429, headers={"retry-after-ms": "200"}), Answer()])
    gateway = await serve({"url": first.url, "api_key": "ours"})
    assert (await gateway.client.ask()).status == 429
    reply = await gateway.client.ask()
    assert (reply.status, reply.headers["x-hydrallm-attempts"]) == (200, "1")
    assert first.received[1].at - first.received[0].at >= 0.19


async def test_what_one_client_is_told_about_its_own_account_is_not_remembered_for_others(
    provide: Provide, serve: Serve
) -> None:
    first = await provide([Fail(status=429, headers={"retry-after": "30"}), Fail(cause="quota"), Answer()])
    gateway = await serve(first, await provide())
    answered = [(await gateway.client.ask()).headers["x-hydrallm-endpoint"] for _ in range(3)]
    assert answered == ["e2", "e2", "e1"]


# -- retries -----------------------------------------------------------------------------------------------------------


async def test_retries_are_bounded_over_all_exchanges(shaky: Provider, serve: Serve) -> None:
    gateway = await serve({"url": shaky.url, "attempts": 500}, default_interval="1ms")
    began = asyncio.get_running_loop().time()
    reply = await gateway.client.ask()
    earned = PER_SECOND * (asyncio.get_running_loop().time() - began)
    assert CAPACITY < int(reply.headers["x-hydrallm-attempts"]) <= 1 + CAPACITY + earned + 1
    assert (reply.status, reply.headers["x-should-retry"]) == (500, "true")


@pytest.mark.parametrize(("count", "attempts"), [("0", "5"), ("", "5"), ("1", "3"), ("2", "3")])
async def test_a_client_that_tries_again_itself_gets_half_the_tries(
    count: str, attempts: str, shaky: Provider, serve: Serve
) -> None:
    gateway = await serve({"url": shaky.url, "attempts": 5})
    reply = await gateway.client.ask(headers={"x-stainless-retry-count": count} if count else None)
    assert (reply.status, reply.headers["x-hydrallm-attempts"]) == (500, attempts)
    assert reply.headers["x-should-retry"] == "false"


# -- who may see it ----------------------------------------------------------------------------------------------------


async def test_the_models_are_shown_to_nobody_without_a_key_where_there_are_keys(
    provide: Provide, serve: Serve
) -> None:
    gateway = await serve(await provide(), server={"client_keys": ["a-client-key"]})
    hidden = await gateway.health()
    assert set(hidden) == {"status", "version", "listener"}
    wrong = {"Authorization": "Bearer another-key"}
    assert (await gateway.ask(None, "/_hydra/health", "GET", headers=wrong)).json == hidden
    right = {"Authorization": "Bearer a-client-key"}
    (model,) = (await gateway.ask(None, "/_hydra/health", "GET", headers=right)).json["models"]
    assert model["model"] == "m1"
