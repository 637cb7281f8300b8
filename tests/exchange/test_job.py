"""Relays: requests of no generation path, through a real gateway. The client's bytes are kept, both ways."""

from __future__ import annotations

import asyncio
import gzip
from typing import TYPE_CHECKING, Any

import pytest

from hydrallm.faults.script import Answer, Cut, Fail, Raw
from hydrallm.policy.kinds import Kind

if TYPE_CHECKING:
    from tests.exchange.conftest import Provide, Serve

    from hydrallm.faults.script import Reply


async def test_a_relay_goes_to_the_first_endpoint(provide: Provide, serve: Serve) -> None:
    first, second = await provide(), await provide()
    gateway = await serve(first, second)
    reply = await gateway.client.ask(None, "/v1beta/models?limit=%32&a", "GET")
    assert (reply.status, reply.json["object"]) == (200, "list")
    assert first.received[0].target == b"/v1beta/models?limit=%32&a"
    assert first.received[0].body == b""
    assert second.received == []
    record = await gateway.journal.ended()
    assert (record.wire_format, record.requested, record.outcome) == ("", "", "answered")


async def test_the_clients_model_is_kept(provide: Provide, serve: Serve) -> None:
    upstream = await provide()
    gateway = await serve(upstream)
    body = b' {"model": "text-embedding-3-small", "model": "twice", "input": "x"'  # not even JSON has to be
    reply = await gateway.client.ask(body, "/v1/embeddings")
    assert reply.status == 200
    assert upstream.received[0].body == body


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("failure", [Fail(status=500), Fail(status=429), Fail(status=503), Cut(), Cut(how="rst")])
async def test_what_may_be_asked_twice_is_tried_again(
    method: str, failure: Reply, provide: Provide, serve: Serve
) -> None:
    upstream = await provide([failure, Answer()])
    gateway = await serve({"url": upstream.url, "attempts": 2})
    reply = await gateway.client.ask(None, "/v1beta/models", method)
    assert reply.status == 200
    assert reply.headers["x-hydrallm-attempts"] == "2"


async def test_a_json_answer_that_is_cut_is_asked_for_again(provide: Provide, serve: Serve) -> None:
    upstream = await provide([Cut(at="inside_event"), Answer()])
    gateway = await serve({"url": upstream.url, "attempts": 2})
    assert (await gateway.client.ask(None, "/v1beta/models", "GET")).json["object"] == "list"


async def test_a_list_that_its_end_cuts_is_asked_for_again(provide: Provide, serve: Serve) -> None:
    cut = Raw(data='HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{"object": "li')
    gateway = await serve({"url": (await provide([cut, Answer()])).url, "attempts": 2})
    assert (await gateway.client.ask(None, "/v1beta/models", "GET")).json["object"] == "list"


async def test_compressed_json_delimited_by_its_end_is_not_taken_for_a_cut_one(provide: Provide, serve: Serve) -> None:
    answer = gzip.compress(b"{}")
    head = "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-type: application/json\r\n\r\n"
    gateway = await serve(await provide(Raw(data=head + answer.decode("latin-1"))))
    assert (await gateway.client.ask(None, "/v1beta/models", "GET")).body == answer


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_what_may_be_asked_twice_is_tried_again_cycle_by_cycle(
    method: str, provide: Provide, serve: Serve
) -> None:
    upstream = await provide([Fail(status=503), Fail(status=503), Answer()])
    gateway = await serve(upstream, max_cycles=3)
    reply = await gateway.client.ask(None, "/v1beta/models", method)
    assert (reply.status, reply.headers["x-hydrallm-attempts"]) == (200, "3")


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("status", [400, 404, 418])
async def test_a_refusal_is_an_answer_whoevers_key_it_was(
    status: int, method: str, provide: Provide, serve: Serve
) -> None:
    upstream = await provide(Fail(status=status, body="no"))
    gateway = await serve({"url": upstream.url, "attempts": 3, "api_key": "k-our-secret"}, max_cycles=3)
    reply = await gateway.client.ask(None, "/v1/files/unknown", method)
    assert (reply.status, reply.body) == (status, b"no")
    assert len(upstream.received) == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(("status", "kind"), [(401, "misconfigured"), (402, "quota"), (403, "misconfigured")])
