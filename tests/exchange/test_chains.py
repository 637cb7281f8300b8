"""Chains by name, patterns and pins, through a real gateway."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from hydrallm.app import APIS, DIALECTS
from hydrallm.config.settings import ChainSettings
from hydrallm.endpoints.base import BaseURL, Endpoint
from hydrallm.exchange.chain import Model
from hydrallm.exchange.chains import Chains
from hydrallm.exchange.dialect import Dialects, Found, Speech
from hydrallm.faults.script import Fail
from hydrallm.formats.base import ApiType
from hydrallm.formats.canonical import Target
from hydrallm.formats.facts import Facts
from hydrallm.http.client import Client
from hydrallm.http.dial import Route
from hydrallm.policy.breaker import Breaker
from hydrallm.policy.plan import Candidate, Clocks, Plan

if TYPE_CHECKING:
    from tests.exchange.conftest import Gateway, Provide, Serve

    from hydrallm.faults.provider import Provider

CHAINS = {
    "small": {"models": ["haiku", "e3/m3"], "match": ["*haiku*", "GPT-4o-mini"]},
    "rest": {"models": ["e3/m3"], "match": ["claude-*"]},
}


class Setup:
    """A gateway with three models: ``e1/m1``, ``haiku`` (``e2/m2``) and ``e3/m3``."""

    def __init__(self, gateway: Gateway, upstream: Provider) -> None:
        self.gateway, self.upstream = gateway, upstream

    async def ask(self, name: str | None, target: str = "/v1/chat/completions") -> str:
        """Return which model was asked, by what its upstream was told."""
        body: dict[str, Any] = {"messages": []} if name is None else {"model": name}
        reply = await self.gateway.client.ask(json.dumps(body).encode(), target)
        assert reply.status == 200, reply
        told = self.upstream.received[-1]
        endpoint = reply.headers["x-hydrallm-endpoint"]
        assert reply.headers["x-hydrallm-model"] == json.loads(told.body)["model"]
        return f"{endpoint}/{reply.headers['x-hydrallm-model']}"


@pytest.fixture
async def setup(provide: Provide, serve: Serve) -> Setup:
    upstream = await provide()
    url = {"url": upstream.url}
    return Setup(await serve(url, url | {"id": "haiku"}, url, chains=CHAINS), upstream)


@pytest.mark.parametrize(
    ("name", "asked", "chain"),
    [
        (None, "e1/m1", ""),
        ("", "e1/m1", ""),
        ("default", "e1/m1", ""),
        ("gpt-5.5", "e1/m1", ""),
        ("small", "e2/m2", "small"),
        ("claude-haiku-4-5", "e2/m2", "small"),
        ("gpt-4O-MINI", "e2/m2", "small"),
        ("claude-opus-4-8", "e3/m3", "rest"),
        ("rest", "e3/m3", "rest"),
        ("only/haiku", "e2/m2", "only/haiku"),
        ("only/e2/m2", "e2/m2", "only/haiku"),
        ("only/e3/m3", "e3/m3", "only/e3/m3"),
        ("haiku", "e2/m2", "small"),
        ("e3/m3", "e1/m1", ""),
    ],
)
async def test_the_clients_name_selects_the_chain(name: str | None, asked: str, chain: str, setup: Setup) -> None:
    assert await setup.ask(name) == asked
    record = await setup.gateway.journal.ended()
    assert (record.requested, record.chain) == (name or "", chain)


@pytest.mark.parametrize("target", ["/v1/chat/completions", "/v1/responses", "/v1/completions"])
async def test_on_every_path_whose_body_names_the_model(target: str, setup: Setup) -> None:
    assert await setup.ask("small", target) == "e2/m2"


@pytest.mark.parametrize(
    ("path_id", "asked"),
    [
        ("small", "m2"),
        ("only%2Fe3%2Fm3", "m3"),
        ("us.anthropic.claude-haiku-4-5-v1%3A0", "m2"),
        ("arn%3Aaws%3Abedrock%3Aeu%3A1%3Aapplication-inference-profile%2Fhaiku", "m2"),
        ("anthropic.claude-opus-4-8", "m1"),
    ],
)
async def test_bedrocks_name_is_in_the_path(path_id: str, asked: str, provide: Provide, serve: Serve) -> None:
    upstream = await provide()
    url = {"url": upstream.url, "type": "bedrock", "api_key": "k"}
    gateway = await serve(url, url | {"id": "haiku"}, url, chains=CHAINS)
    reply = await gateway.client.ask(b'{"model": "only/a-body-says-nothing"}', f"/model/{path_id}/converse")
    assert (reply.status, reply.headers["x-hydrallm-model"]) == (200, asked)
    assert upstream.received[0].path == f"/model/{asked}/converse"
    assert "%" not in (await gateway.journal.ended()).requested


async def test_a_chain_falls_back_to_its_own_models_only(provide: Provide, serve: Serve) -> None:
    well, ill = await provide(), await provide(Fail(status=500))
    gateway = await serve(well, {"url": ill.url, "id": "haiku"}, ill, chains=CHAINS)
    reply = await gateway.client.ask(b'{"model": "small"}')
    assert (reply.status, reply.headers["x-hydrallm-attempts"]) == (500, "2")
    assert [json.loads(received.body)["model"] for received in ill.received] == ["m2", "m3"]
    assert well.received == []


async def test_a_pinned_model_is_tried_as_often_as_it_says_and_no_other(provide: Provide, serve: Serve) -> None:
    well, ill = await provide(), await provide(Fail(status=503))
    gateway = await serve(well, {"url": ill.url, "attempts": 3}, well, chains={})
    reply = await gateway.client.ask(b'{"model": "only/e2/m2"}')
    assert (reply.status, reply.headers["x-hydrallm-attempts"]) == (503, "3")
    assert well.received == []


@pytest.mark.parametrize("chains", [{}, CHAINS])
@pytest.mark.parametrize(
    ("target", "place"),
    [("/v1/chat/completions", ("error", "message")), ("/v1/messages", ("error", "message")), ("/v1/embeddings", ())],
)
async def test_a_pin_of_nothing_is_404_and_says_what_there_is(
    target: str, place: tuple[str, ...], chains: dict[str, Any], provide: Provide, serve: Serve
) -> None:
    upstream = await provide()
    gateway = await serve(upstream, {"url": upstream.url, "id": "haiku"}, upstream, chains=chains)
    headers = {"Content-Type": "application/json"}
    reply = await gateway.client.ask(b'{"model": "only/\xe2\x98\x83"}', target, headers=headers)
    assert reply.status == 404
    told = reply.json
    for key in place:
        told = told[key]
    names = ["default", *chains, "only/e1/m1", "only/haiku", "only/e3/m3"]
    assert f'no model is called "only/\u2603" here; there are {", ".join(names)}' in str(told)
    assert upstream.received == []


async def test_a_long_name_is_not_repeated_whole(setup: Setup) -> None:
    reply = await setup.gateway.client.ask(b'{"model": "only/%b"}' % (b"x" * 100_000))
    assert reply.status == 404
    assert len(reply.body) < 1000


async def test_a_default_chain_of_the_config_takes_the_place_of_all_models(provide: Provide, serve: Serve) -> None:
    upstream = await provide(Fail(status=500))
    chains = {"default": {"models": ["e2/m2"], "match": ["x"]}, "other": {"models": ["e3/m3"], "match": ["*"]}}
    gateway = await serve(upstream, upstream, upstream, chains=chains)
    for name in ("default", "x", "other", "y"):
        await gateway.client.ask(b'{"model": "%b"}' % name.encode())
    assert [json.loads(received.body)["model"] for received in upstream.received] == ["m2", "m2", "m3", "m3"]
    assert [record.chain for record in gateway.journal.exchanges] == ["", "", "other", "other"]


async def test_what_is_found_out_in_one_chain_is_known_in_all(provide: Provide, serve: Serve) -> None:
    ill, well = await provide(Fail(status=401)), await provide()
    gateway = await serve(
        {"url": ill.url, "api_key": "refused", "id": "ill"}, well, chains={"small": {"models": ["ill", "e2/m2"]}}
    )
    assert (await gateway.client.ask(b'{"model": "small"}')).status == 200
    for name in ("small", "default", "any"):
        reply = await gateway.client.ask(b'{"model": "%b"}' % name.encode())
        assert (reply.status, reply.headers["x-hydrallm-attempts"]) == (200, "1")
    assert len(ill.received) == 1
    health = await gateway.health()
    assert [(model["id"], model["state"]) for model in health["models"]] == [("ill", "open"), ("e2/m2", "closed")]
    assert (await gateway.client.ask(b'{"model": "only/ill"}')).status == 502  # nothing else is left, so it is asked
    assert len(ill.received) == 2


async def test_a_model_that_is_in_many_chains_is_in_the_health_report_once(setup: Setup) -> None:
    health = await setup.gateway.health()
    assert [model["id"] for model in health["models"]] == ["e1/m1", "haiku", "e3/m3"]


async def model(name: str, identity: str = "", attempts: int = 1) -> Model:
    client = Client(Route("127.0.0.1", 9, b"127.0.0.1:9"))
    endpoint = Endpoint("e", BaseURL("http", "127.0.0.1", 9, b"", b"127.0.0.1:9"))
    candidate = Candidate(attempts, 0.0, Clocks(1.0, 1.0, 1.0, 1.0))
    api, target = APIS[ApiType.OPENAI], Target(name, Facts())
    speech = Speech(Dialects(DIALECTS), api.api_type, name, "", Found(lambda: 0.0))
    return Model(target, endpoint, api, speech, client, candidate, Breaker(), identity=identity)


async def test_models_that_are_alike_share_a_name_and_the_first_is_pinned() -> None:
    """The original's configs may name a model twice, with other attempts, as a way to come back to it."""
    alike = [await model("m"), await model("n"), await model("m", attempts=2)]
    chains = Chains(alike, [], Plan(()))
    assert list(chains.pinned) == ["e/m", "e/n"]
    assert chains.select("only/e/m").models == (alike[0],)
    assert chains.default.models == tuple(alike)


