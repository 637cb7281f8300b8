"""Where each request begins and ends: our own paths, refusals, records, faults."""

from __future__ import annotations

import asyncio
import datetime
import json
from typing import TYPE_CHECKING, Any, cast

import pytest

from hydrallm import __version__
from hydrallm.app import DIALECTS, ERROR_FORMATS, FORMATS
from hydrallm.endpoints.base import BaseURL, Endpoint
from hydrallm.errors import RequestError
from hydrallm.exchange.access import Access
from hydrallm.exchange.chain import Model
from hydrallm.exchange.chains import Chains
from hydrallm.exchange.dialect import Dialects, Found, Speech
from hydrallm.exchange.gateway import Gateway, Sources
from hydrallm.exchange.paths import Paths
from hydrallm.faults.script import Answer, Hang
from hydrallm.formats.base import ApiType
from hydrallm.formats.canonical import Target
from hydrallm.formats.facts import Facts
from hydrallm.http.client import Client
from hydrallm.http.dial import Route
from hydrallm.http.server import Server
from hydrallm.http.server_stream import ServerStream
from hydrallm.policy.breaker import Breaker
from hydrallm.policy.plan import Candidate, Clocks, Plan
from hydrallm.telemetry.masking import Mask

if TYPE_CHECKING:
    from tests.exchange.conftest import Gateway as Running
    from tests.exchange.conftest import Journal, Provide, Serve

    from hydrallm.endpoints.base import Call
    from hydrallm.message import Request


@pytest.fixture
async def gateway(provide: Provide, serve: Serve) -> Running:
    return await serve(await provide())


async def test_health(gateway: Running) -> None:
    reply = await gateway.client.ask(None, "/_hydra/health", "GET")
    assert reply.status == 200
    told = reply.json
    (model,) = told.pop("models")
    assert told == {"status": "ok", "version": __version__, "listener": f"127.0.0.1:{gateway.port}"}
    assert (model["endpoint"], model["model"], model["state"]) == ("e1", "m1", "closed")
    assert reply.headers["x-hydrallm-request-id"]
    assert reply.headers["cache-control"] == "no-store"
    head = await gateway.client.ask(None, "/_hydra/health", "HEAD")
    assert (head.status, head.headers["content-length"]) == (200, reply.headers["content-length"])


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/_hydra/health", 405),
        ("GET", "/_hydra/", 404),
        ("GET", "/_hydra", 404),
        ("GET", "/_hydra/other", 404),
        ("POST", "/_hydra/x", 404),
    ],
)
async def test_our_own_paths_are_never_relayed(
    method: str, path: str, status: int, provide: Provide, serve: Serve
) -> None:
    upstream = await provide()
    gateway = await serve(upstream)
    assert (await gateway.client.ask(b"{}", path, method)).status == status
    assert upstream.received == []


async def test_ids_differ_and_sort_by_time(gateway: Running) -> None:
    ids = [(await gateway.client.ask()).headers["x-hydrallm-request-id"] for _ in range(20)]
    assert len(set(ids)) == 20
    assert [one[:11] for one in ids] == sorted(one[:11] for one in ids)


async def test_every_request_is_recorded_once(gateway: Running) -> None:
    for _ in range(10):
        await gateway.client.ask()
    await gateway.client.ask(None, "/_hydra/health", "GET")
    await gateway.client.ask(b"{")
    await gateway.journal.ended(12)
    assert [record.status for record in gateway.journal.exchanges] == [200] * 11 + [400]
    assert len({record.id for record in gateway.journal.exchanges}) == 12
    assert gateway.journal.exchanges[0].path == "/v1/chat/completions"


async def test_the_query_is_not_recorded_for_it_may_hold_keys(gateway: Running) -> None:
    await gateway.client.ask(target="/v1/chat/completions?key=secret")
    record = await gateway.journal.ended()
    assert "secret" not in repr(record)


async def test_times_are_recorded(provide: Provide, serve: Serve) -> None:
    gateway = await serve(await provide(Answer(delay=0.1, pause=0.02)))
    reply = await gateway.client.ask(b'{"stream": true}')
    record = await gateway.journal.ended()
    (attempt,) = record.attempts
    assert 0.09 < attempt.seconds <= record.first_byte < record.seconds < 5
    assert record.sent == len(reply.body)


# -- chains of several types -------------------------------------------------------------------------------------------


async def test_a_generation_goes_to_the_first_model_and_a_relay_to_one_of_its_type(
    provide: Provide, serve: Serve
) -> None:
    openai, anthropic = await provide(), await provide()
    gateway = await serve({"url": f"{openai.url}/v1"}, {"url": anthropic.url, "type": "anthropic"})
    assert (await gateway.client.ask()).headers["x-hydrallm-endpoint"] == "e1"
    question = b'{"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}'
    reply = await gateway.client.ask(question, "/v1/messages")
    assert (reply.headers["x-hydrallm-endpoint"], reply.json["type"]) == ("e1", "message")
    await gateway.client.ask(None, "/v1/files", "GET")
    await gateway.client.ask(None, "/v1/files", "GET", headers={"anthropic-version": "2026-10-21"})
    assert [received.path for received in openai.received] == [
        "/v1/chat/completions",
        "/v1/chat/completions",
        "/v1/files",
    ]
    assert [received.path for received in anthropic.received] == ["/v1/files"]