async def test_a_refusal_of_our_key_is_not_the_clients(
    status: int, kind: str, method: str, provide: Provide, serve: Serve
) -> None:
    upstream = await provide(Fail(status=status, body="your key k-our-secret is no good"))
    gateway = await serve({"url": upstream.url, "attempts": 3, "api_key": "k-our-secret"}, max_cycles=3)
    reply = await gateway.client.ask(None, "/v1/files", method)
    assert (reply.status, reply.json["error"]["code"]) == (502, f"upstream_{kind}")
    assert f"e1/m1 {kind} {status}" in reply.json["error"]["message"]
    assert b"k-our-secret" not in reply.body
    assert reply.headers["x-should-retry"] == "false"
    assert len(upstream.received) == 1
    assert [attempt.loud for attempt in gateway.journal.failed] == [True]


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("status", [401, 402, 403])
async def test_a_refusal_of_the_clients_key_is_the_clients(
    status: int, method: str, provide: Provide, serve: Serve
) -> None:
    upstream = await provide(Fail(status=status, body="no"))
    gateway = await serve({"url": upstream.url, "attempts": 3})
    reply = await gateway.client.ask(None, "/v1/files", method, headers={"Authorization": "Bearer the-clients"})
    assert (reply.status, reply.body) == (status, b"no")
    assert gateway.journal.failed == []


async def test_what_may_have_been_done_on_a_used_connection_is_not_done_again(provide: Provide, serve: Serve) -> None:
    upstream = await provide([Answer(), Cut(how="rst"), Answer()])
    gateway = await serve({"url": upstream.url, "attempts": 3}, max_cycles=5)
    assert (await gateway.client.ask(b"{}", "/v1/embeddings")).status == 200
    assert (await gateway.client.ask(b"{}", "/v1/embeddings")).status == 502
    assert [request.connection.number for request in upstream.received] == [1, 1]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("failure", [Cut(), Cut(how="rst"), Cut(at="inside_headers"), Cut(at="inside_event")])
async def test_what_may_have_been_done_is_not_done_again(
    method: str, failure: Reply, provide: Provide, serve: Serve
) -> None:
    upstream = await provide([failure, Answer()])
    gateway = await serve({"url": upstream.url, "attempts": 3}, max_cycles=5)
    reply = await gateway.client.ask(b"{}", "/v1/embeddings", method)
    assert reply.status == 502
    assert reply.headers["x-should-retry"] == "true"  # the client knows whether it may be done again
    assert len(upstream.received) == 1
    assert (await gateway.journal.ended()).outcome == "cut"


@pytest.mark.parametrize("status", [408, 429, 500, 503])
async def test_an_upstreams_error_passes_if_it_must_not_be_tried_again(
    status: int, provide: Provide, serve: Serve
) -> None:
    upstream = await provide(Fail(status=status, headers={"retry-after": "soon"}, body="no"))
    gateway = await serve({"url": upstream.url, "attempts": 3})
    reply = await gateway.client.ask(b"{}", "/v1/embeddings")
    assert (reply.status, reply.body, reply.headers["retry-after"]) == (status, b"no", "soon")
    assert "x-should-retry" not in reply.headers
    assert len(upstream.received) == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_without_a_connection_everything_is_tried_again(method: str, provide: Provide, serve: Serve) -> None:
    upstream = await provide(Fail(status=201, body="made"))
    await upstream.stop()
    gateway = await serve({"url": upstream.url, "attempts": 1, "interval": "20ms"}, max_cycles=200)
    asking = asyncio.create_task(gateway.client.ask(b"a body", "/v1/embeddings", method))
    assert (await gateway.journal.first_failure()).kind is Kind.UNREACHABLE
    await upstream.start()
    reply = await asking
    assert (reply.status, reply.body) == (201, b"made")
    assert [received.body for received in upstream.received] == [b"a body"]


