"""What the client is told when nothing worked, byte for byte and header by header."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import TYPE_CHECKING, Any

import pytest

from hydrallm.exchange.attempt import ERROR_PATIENCE
from hydrallm.faults.script import Answer, Cut, Fail, Hang, Malformed, Raw
from hydrallm.policy.kinds import Kind

if TYPE_CHECKING:
    from tests.exchange.conftest import Provide, Serve

    from hydrallm.faults.script import Reply

CHAT = ("openai", "/v1/chat/completions")
MESSAGES = ("anthropic", "/v1/messages")
INVOKE = ("bedrock", "/model/some.model-v1%3A0/invoke")
CONVERSE = ("bedrock", "/model/some.model-v1%3A0/converse")


def told(body: Any, path: str) -> tuple[str, str]:  # noqa: ANN401 - JSON
    """Return the message of an error of our own, and its type, from where the SDKs of that API read them."""
    if path.startswith("/model/"):
        return body["message"], ""
    if path == "/v1/messages":
        assert body["type"] == "error"
    return body["error"]["message"], body["error"]["type"]


async def test_the_last_error_is_passed_on_with_its_status_headers_and_body(provide: Provide, serve: Serve) -> None:
    body = '{"error": {"message": "caf\u00e9", "code": "on_fire"},   "more": [1e400]}'
    first = await provide(Fail(status=500, body="the first"))
    second = await provide(Fail(status=502, headers={"x-vendor": "yes", "x-request-id": "upstream-7"}, body=body))
    gateway = await serve(first, second)
    reply = await gateway.client.ask()
    assert (reply.status, reply.body) == (502, body.encode())
    assert reply.headers["x-vendor"] == "yes"
    assert reply.headers["x-request-id"] == "upstream-7"
    assert reply.headers["x-should-retry"] == "false"
    assert reply.headers["x-hydrallm-endpoint"] == "e2"
    assert reply.headers["x-hydrallm-attempts"] == "2"
    record = await gateway.journal.ended()
    assert (record.status, record.outcome) == (502, "server")
    assert [attempt.body for attempt in record.attempts] == ["the first", body]


async def test_all_cycles_are_spent_before_the_client_is_told(provide: Provide, serve: Serve) -> None:
    first, second = await provide(Fail(status=500)), await provide(Fail(status=503))
    gateway = await serve({"url": first.url, "attempts": 2}, second, max_cycles=3)
    reply = await gateway.client.ask()
    assert reply.status == 503
    assert reply.headers["x-hydrallm-attempts"] == "9"
    assert (len(first.received), len(second.received)) == (6, 3)


async def test_the_more_useful_error_is_shown_even_if_it_is_older(provide: Provide, serve: Serve) -> None:
    first = await provide(Fail(status=429, headers={"retry-after": "7"}, body="slow down"))
    second = await provide(Fail(status=500, body="on fire"))
    gateway = await serve(first, second)
    reply = await gateway.client.ask()
    assert (reply.status, reply.body, reply.headers["x-hydrallm-endpoint"]) == (429, b"slow down", "e1")
    assert reply.headers["retry-after"] == "7"


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ({"retry-after": "60"}, "60"),
        ({"retry-after": "59.2"}, "60"),
        ({"retry-after-ms": "59001"}, "60"),
        ({"retry-after": "3600"}, "120"),
        ({"retry-after": "1000000000"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan", "retry-after-ms": "-1"}, None),
        ({}, None),
    ],
)
async def test_the_client_is_told_a_sensible_retry_after_or_none(
    sent: dict[str, str], told: str | None, provide: Provide, serve: Serve
) -> None:
    gateway = await serve(await provide(Fail(status=429, headers=sent)))
    reply = await gateway.client.ask()
    assert reply.status == 429
    assert reply.headers.get("retry-after") == told
    assert "retry-after-ms" not in reply.headers


@pytest.mark.parametrize(("api_type", "path"), [CHAT, MESSAGES, INVOKE, CONVERSE])
@pytest.mark.parametrize(
    ("script", "status", "kind"),
    [
        (Cut(), 502, Kind.CUT),
        (Malformed(what="not_http"), 502, Kind.BAD_ANSWER),
        (Hang(), 504, Kind.SLOW_START),
        (None, 502, Kind.UNREACHABLE),
    ],
)
async def test_where_no_upstream_said_anything_the_error_is_ours_in_the_shape_of_the_api(
    api_type: str, path: str, script: Reply | None, status: int, kind: Kind, provide: Provide, serve: Serve
) -> None:
    upstream = await provide(script)
    if script is None:
        await upstream.stop()
    timeout = "100ms" if isinstance(script, Hang) else "20s"  # the others must not run out of time on a busy machine
    gateway = await serve({"url": upstream.url, "type": api_type, "timeout": timeout})
    reply = await gateway.client.ask(target=path)
    assert (reply.status, reply.headers["content-type"]) == (status, "application/json")
    message, error_type = told(reply.json, path)
    assert f"e1/m1 {kind}" in message
    if error_type:
        assert "timeout" in error_type if status == 504 else "timeout" not in error_type
    assert reply.headers["x-should-retry"] == "false"
    record = await gateway.journal.ended()
    request_id = {"openai": "x-request-id", "anthropic": "request-id", "bedrock": "x-amzn-requestid"}[api_type]
    assert reply.headers[request_id] == reply.headers["x-hydrallm-request-id"] == record.id
    assert (record.status, record.outcome) == (status, kind)
    assert reply.headers["date"]


async def test_the_message_tells_the_last_failure_of_each_model(provide: Provide, serve: Serve) -> None:
    first, second = await provide(Cut()), await provide(Cut())
    gateway = await serve({"url": first.url, "attempts": 2}, {"url": second.url, "model": "other"})
    message = (await gateway.client.ask()).json["error"]["message"]
    assert message.startswith("every model failed (3 attempts): e1/m1 cut, ")
    assert message.count("e1/m1 cut") == 1
    assert "; e2/other cut, " in message


# -- whose key it was --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "says", "kind"),
    [
        (401, "your key our-secret-key is no good", "misconfigured"),
        (402, "pay for our-secret-key", "quota"),
        (403, "your key our-secret-key is no good", "misconfigured"),
        (404, "no such model for our-secret-key", "misconfigured"),
        (404, "no such path, our-secret-key", "unsupported"),
        (405, "not here, our-secret-key", "unsupported"),
    ],
)
async def test_a_refusal_of_our_key_is_a_502_with_the_reason(
    status: int, says: str, kind: str, provide: Provide, serve: Serve
) -> None:
    upstream = await provide(Fail(status=status, body=says))
    gateway = await serve({"url": upstream.url, "api_key": "our-secret-key"})
    reply = await gateway.client.ask(headers={"Authorization": "Bearer the-clients"})
    assert reply.status == 502
    assert f" {status}" in reply.json["error"]["message"]
    assert reply.json["error"]["code"] == f"upstream_{kind}"
    assert gateway.journal.failed[0].loud
    assert b"our-secret-key" not in reply.body
    assert dict(upstream.received[0].headers)[b"authorization"] == b"Bearer our-secret-key"


REFUSALS = [(401, "unauthorized"), (402, "quota"), (403, "unauthorized"), (404, "unsupported"), (405, "unsupported")]


@pytest.mark.parametrize(("status", "kind"), REFUSALS)
async def test_a_refusal_of_the_clients_key_leads_to_the_next_model(
    status: int, kind: str, provide: Provide, serve: Serve
) -> None:
    upstream, other = await provide(Fail(status=status, body="your key is no good")), await provide()
    gateway = await serve({"url": upstream.url, "attempts": 3}, {"url": other.url, "api_key": "k-our-secret"})
    reply = await gateway.client.ask(headers={"Authorization": "Bearer the-clients"})
    assert (reply.status, reply.headers["x-hydrallm-endpoint"]) == (200, "e2")
    assert dict(upstream.received[0].headers)[b"authorization"] == b"Bearer the-clients"
    assert dict(other.received[0].headers)[b"authorization"] == b"Bearer k-our-secret"
    assert len(upstream.received) == 1
    assert [attempt.kind for attempt in gateway.journal.failed] == [kind]


@pytest.mark.parametrize(("status", "kind"), REFUSALS)
async def test_a_refusal_of_the_clients_key_is_shown_unchanged_once_nothing_is_left(
    status: int, kind: str, provide: Provide, serve: Serve
) -> None:
    upstream = await provide(Fail(status=status, headers={"www-authenticate": "Bearer"}, body="your key is no good"))
    gateway = await serve({"url": upstream.url, "attempts": 3}, max_cycles=3)
    reply = await gateway.client.ask(headers={"Authorization": "Bearer the-clients"})
    assert (reply.status, reply.body) == (status, b"your key is no good")
    assert (reply.headers["www-authenticate"], reply.headers["x-should-retry"]) == ("Bearer", "false")
    assert len(upstream.received) == 1
    assert (await gateway.journal.ended()).outcome == kind


async def test_a_real_error_is_shown_rather_than_a_word_about_our_key(provide: Provide, serve: Serve) -> None:
    first, second = await provide(Fail(status=500, body="on fire")), await provide(Fail(status=402, body="pay"))
    gateway = await serve(first, {"url": second.url, "api_key": "k-our-secret"})
    reply = await gateway.client.ask()
    assert (reply.status, reply.body) == (500, b"on fire")


async def test_a_word_about_our_key_does_not_hide_a_timeout(provide: Provide, serve: Serve) -> None:
    first, second = await provide(Fail(status=401, body="bad key")), await provide(Hang())
    gateway = await serve({"url": first.url, "api_key": "k-our-secret"}, {"url": second.url, "timeout": "100ms"})
    reply = await gateway.client.ask()
    assert (reply.status, reply.json["error"]["code"]) == (504, "upstream_slow_start")
    assert "e1/m1 misconfigured 401" in reply.json["error"]["message"]


# -- errors that are the client's --------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 411, 418, 422, 451])
async def test_a_client_error_is_returned_as_it_is_after_one_attempt(
    status: int, provide: Provide, serve: Serve
) -> None:
    upstream, other = (
        await provide(Fail(status=status, headers={"x-should-retry": "maybe"}, body="no")),
        await provide(),
    )
    gateway = await serve({"url": upstream.url, "attempts": 3, "api_key": "k-our-secret"}, other)
    reply = await gateway.client.ask()
    assert (reply.status, reply.body) == (status, b"no")
    assert reply.headers["x-should-retry"] == "maybe"
    assert reply.headers["x-hydrallm-attempts"] == "1"
    assert other.received == []


@pytest.mark.parametrize("failure", [Fail(status=413, body="too large"), Fail(cause="context_length")])
async def test_a_request_too_long_for_one_model_is_taken_to_the_next(
    failure: Fail, provide: Provide, serve: Serve
) -> None:
    first, second = await provide(failure), await provide()
    gateway = await serve({"url": first.url, "attempts": 3}, second)
    assert (await gateway.client.ask()).headers["x-hydrallm-endpoint"] == "e2"
    assert len(first.received) == 1
    second.play(Fail(status=500, body="on fire"))
    reply = await gateway.client.ask()
    assert reply.status == (failure.status or 400)  # of the two errors the one that the client can do something about
    assert reply.body != b"on fire"


async def test_a_client_error_is_the_last_word_whatever_was_kept_before(provide: Provide, serve: Serve) -> None:
    first, second = await provide(Fail(status=429, body="slow down")), await provide(Fail(status=400, body="no"))
    gateway = await serve(first, second)
    reply = await gateway.client.ask()
    assert (reply.status, reply.body, reply.headers["x-hydrallm-endpoint"]) == (400, b"no", "e2")


# -- error bodies ------------------------------------------------------------------------------------------------------


async def test_an_error_whose_body_is_cut_is_not_shown(provide: Provide, serve: Serve) -> None:
    first = await provide(Fail(status=503, body="whole"))
    second = await provide(Raw(data="HTTP/1.1 503 Busy\r\ncontent-length: 99\r\n\r\nhalf"))
    gateway = await serve(first, second)
    reply = await gateway.client.ask()
    assert (reply.status, reply.body) == (503, b"whole")
    assert "did not arrive" in gateway.journal.failed[1].detail


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        ("content-length: 99\r\n\r\nhalf", Kind.CUT),
        ("transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n", Kind.CUT),
        ("content-encoding: gzip\r\n\r\nhalf", Kind.BAD_ANSWER),
    ],
)
async def test_a_client_error_whose_body_is_cut_is_asked_for_again(
    head: str, kind: Kind, provide: Provide, serve: Serve
) -> None:
    upstream = await provide([Raw(data=f"HTTP/1.1 422 No\r\n{head}"), Fail(status=422, body="whole")])
    gateway = await serve({"url": upstream.url, "attempts": 2})
    reply = await gateway.client.ask()
    assert (reply.status, reply.body) == (422, b"whole")
    assert [(attempt.kind, attempt.status) for attempt in gateway.journal.failed] == [
        (kind, 422),
        (Kind.CLIENT_ERROR, 422),
    ]


async def test_an_error_body_is_never_shown_in_part(provide: Provide, serve: Serve) -> None:
    endless = await provide(Fail(status=500, body="x" * (17 * 1024 * 1024)))
    gateway = await serve(endless)
    reply = await gateway.client.ask()
    assert (reply.status, reply.complete) == (502, True)
    assert len(reply.body) < 1000


async def test_a_compressed_error_is_decoded(provide: Provide, serve: Serve) -> None:
    body = gzip.compress(b"on fire")
    head = f"HTTP/1.1 500 Sorry\r\ncontent-encoding: gzip\r\ncontent-length: {len(body)}\r\n\r\n"
    gateway = await serve(await provide(Raw(data=head + body.decode("latin-1"))))
    reply = await gateway.client.ask()
    assert (reply.status, reply.body) == (500, b"on fire")
    assert "content-encoding" not in reply.headers
    assert (await gateway.journal.ended()).attempts[0].body == "on fire"


async def test_the_time_that_a_client_takes_for_its_body_is_not_the_deadlines(provide: Provide, serve: Serve) -> None:
    gateway = await serve(await provide(Cut()), deadline="300ms")
    body = b'{"model": "m", "messages": []}'
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n"
    gateway.client.writer.write(head.encode() + body[:9])
    await asyncio.sleep(0.4)
    gateway.client.writer.write(body[9:])
    reply = await gateway.client.reply()
    assert reply.json["error"]["message"].startswith("every model failed (1 attempt): e1/m1 cut")


async def test_a_web_page_is_not_the_error_that_is_shown(provide: Provide, serve: Serve) -> None:
    page = "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"
    first, second = await provide(Fail(status=502, body=page)), await provide(Fail(status=502, body=page))
    gateway = await serve(first, second)
    reply = await gateway.client.ask()
    assert reply.status == 502
    assert reply.json["error"]["message"] == (
        "every model failed (2 attempts): "
        "e1/m1 server 502, 502 Bad Gateway nginx; e2/m2 server 502, 502 Bad Gateway nginx"
    )


async def test_the_clients_own_key_does_not_come_into_the_log(provide: Provide, serve: Serve) -> None:
    gateway = await serve(await provide(Fail(status=401, body='{"error": "Incorrect API key: my-own-canary"}')))
    await gateway.client.ask(headers={"Authorization": "Bearer my-own-canary"})
    assert (await gateway.journal.ended()).attempts[0].body == '{"error": "Incorrect API key: ***"}'


async def test_a_key_at_the_edge_of_what_is_logged_does_not_come_out_in_part(provide: Provide, serve: Serve) -> None:
    key = "a-very-secret-canary-key"
    upstream = await provide(Fail(status=500, body="x" * (4096 - 10) + key + "y" * 100))
    gateway = await serve({"url": upstream.url, "api_key": key})
    await gateway.client.ask()
    (attempt,) = (await gateway.journal.ended()).attempts
    assert key[:8] not in attempt.body
    assert 4000 < len(attempt.body) <= 4096


async def test_many_errors_do_not_pile_up(provide: Provide, serve: Serve) -> None:
    number = iter(range(1000))
    upstream = await provide(lambda _: Fail(status=500, body=f"error {next(number)}"))
    gateway = await serve({"url": upstream.url, "attempts": 20}, max_cycles=2)
    reply = await gateway.client.ask()
    assert reply.body == b"error 39"
    assert len(upstream.received) == 40


# -- requests that cannot be served ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"model"',
        b'{"model": "a", "model": "b"}',
        b'{"stream": true, "stream": false}',
        b'{"model": "a", "mod\\u0065l": "b"}',
        b'{"a": "\xff"}',
    ],
)
@pytest.mark.parametrize(("api_type", "path"), [CHAT, MESSAGES])
async def test_what_is_no_json_object_with_one_model_is_a_400_in_the_apis_shape(
    body: bytes, api_type: str, path: str, provide: Provide, serve: Serve
) -> None:
    upstream = await provide()
    gateway = await serve({"url": upstream.url, "type": api_type})
    reply = await gateway.client.ask(body, target=path)
    assert reply.status == 400
    message, error_type = told(reply.json, path)
    assert "request body" in message
    assert error_type == "invalid_request_error"
    assert upstream.received == []
    assert (await gateway.journal.ended()).outcome == "refused"
    again = await gateway.client.ask(target=path)  # the connection lives on
    assert again.status == 200


async def test_what_upstreams_are_sent_is_the_clients_but_for_the_model(provide: Provide, serve: Serve) -> None:
    upstream = await provide([Fail(status=500), Answer()])
    gateway = await serve({"url": upstream.url, "attempts": 2, "model": 'a "quoted" model'})
    body = b'{ "x":1e400,"model" : "client\\u0020model" , "nested":{"model":"stay"},"y":"\\ud800" }'
    assert (await gateway.client.ask(body)).status == 200
    expected = body.replace(b'"client\\u0020model"', json.dumps('a "quoted" model').encode())
    assert [received.body for received in upstream.received] == [expected, expected]


@pytest.mark.slow
async def test_the_body_of_an_error_is_not_waited_for_long(provide: Provide, serve: Serve) -> None:
    stalled = Raw(data="HTTP/1.1 500 X\r\ncontent-length: 50\r\n\r\nabc", how=None)
    first, second = await provide(stalled), await provide()
    gateway = await serve({"url": first.url, "timeout": "30s"}, second)
    began = asyncio.get_running_loop().time()
    reply = await gateway.client.ask()
    assert (reply.status, reply.headers["x-hydrallm-attempts"]) == (200, "2")
    assert asyncio.get_running_loop().time() - began == pytest.approx(ERROR_PATIENCE, abs=1)
    record = await gateway.journal.ended()
    assert [attempt.kind for attempt in record.attempts] == [Kind.SERVER, None]