async def test_the_model_that_is_known_by_a_name_goes_before_one_that_has_an_id() -> None:
    models = [await model("m", "fast"), await model("m"), await model("n", "first"), await model("n", "second")]
    chains = Chains(models, [], Plan(()))
    assert list(chains.pinned) == ["fast", "e/m", "first", "second"]
    pinned = {name: chains.select(f"only/{name}").models for name in ("fast", "e/m", "first", "second", "e/n")}
    assert pinned == {
        "fast": (models[0],),
        "e/m": (models[1],),
        "first": (models[2],),
        "second": (models[3],),
        "e/n": (models[2],),
    }


async def test_chains_share_their_models_and_what_is_remembered_of_them() -> None:
    models = [await model("a"), await model("b")]
    listed = [ChainSettings(name="turned", models=(1, 0), match=())]
    chains = Chains(models, listed, Plan(()))
    turned = chains.select("turned")
    assert turned.models == (models[1], models[0])
    assert turned.first.breakers == (models[1].breaker, models[0].breaker)
    assert chains.select("only/e/b").first.breakers == (models[1].breaker,)
    forgetful = Chains(models, listed, Plan(()), remembers=False).select("turned")
    assert models[1].breaker not in forgetful.first.breakers


# -- relays that name a chain ------------------------------------------------------------------------------------------