async def test_get_with_a_body_is_not_done_again(provide: Provide, serve: Serve) -> None:
    upstream = await provide([Cut(), Answer()])
    gateway = await serve({"url": upstream.url, "attempts": 3})
    assert (await gateway.client.ask(b"a body", "/v1beta/models", "GET")).status == 502
    assert len(upstream.received) == 1


# -- bodies ------------------------------------------------------------------------------------------------------------


async def test_a_download_streams_and_is_cut_if_it_is_cut(provide: Provide, serve: Serve) -> None:
    head = "HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\ncontent-length: 100000\r\n\r\n"
    gateway = await serve({"url": (await provide(Raw(data=head + "x" * 99_999))).url, "attempts": 3})
    reply = await gateway.client.ask(None, "/v1/files/7/content", "GET")
    assert (reply.status, reply.headers["content-length"], reply.complete) == (200, "100000", False)
    assert len(reply.body) == 99_999
    assert (await gateway.journal.ended()).outcome == "cut"


@pytest.mark.parametrize(
    ("status", "method"), [(204, "DELETE"), (204, "GET"), (304, "GET"), (200, "HEAD"), (302, "GET"), (201, "POST")]
)
async def test_answers_without_a_body_pass(status: int, method: str, provide: Provide, serve: Serve) -> None:
    upstream = await provide(Fail(status=status, headers={"etag": '"x"'}, body=""))
    gateway = await serve(upstream)
    for _ in range(2):  # the connection lives on
        reply = await gateway.client.ask(None, "/v1/files/7", method)
        assert (reply.status, reply.headers["etag"], reply.body) == (status, '"x"', b"")


async def test_head_keeps_the_length_of_what_get_would_bring(provide: Provide, serve: Serve) -> None:
    gateway = await serve(await provide(Fail(status=200, body="twelve bytes")))
    assert (await gateway.client.ask(None, "/v1/files/7", "HEAD")).headers["content-length"] == "12"


# -- headers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("path", "body"), [("/v1/chat/completions", b"{}"), ("/v1/embeddings", b"{}")])
async def test_headers_pass_but_for_those_that_must_not(path: str, body: bytes, provide: Provide, serve: Serve) -> None:
    upstream = await provide(
        Answer(
            headers={"x-vendor": "kept", "proxy-authenticate": "x", "x-hydrallm-model": "forged", "set-cookie": "a=b"}
        )
    )
    gateway = await serve({"url": upstream.url, "headers": {"x-own": "of the endpoint"}, "query": {"api-version": "1"}})
    dropped = {
        "Connection": "keep-alive, x-named",
        "X-Named": "1",
        "Keep-Alive": "5",
        "TE": "trailers",
        "Proxy-Authorization": "Basic x",
        "X-Forwarded-For": "10.0.0.1",
        "Via": "1.1 x",
        "Forwarded": "for=10.0.0.1",
        "X-Own": "of the client",
    }
    kept = {"User-Agent": "SDK/1", "X-Stainless-Retry-Count": "0", "X-New-Vendor-Header": "yes", "OpenAI-Beta": "a=b"}
    reply = await gateway.client.ask(body, path, headers=dropped | kept)
    assert reply.status == 200
    sent: dict[str, Any] = {name.decode(): value.decode() for name, value in upstream.received[0].headers}
    assert {name: sent[name.lower()] for name in kept} == kept
    assert sent["x-own"] == "of the endpoint"
    assert not set(sent) & {name.lower() for name in dropped} - {"x-own", "connection"}
    assert sent["host"] == upstream.url.removeprefix("http://")
    assert upstream.received[0].target.endswith(b"?api-version=1")
    assert reply.headers["x-vendor"] == "kept"
    assert reply.headers["set-cookie"] == "a=b"
    assert reply.headers["x-hydrallm-model"] == "m1"
    assert "proxy-authenticate" not in reply.headers