async def test_a_request_that_no_model_of_the_chain_can_serve_is_told_why(provide: Provide, serve: Serve) -> None:
    upstream = await provide()
    gateway = await serve({"url": upstream.url, "type": "anthropic"}, {"url": upstream.url, "type": "bedrock"})
    reply = await gateway.client.ask(b'{"model": "m", "prompt": "once"}', "/v1/completions")
    assert reply.status == 400
    assert reply.headers["x-should-retry"] == "false"
    why = "openai-completions is not translated"
    assert reply.json["error"]["message"] == f"no model of the chain can serve this request: e1/m1: {why}; e2/m2: {why}"
    assert (reply.headers["x-hydrallm-attempts"], reply.headers.get("x-hydrallm-model")) == ("0", None)
    assert upstream.received == []
    record = await gateway.journal.ended()
    assert (record.outcome, record.attempts) == ("unserved", [])
    assert [skip.reasons for skip in record.skipped] == [(why,)] * 2


async def test_a_relay_of_a_type_that_the_chain_lacks_goes_to_the_first_model(provide: Provide, serve: Serve) -> None:
    anthropic, bedrock = await provide(), await provide()
    gateway = await serve({"url": anthropic.url, "type": "anthropic"}, {"url": bedrock.url, "type": "bedrock"})
    reply = await gateway.client.ask(None, "/v1/whatever", "GET")
    assert reply.headers["x-hydrallm-endpoint"] == "e1"
    assert [received.path for received in anthropic.received] == ["/v1/whatever"]
    assert bedrock.received == []


async def test_a_chain_of_one_type_serves_whatever_else_it_is_asked(provide: Provide, serve: Serve) -> None:
    upstream = await provide()
    gateway = await serve({"url": upstream.url, "type": "anthropic"})
    assert (await gateway.client.ask(target="/v1/embeddings")).status == 200
    assert upstream.received[0].path == "/v1/embeddings"


# -- refusals ----------------------------------------------------------------------------------------------------------


async def test_a_body_over_the_limit(provide: Provide, serve: Serve) -> None:
    upstream = await provide()
    gateway = await serve(upstream, server={"max_body": "1KB"})
    reply = await gateway.client.ask(b'{"x": "' + b"x" * 1024 + b'"}', "/v1/messages")
    assert (reply.status, reply.json["error"]["type"]) == (413, "request_too_large")
    assert reply.headers["connection"] == "close"
    assert upstream.received == []


@pytest.mark.parametrize("path", ["/v1/../../secret", "/%2e%2e/secret", "/..;/secret"])
async def test_a_path_that_climbs_out_of_the_endpoints_is_refused(path: str, provide: Provide, serve: Serve) -> None:
    upstream = await provide()
    gateway = await serve({"url": f"{upstream.url}/v1"})
    reply = await gateway.client.ask(None, path, "GET")
    assert (reply.status, reply.json["error"]["code"]) == (400, "bad_request")
    assert upstream.received == []
    record = await gateway.journal.ended()
    assert (record.outcome, record.status) == ("refused", 400)


async def test_an_unknown_coding_is_415(gateway: Running) -> None:
    reply = await gateway.client.ask(headers={"Content-Encoding": "br"})
    assert (reply.status, reply.json["error"]["code"]) == (415, "unsupported_content_encoding")


async def test_what_the_engine_refuses_has_the_shape_of_the_api_too(gateway: Running) -> None:
    reply = await gateway.ask(None, "/v1/responses", "GET", headers={"Upgrade": "websocket"})
    assert (reply.status, reply.json["error"]["code"]) == (426, "upgrade_refused")
    record = await gateway.journal.ended()
    assert (record.outcome, record.status) == ("refused", 426)
    assert "upgrade" in record.detail.lower()
    assert reply.headers["x-hydrallm-request-id"] == record.id


async def test_what_is_no_http_is_recorded(gateway: Running) -> None:
    gateway.client.writer.write(b"GIBBERISH\r\n\r\n")
    reply = await asyncio.wait_for(gateway.client.reply(), 5)
    record = await gateway.journal.ended()
    assert (record.method, record.path, record.outcome, record.status) == ("", "", "refused", reply.status)
    assert "malformed HTTP" in record.detail
    assert reply.headers["x-hydrallm-request-id"] == record.id


def head(identity: str) -> ServerStream:
    """Return as much of a stream as a refusal looks at."""
    stream = ServerStream(cast("Any", None), b"POST", [])
    stream.path = b"/v1/messages"
    stream.identity = identity
    return stream


async def test_a_refusal_without_an_exchange_is_recorded_with_what_is_known(gateway: Running) -> None:
    by_hand = make_gateway(gateway.journal)
    response = by_hand.refuse(RequestError(417, "no such expectation"), head(""))
    assert response.status == 417
    assert json.loads(response.body)["type"] == "error"  # the shape of /v1/messages
    (record,) = gateway.journal.exchanges
    assert (record.method, record.path, record.outcome) == ("POST", "/v1/messages", "refused")
    assert (record.status, record.detail) == (417, "no such expectation")
    assert dict(response.headers)[b"x-hydrallm-request-id"] == record.id.encode()