JSON = {"Content-Type": "application/json; charset=utf-8"}
EMBEDDING = b' {"input": ["\\ud800", 1e400], "model" : "%b","x":NaN}'


async def relay(gateway: Gateway, name: str, target: str = "/v1/embeddings", **headers: str) -> Any:  # noqa: ANN401
    return await gateway.client.ask(EMBEDDING % name.encode(), target, headers=JSON | headers)


@pytest.mark.parametrize("name", ["small", "any-haiku", "only/haiku", "only/e2/m2"])
async def test_an_embedding_goes_through_the_chain_that_it_names(name: str, setup: Setup) -> None:
    reply = await relay(setup.gateway, name)
    assert (reply.status, reply.json["object"]) == (200, "list")
    assert reply.headers["x-hydrallm-endpoint"] == "e2"
    assert setup.upstream.received[0].body == EMBEDDING % b"m2"
    record = await setup.gateway.journal.ended()
    assert (record.wire_format, record.requested) == ("", name)
    assert record.chain == ("only/haiku" if name.startswith("only/") else "small")


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (EMBEDDING % b"text-embedding-3-small", JSON),
        (EMBEDDING % b"default", JSON),
        (b'{"input": "x"}', JSON),
        (b'{"model": 7}', JSON),
        (b'{"model": "small", "model": "small"}', JSON),
        (b'{"model": "small"', JSON),
        (b"", JSON),
        (EMBEDDING % b"small", {"Content-Type": "text/plain"}),
        (EMBEDDING % b"small", {}),
        (EMBEDDING % b"small", JSON | {"Content-Encoding": "gzip"}),
    ],
)
async def test_what_names_none_is_relayed_as_it_is(body: bytes, headers: dict[str, str], setup: Setup) -> None:
    reply = await setup.gateway.client.ask(body, "/v1/embeddings", headers=headers)
    assert reply.headers["x-hydrallm-endpoint"] == "e1"
    assert setup.upstream.received[0].body == body
    record = await setup.gateway.journal.ended()
    assert (record.requested, record.chain) == ("", "")


