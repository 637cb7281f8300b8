"""A generation through a real gateway: what is tried again, and what the client sees of it (nothing, mostly)."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from hydrallm.faults.script import Answer, Cut, Fail, Hang, Malformed, Raw, Stall
from hydrallm.policy.kinds import Kind

if TYPE_CHECKING:
    from tests.exchange.conftest import Provide, Serve

    from hydrallm.faults.script import Reply

BODY = b'{"model": "client-model", "messages": [{"role": "user", "content": "hi"}]}'
STREAM_BODY = BODY[:-1] + b', "stream": true}'
EMPTY = Fail(status=200, body="")

# What fails before anything is committed, and what it is called: for a plain answer, for a stream, or for both.
PLAIN_FAILURES: dict[str, tuple[Reply, Kind]] = {
    "inside JSON, by FIN": (Cut(at="inside_event"), Kind.CUT),
    "inside JSON, by RST": (Cut(at="inside_event", how="rst"), Kind.CUT),
    "stalled inside JSON": (Stall(events=1), Kind.SLOW_START),
    "damaged gzip": (Fail(status=200, headers={"content-encoding": "gzip"}, body="{}"), Kind.BAD_ANSWER),
}
STREAM_FAILURES: dict[str, tuple[Reply, Kind]] = {
    "cut after the headers": (Cut(at="after_headers"), Kind.CUT),
    "ended after the headers": (Cut(at="after_headers", how="clean"), Kind.BAD_ANSWER),
    "silent after the headers": (Stall(events=0), Kind.SLOW_START),
}
FAILURES: dict[str, tuple[Reply, Kind]] = {
    **{str(status): (Fail(status=status), Kind.SERVER) for status in (500, 502, 504, 599)},
    "429": (Fail(status=429), Kind.RATE_LIMITED),
    "503": (Fail(status=503), Kind.OVERLOADED),
    "529": (Fail(status=529), Kind.OVERLOADED),
    "408": (Fail(status=408), Kind.TRANSIENT),
    "409": (Fail(status=409), Kind.TRANSIENT),
    "an empty body": (EMPTY, Kind.BAD_ANSWER),
    "204": (Fail(status=204), Kind.BAD_ANSWER),
    "cut before the headers": (Cut(), Kind.CUT),
    "reset before the headers": (Cut(how="rst"), Kind.CUT),
    "cut inside the headers": (Cut(at="inside_headers"), Kind.CUT),
    "silent": (Hang(), Kind.SLOW_START),
    "not HTTP": (Malformed(what="not_http"), Kind.BAD_ANSWER),
    "two lengths": (Malformed(what="two_lengths"), Kind.BAD_ANSWER),
    "headers that no client can read": (Fail(status=200, headers={"x": "y" * 70_000}), Kind.BAD_ANSWER),
}


def _cases(*tables: dict[str, tuple[Reply, Kind]]) -> list[object]:
    return [pytest.param(*case, id=name) for table in tables for name, case in table.items()]


def patience(failure: Reply) -> str:
    """Return a timeout: short where it is what is waited for, else one that no busy machine runs into."""
    return "150ms" if isinstance(failure, Hang | Stall) else "20s"


@pytest.mark.parametrize(("failure", "kind"), _cases(FAILURES, PLAIN_FAILURES))
async def test_a_plain_request_is_tried_again(failure: Reply, kind: Kind, provide: Provide, serve: Serve) -> None:
    first = await provide([failure, Answer(text="done")])
    gateway = await serve({"url": first.url, "attempts": 2, "timeout": patience(failure)})
    reply = await gateway.client.ask(BODY)
    assert (reply.status, reply.complete) == (200, True)
    assert reply.json["choices"][0]["message"]["content"] == "done"
    assert reply.headers["x-hydrallm-attempts"] == "2"
    record = await gateway.journal.ended()
    assert [attempt.kind for attempt in record.attempts] == [kind, None]
    assert (record.outcome, record.status, record.stream, record.sent) == ("answered", 200, False, len(reply.body))
    assert gateway.journal.failed == record.attempts[:1]


@pytest.mark.parametrize(("failure", "kind"), _cases(FAILURES, STREAM_FAILURES))
async def test_a_stream_is_tried_again_up_to_its_first_byte(
    failure: Reply, kind: Kind, provide: Provide, serve: Serve
) -> None:
    first = await provide([failure, Answer(text="done")])
    second = await provide()
    gateway = await serve(
        {"url": first.url, "attempts": 2, "first_token_timeout": patience(failure)}, second, default_timeout="10s"
    )
    reply = await gateway.client.ask(STREAM_BODY)
    assert (reply.status, reply.complete) == (200, True)
    assert reply.body.endswith(b"data: [DONE]\n\n")
    record = await gateway.journal.ended()
    assert [attempt.kind for attempt in record.attempts] == [kind, None]
    assert record.stream
    # A silent model is not asked again while another one is left; any other is.
    assert len(second.received) == (1 if kind is Kind.SLOW_START else 0)


@pytest.mark.parametrize("body", [BODY, STREAM_BODY])
@pytest.mark.parametrize("status", [401, 402, 403, 404])
async def test_a_word_about_our_key_leads_to_the_next_model(
    body: bytes, status: int, provide: Provide, serve: Serve
) -> None:
    first, second = await provide(Fail(status=status)), await provide()
    gateway = await serve({"url": first.url, "attempts": 3, "api_key": "our-key"}, second)
    reply = await gateway.client.ask(body)
    assert (reply.status, reply.headers["x-hydrallm-endpoint"]) == (200, "e2")
    assert len(first.received) == 1
    assert gateway.journal.failed[0].loud


async def test_an_unreachable_model_leads_to_the_next(provide: Provide, serve: Serve) -> None:
    first, second = await provide(), await provide()
    await first.stop()
    gateway = await serve({"url": first.url, "attempts": 3}, second)
    reply = await gateway.client.ask()
    assert (reply.status, reply.headers["x-hydrallm-attempts"]) == (200, "2")
    assert [attempt.kind for attempt in gateway.journal.failed] == [Kind.UNREACHABLE]


async def test_the_answer_says_where_it_came_from(provide: Provide, serve: Serve) -> None:
    gateway = await serve({"url": (await provide()).url, "model": "caf\u00e9 latte"})
    reply = await gateway.client.ask()
    record = await gateway.journal.ended()
    assert {name: value for name, value in reply.headers.items() if name.startswith("x-hydrallm-")} == {
        "x-hydrallm-request-id": record.id,
        "x-hydrallm-model": "caf%C3%A9%20latte",
        "x-hydrallm-endpoint": "e1",
        "x-hydrallm-attempts": "1",
    }
    assert (record.requested, record.wire_format) == ("client-model", "openai-chat")


# -- waiting -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", [{"retry-after": "0.2"}, {"retry-after-ms": "200"}])
async def test_a_short_retry_after_is_waited_for(header: dict[str, str], provide: Provide, serve: Serve) -> None:
    first = await provide([Fail(status=429, headers=header), Answer()])
    gateway = await serve({"url": first.url, "attempts": 2})
    assert (await gateway.client.ask()).status == 200
    record = await gateway.journal.ended()
    assert 0.19 < record.attempts[1].waited < 0.21
    assert first.received[1].at - first.received[0].at >= 0.19


async def test_a_long_retry_after_leads_to_the_next_model(provide: Provide, serve: Serve) -> None:
    first, second = await provide(Fail(status=429, headers={"retry-after": "30"})), await provide()
    gateway = await serve({"url": first.url, "attempts": 2}, second)
    reply = await gateway.client.ask()
    assert reply.headers["x-hydrallm-endpoint"] == "e2"


async def test_a_retry_after_beyond_the_deadline_ends_the_exchange_at_once(provide: Provide, serve: Serve) -> None:
    first = await provide(Fail(status=429, headers={"retry-after": "30"}, body="slow down"))
    gateway = await serve({"url": first.url, "attempts": 2}, deadline="20s")
    reply = await gateway.client.ask()
    assert (reply.status, reply.body) == (429, b"slow down")
    assert reply.headers["x-should-retry"] == "true"
    assert 28 <= int(reply.headers["retry-after"]) <= 30


async def test_the_interval_lies_between_two_attempts(provide: Provide, serve: Serve) -> None:
    first = await provide([Fail(), Fail(), Answer()])
    gateway = await serve({"url": first.url, "attempts": 3, "interval": "100ms"})
    assert (await gateway.client.ask()).status == 200
    at = [received.at for received in first.received]
    assert at[1] - at[0] >= 0.09
    assert at[2] - at[1] >= 0.09


# -- the commit --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["fin", "rst"])
async def test_a_stream_that_is_cut_is_cut_for_the_client_too(how: str, provide: Provide, serve: Serve) -> None:
    first, second = await provide(Cut(at="after_events", events=2, how=how, pause=0.01)), await provide()  # type: ignore[arg-type]
    gateway = await serve({"url": first.url, "attempts": 3}, second)
    reply = await gateway.client.ask(STREAM_BODY)
    assert (reply.status, reply.complete) == (200, False)
    assert reply.body.startswith(b"data: ")
    assert b"[DONE]" not in reply.body
    record = await gateway.journal.ended()
    assert (record.outcome, record.status, len(record.attempts)) == ("cut", 200, 1)
    assert record.detail
    assert second.received == []


async def test_a_stream_that_falls_silent_is_cut_after_the_idle_timeout(provide: Provide, serve: Serve) -> None:
    first = await provide(Stall(events=2))
    gateway = await serve({"url": first.url, "idle_timeout": "200ms"})
    reply = await gateway.client.ask(STREAM_BODY)
    assert (reply.status, reply.complete) == (200, False)
    record = await gateway.journal.ended()
    assert record.outcome == "stalled"
    assert await asyncio.wait_for(first.received[0].wait_closed(), 5)


async def test_an_answer_delimited_by_its_end_passes(provide: Provide, serve: Serve) -> None:
    gateway = await serve(await provide(Answer(text="done", framing="eof")))
    reply = await gateway.client.ask()
    assert reply.json["choices"][0]["message"]["content"] == "done"
    streamed = await gateway.client.ask(STREAM_BODY)
    assert streamed.complete
    assert streamed.body.endswith(b"data: [DONE]\n\n")


def until_eof(body: str, status: str = "200 OK", coding: str = "") -> Raw:
    """Return a JSON answer that only the end of the connection delimits."""
    return Raw(data=f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{coding}\r\n{body}")


WHOLE = '{"choices": [{"message": {"role": "assistant", "content": "done"}, "finish_reason": "stop"}]'
"""A right answer but for what may be added to it, and its end."""


@pytest.mark.parametrize("cut", ['{"choices": [{"mess', WHOLE, "[1,", '{"a": "\\ud800'])
async def test_json_that_its_end_cuts_is_asked_for_again(cut: str, provide: Provide, serve: Serve) -> None:
    """HTTP cannot tell: an answer without a length and without chunks ends where the connection does."""
    upstream = await provide([until_eof(cut), Answer(text="done")])
    gateway = await serve({"url": upstream.url, "attempts": 2})
    assert (await gateway.client.ask()).json["choices"][0]["message"]["content"] == "done"
    assert [attempt.kind for attempt in gateway.journal.failed] == [Kind.BAD_ANSWER]
    assert "cut or damaged" in gateway.journal.failed[0].detail


@pytest.mark.parametrize(
    "whole",
    [
        WHOLE + "}",
        WHOLE + ', "odd": [1e400, NaN]} \n',
        WHOLE + ', "odd": "\\ud800"}',
        "\xef\xbb\xbf" + WHOLE + "}",
        WHOLE + ', "odd": ' + "[" * 9999 + "]" * 9999 + "}",
    ],
)
async def test_whole_json_delimited_by_its_end_passes_however_odd_it_is(
    whole: str, provide: Provide, serve: Serve
) -> None:
    gateway = await serve(await provide(until_eof(whole)))
    reply = await gateway.client.ask()
    assert (reply.status, reply.body) == (200, whole.encode("latin-1"))


async def test_what_is_no_answer_is_asked_for_again_whatever_delimits_it(provide: Provide, serve: Serve) -> None:
    gateway = await serve({"url": (await provide([Fail(status=200, body=WHOLE), Answer()])).url, "attempts": 2})
    assert (await gateway.client.ask()).headers["x-hydrallm-attempts"] == "2"


@pytest.mark.parametrize("size", [100_000, 5_000_000])
async def test_a_big_json_answer_is_held_whole(size: int, provide: Provide, serve: Serve) -> None:
    half = Raw(
        data=f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {size}\r\n\r\n" + "x" * (size - 1)
    )
    upstream = await provide([half, Answer(text="y" * size)])
    gateway = await serve({"url": upstream.url, "attempts": 2})
    reply = await gateway.client.ask()
    assert reply.json["choices"][0]["message"]["content"] == "y" * size
    assert [attempt.kind for attempt in gateway.journal.failed] == [Kind.CUT]


async def test_json_beyond_what_is_held_is_streamed(provide: Provide, serve: Serve) -> None:
    big = json.dumps({"text": "x" * 17 * 1024 * 1024})
    gateway = await serve(await provide(Fail(status=200, body=big)))
    reply = await gateway.client.ask()
    assert (reply.status, reply.complete) == (200, True)
    assert reply.body == big.encode()


async def test_json_beyond_what_is_held_is_cut_for_the_client_if_it_is_cut(provide: Provide, serve: Serve) -> None:
    length = 18 * 1024 * 1024
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    gateway = await serve(await provide(Raw(data=head + "x" * (length - 1))))
    reply = await gateway.client.ask()
    assert (reply.status, reply.complete) == (200, False)
    assert (await gateway.journal.ended()).outcome == "cut"


@pytest.mark.parametrize("status", [301, 302, 304, 307, 308])
async def test_a_redirect_is_neither_followed_nor_passed_on(status: int, provide: Provide, serve: Serve) -> None:
    elsewhere, steady = await provide(), await provide()
    first = await provide(Fail(status=status, headers={"location": elsewhere.url}, body=""))
    gateway = await serve({"url": first.url, "attempts": 2}, steady)
    reply = await gateway.client.ask()
    assert (reply.status, reply.headers["x-hydrallm-endpoint"]) == (200, "e2")
    assert elsewhere.received == []
    [failed] = gateway.journal.failed
    assert (failed.kind, failed.detail) == (Kind.MISCONFIGURED, f"a redirect ({status}): correct the endpoint's url")


async def test_the_only_models_redirect_is_an_error_of_ours(provide: Provide, serve: Serve) -> None:
    gateway = await serve(await provide(Fail(status=307, headers={"location": "http://127.0.0.1:9/"}, body="")))
    reply = await gateway.client.ask()
    assert (reply.status, "location" in reply.headers) == (502, False)
    assert "correct the endpoint's url" in reply.json["error"]["message"]


@pytest.mark.parametrize("body", [BODY, STREAM_BODY])
async def test_what_cannot_be_looked_at_is_no_answer(body: bytes, provide: Provide, serve: Serve) -> None:
    """It was asked for as it is; a coding that is not known may hide anything."""
    coded = await provide(Answer(headers={"content-encoding": "br"}))
    gateway = await serve(coded, await provide())
    assert (await gateway.client.ask(body)).headers["x-hydrallm-endpoint"] == "e2"
    assert [attempt.kind for attempt in gateway.journal.failed] == [Kind.BAD_ANSWER]


async def test_an_answer_with_a_status_of_no_class_is_none(provide: Provide, serve: Serve) -> None:
    odd = await provide(Raw(data="HTTP/1.1 999 Denied\r\ncontent-length: 2\r\n\r\n{}"))
    gateway = await serve(odd, await provide())
    assert (await gateway.client.ask()).headers["x-hydrallm-endpoint"] == "e2"


# -- leaving -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "body"),
    [(Hang(), BODY), (Stall(events=1), BODY), (Stall(events=0), STREAM_BODY), (Stall(events=2), STREAM_BODY)],
)
async def test_a_client_that_leaves_takes_the_upstream_with_it(
    reply: Reply, body: bytes, provide: Provide, serve: Serve
) -> None:
    upstream, other = await provide(reply), await provide()
    gateway = await serve({"url": upstream.url, "attempts": 3}, other)
    gateway.client.send("POST", "/v1/chat/completions", body, {})
    received = await asyncio.wait_for(upstream.wait_received(), 5)
    if reply == Stall(events=2):
        await gateway.client.head()
        await gateway.client.chunk()
    left = asyncio.get_running_loop().time()
    await gateway.client.close()
    assert await asyncio.wait_for(received.wait_closed(), 5) - left < 0.05
    record = await gateway.journal.ended()
    assert (record.status, record.outcome, len(record.attempts)) == (499, "client_left", 1)
    assert gateway.journal.failed == []
    assert other.received == []


async def test_a_client_that_leaves_during_a_wait_ends_it(provide: Provide, serve: Serve) -> None:
    upstream = await provide(Fail(status=429, headers={"retry-after": "5"}))
    gateway = await serve({"url": upstream.url, "attempts": 2})
    gateway.client.send("POST", "/v1/chat/completions", BODY, {})
    await gateway.journal.first_failure()
    await gateway.client.close()
    record = await gateway.journal.ended()
    assert (record.status, record.outcome) == (499, "client_left")
    assert record.seconds < 4
    assert len(upstream.received) == 1