async def test_a_refusal_inside_an_exchange_has_its_id_and_no_record_of_its_own(gateway: Running) -> None:
    by_hand = make_gateway(gateway.journal)
    response = by_hand.refuse(RequestError(408, "too slow"), head("the-exchange"))
    assert dict(response.headers)[b"x-hydrallm-request-id"] == b"the-exchange"
    assert json.loads(response.body)["type"] == "error"
    assert gateway.journal.exchanges == []


async def test_a_body_that_is_found_malformed_inside_its_exchange_is_that_ones_failure(gateway: Running) -> None:
    head = b"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
    gateway.client.writer.write(head + b"Expect: 100-continue\r\n\r\n")
    assert (await asyncio.wait_for(gateway.client.head(), 5))[0] == 100  # so the exchange has begun
    gateway.client.writer.write(b"rubbish\r\n")
    reply = await asyncio.wait_for(gateway.client.reply(), 5)
    assert (reply.status, reply.json["type"]) == (400, "error")
    await gateway.ask(None, "/_hydra/health", "GET")
    await gateway.journal.ended(2)
    refused, _ = gateway.journal.exchanges
    assert (refused.path, refused.outcome, refused.status) == ("/v1/messages", "refused", 400)
    assert "malformed HTTP" in refused.detail
    assert refused.id == reply.headers["x-hydrallm-request-id"]


async def test_a_body_that_turns_out_malformed_is_recorded_once(provide: Provide, serve: Serve) -> None:
    gateway = await serve(await provide(whole_requests=False))
    gateway.client.writer.write(
        b"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\nrubbish\r\n"
    )
    reply = await asyncio.wait_for(gateway.client.reply(), 5)
    assert (reply.status, reply.json["type"]) == (400, "error")
    await gateway.ask(None, "/_hydra/health", "GET")
    await gateway.journal.ended(2)
    refused, health = gateway.journal.exchanges
    assert (refused.path, refused.outcome, refused.status) == ("/v1/messages", "refused", 400)
    assert refused.id == reply.headers["x-hydrallm-request-id"]
    assert health.path == "/_hydra/health"


# -- faults of our own -------------------------------------------------------------------------------------------------


class Broken:
    """An API type with a bug."""

    api_type = ApiType.OPENAI

    def address(self, endpoint: Endpoint, call: Call, now: datetime.datetime) -> Request:
        raise ZeroDivisionError("a bug")


def make_gateway(journal: Journal) -> Gateway:
    """Return a gateway that tells ``journal``, with one model of the API type above."""
    client = Client(Route("127.0.0.1", 9, b"127.0.0.1"))
    candidate = Candidate(1, 0.0, Clocks(1.0, 1.0, 1.0, 1.0))
    url = BaseURL("http", "127.0.0.1", 9, b"", b"127.0.0.1:9")
    dialects = Dialects(DIALECTS)
    speech = Speech(dialects, ApiType.OPENAI, "m", "", Found(lambda: 0.0))
    model = Model(Target("m", Facts()), Endpoint("e", url), Broken(), speech, client, candidate, Breaker())
    return Gateway(
        chains=Chains([model], [], Plan(())),
        access=Access(),
        paths=Paths(FORMATS, ERROR_FORMATS),
        dialects=dialects,
        sink=journal,
        mask=Mask([]),
        sources=Sources(lambda: datetime.datetime.now(datetime.UTC), lambda: 0.5, lambda: "an-id"),
    )


async def test_a_fault_of_our_own_is_a_500_and_is_recorded_as_that(gateway: Running) -> None:
    broken = make_gateway(gateway.journal)
    server = Server(broken, broken.refuse, broken.on_fault)
    ((_, port),) = await server.listen("127.0.0.1", 0)
    one: Any = type(gateway.client)
    asking = await one.connect(port)
    reply = await asking.ask()
    assert (reply.status, reply.json["error"]["code"]) == (500, "internal_error")
    assert "a bug" not in str(reply.json)
    (fault,) = gateway.journal.faults
    assert "ZeroDivisionError: a bug" in fault
    record = await gateway.journal.ended()
    assert (record.status, record.outcome) == (500, "fault")
    assert reply.headers["x-hydrallm-request-id"] == record.id
    assert len(gateway.journal.exchanges) == 1
    await asking.close()
    server.abort()


# -- the end -----------------------------------------------------------------------------------------------------------


async def test_what_still_runs_at_the_end_is_dropped_and_recorded(provide: Provide, serve: Serve) -> None:
    upstream = await provide(Hang())
    gateway = await serve(upstream)
    gateway.client.send("POST", "/v1/chat/completions", b"{}", {})
    received = await upstream.wait_received()
    assert await gateway.app.drain(0.05) == 1
    record = await gateway.journal.ended()
    assert (record.status, record.outcome) == (0, "stopped")
    await asyncio.wait_for(received.wait_closed(), 5)