async def test_without_chains_a_relay_can_pin_a_model(provide: Provide, serve: Serve) -> None:
    upstream = await provide()
    gateway = await serve(upstream, upstream)
    await relay(gateway, "only/e2/m2")
    await relay(gateway, "only\\/e2\\/m2")
    await relay(gateway, "small")
    bodies = [received.body for received in upstream.received]
    assert bodies == [EMBEDDING % b"m2", EMBEDDING % b"m2", EMBEDDING % b"small"]


async def test_a_body_over_what_relays_hold_can_name_a_chain(setup: Setup) -> None:
    filler = b"x" * (3 * 1024 * 1024)
    body = b'{"input": "%b", "model": "small"}' % filler
    reply = await setup.gateway.client.ask(body, "/v1/embeddings", headers=JSON)
    assert reply.status == 200
    assert setup.upstream.received[0].body == body.replace(b'"small"', b'"m2"')


@pytest.mark.parametrize("failure", [Fail(status=500), Fail(status=429), Fail(status=404, code="model_not_found")])
@pytest.mark.parametrize("path", ["/v1/embeddings", "/rerank", "/v1/audio/speech", "/v1/images/generations"])
async def test_where_only_the_answer_counts_it_falls_back(
    path: str, failure: Fail, provide: Provide, serve: Serve
) -> None:
    ill, well = await provide(failure), await provide()
    gateway = await serve(well, {"url": ill.url, "id": "haiku", "api_key": "k"}, well, chains=CHAINS)
    reply = await relay(gateway, "small", path)
    assert (reply.status, reply.headers["x-hydrallm-endpoint"]) == (200, "e3")
    assert well.received[0].body == EMBEDDING % b"m3"
    assert len(ill.received) == 1


@pytest.mark.parametrize("path", ["/v1/fine_tuning/jobs", "/v1/assistants", "/v1/embeddings/jobs"])
async def test_what_may_have_made_something_is_not_done_again(path: str, provide: Provide, serve: Serve) -> None:
    ill, well = await provide(Fail(status=500, body="no")), await provide()
    gateway = await serve(well, {"url": ill.url, "id": "haiku", "attempts": 3}, well, chains=CHAINS)
    reply = await relay(gateway, "small", path)
    assert (reply.status, reply.body) == (500, b"no")
    assert len(ill.received) == 1
    assert well.received == []
    assert {model["state"] for model in (await gateway.health())["models"]} == {"closed"}


@pytest.mark.parametrize("path", ["/v1/embeddings", "/v1/fine_tuning/jobs"])
async def test_what_nobody_has_seen_is_sent_to_the_next(path: str, provide: Provide, serve: Serve) -> None:
    down, well = await provide(), await provide(Fail(status=201, body="made"))
    await down.stop()
    gateway = await serve(well, {"url": down.url, "id": "haiku"}, well, chains=CHAINS)
    reply = await relay(gateway, "small", path)
    assert (reply.status, reply.body) == (201, b"made")
    assert [received.body for received in well.received] == [EMBEDDING % b"m3"]


async def test_a_client_error_of_a_relay_is_the_clients(provide: Provide, serve: Serve) -> None:
    upstream = await provide(Fail(status=400, body="what?"))
    gateway = await serve(upstream, {"url": upstream.url, "id": "haiku"}, upstream, chains=CHAINS)
    reply = await relay(gateway, "small")
    assert (reply.status, reply.body) == (400, b"what?")
    assert len(upstream.received) == 1


async def test_a_relays_answer_is_passed_on_as_it_comes(provide: Provide, serve: Serve) -> None:
    """Nobody looks into it: an error inside a 200, which a generation would not take for an answer, is one here."""
    upstream = await provide(Fail(status=200, body='{"error": {"message": "overloaded"}}', headers={"x-own": "1"}))
    gateway = await serve(upstream, {"url": upstream.url, "id": "haiku"}, upstream, chains=CHAINS)
    reply = await relay(gateway, "small", **{"Accept-Encoding": "br"})
    assert (reply.status, reply.json["error"]["message"], reply.headers["x-own"]) == (200, "overloaded", "1")
    assert dict(upstream.received[0].headers)[b"accept-encoding"] == b"br"


async def test_a_client_that_leaves_a_named_relay_is_noticed(setup: Setup) -> None:
    client = setup.gateway.client
    client.writer.write(
        b"POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: 100\r\n\r\n{"
    )
    await setup.gateway.has_seen_all()
    client.writer.transport.abort()
    await setup.gateway.journal.ended(4)
    (left,) = [record for record in setup.gateway.journal.exchanges if record.path == "/v1/embeddings"]
    assert (left.outcome, left.status) == ("client_left", 499)
    assert setup.upstream.received == []
