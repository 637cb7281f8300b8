"""What a model is asked that does not speak the client's format, or not in the form in which the client speaks it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from hydrallm.faults.script import Answer, Fail

if TYPE_CHECKING:
    from tests.exchange.conftest import Provide, Reply, Serve

    from hydrallm.faults.provider import Provider

HI = [{"role": "user", "content": "hi"}]
MESSAGE: dict[str, Any] = {"model": "claude", "max_tokens": 2048, "messages": HI}
CHAT: dict[str, Any] = {"model": "gpt", "messages": HI}
RESPONSE: dict[str, Any] = {"model": "gpt", "input": "hi"}


def body(value: dict[str, Any], **more: object) -> bytes:
    return json.dumps(value | more).encode()


def paths(provider: Provider) -> list[str]:
    return [received.path for received in provider.received]


def sent(provider: Provider, which: int = -1) -> Any:  # noqa: ANN401 - JSON
    return json.loads(provider.received[which].body)


def message(reply: Reply) -> str:
    told = reply.json["error"]["message"]
    assert isinstance(told, str)
    return told


# -- which format ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "target", "asked", "path"),
    [
        ({"type": "openai"}, "/v1/messages", MESSAGE, "/v1/chat/completions"),
        ({"type": "openai", "api": "responses"}, "/v1/messages", MESSAGE, "/v1/responses"),
        ({"type": "openai", "api": "responses"}, "/v1/chat/completions", CHAT, "/v1/responses"),
        ({"type": "openai", "api": "chat"}, "/v1/responses", RESPONSE, "/v1/chat/completions"),
        ({"type": "anthropic"}, "/v1/responses", RESPONSE, "/v1/messages"),
        (
            {"type": "bedrock", "model": "eu.anthropic.c-1:0"},
            "/v1/messages",
            MESSAGE,
            "/model/eu.anthropic.c-1%3A0/invoke",
        ),
        ({"type": "bedrock", "model": "amazon.nova-1:0"}, "/v1/messages", MESSAGE, "/model/amazon.nova-1%3A0/converse"),
        ({"type": "bedrock", "model": "a-profile"}, "/chat/completions", CHAT, "/model/a-profile/converse"),
        ({"type": "bedrock", "model": "a-profile", "api": "invoke"}, "/messages", MESSAGE, "/model/a-profile/invoke"),
        (
            {"type": "bedrock", "model": "anthropic.c", "api": "converse"},
            "/messages",
            MESSAGE,
            "/model/anthropic.c/converse",
        ),
    ],
)
async def test_each_type_of_model_is_asked_in_a_format_of_its_own(
    model: dict[str, Any], target: str, asked: dict[str, Any], path: str, provide: Provide, serve: Serve
) -> None:
    upstream = await provide()
    gateway = await serve({"url": upstream.url, "api_key": "k", **model})
    reply = await gateway.client.ask(body(asked), target)
    assert reply.status == 200
    assert paths(upstream) == [path]
    (attempt,) = (await gateway.journal.ended()).attempts
    assert attempt.wire_format


@pytest.mark.parametrize(
    ("url", "path"),
    [("", "/v1/messages"), ("/v1", "/v1/messages"), ("/api/anthropic", "/api/anthropic/v1/messages"),
     ("/v1beta/claude", "/v1beta/claude/messages")],
)  # fmt: skip
async def test_the_version_of_the_api_is_in_the_path_once(url: str, path: str, provide: Provide, serve: Serve) -> None:
    upstream = await provide()
    gateway = await serve({"url": upstream.url + url, "type": "anthropic"})
    assert (await gateway.client.ask(body(CHAT))).status == 200
    assert paths(upstream) == [path]


async def test_a_claude_body_for_a_bedrock_model_of_another_maker_goes_by_converse(
    provide: Provide, serve: Serve
) -> None:
    upstream = await provide()
    gateway = await serve({"url": upstream.url, "type": "bedrock", "api_key": "k", "model": "amazon.nova-1:0"})
    claude = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": HI}
    reply = await gateway.client.ask(body(claude), "/model/x/invoke")
    assert (reply.status, reply.json["type"]) == (200, "message")
    await gateway.client.ask(b'{"inputText": "hi"}', "/model/x/invoke")
    assert paths(upstream) == ["/model/amazon.nova-1%3A0/converse", "/model/amazon.nova-1%3A0/invoke"]


# -- credentials and headers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "api", "target", "shown"),
    [
        ("openai", "", "/v1/messages", False),
        ("anthropic", "", "/v1/chat/completions", False),
        ("openai", "responses", "/v1/chat/completions", True),
    ],
)
async def test_a_clients_key_goes_to_its_own_kind_of_provider_only(
    kind: str, api: str, target: str, shown: bool, provide: Provide, serve: Serve
) -> None:
    upstream = await provide()
    gateway = await serve({"url": upstream.url, "type": kind} | ({"api": api} if api else {}))
    headers = {"Authorization": "Bearer mine", "x-api-key": "mine", "X-Tenant": "blue", "anthropic-beta": "b-1"}
    asked = MESSAGE if "messages" in target else CHAT
    assert (await gateway.client.ask(body(asked), target, headers=headers)).status == 200
    received = dict(upstream.received[0].headers)
    assert (b"mine" in b" ".join(received.values())) == shown
    assert received[b"x-tenant"] == b"blue"
    assert received[b"content-type"] == b"application/json"
    assert received.get(b"anthropic-version") == (b"2023-06-01" if kind == "anthropic" else None)


async def test_the_endpoint_says_version_and_betas_of_what_is_composed(provide: Provide, serve: Serve) -> None:
    upstream = await provide()
    model = {
        "url": upstream.url,
        "type": "anthropic",
        "anthropic_version": "2026-10-21",
        "anthropic_beta": ["b-1", "b-2"],
    }
    gateway = await serve(model)
    assert (await gateway.client.ask(body(CHAT, temperature=0.5))).headers["x-hydrallm-dropped"] == "temperature"
    received = dict(upstream.received[0].headers)
    assert (received[b"anthropic-version"], received[b"anthropic-beta"]) == (b"2026-10-21", b"b-1,b-2")
    assert "temperature" not in sent(upstream)


# -- what cannot be said -----------------------------------------------------------------------------------------------


async def test_what_is_dropped_is_told_and_a_strict_chain_skips_instead(provide: Provide, serve: Serve) -> None:
    claude, gpt = await provide(), await provide()
    models = ({"url": claude.url, "type": "anthropic"}, {"url": gpt.url})
    chains = {"strict": {"models": ["e1/m1", "e2/m2"], "strict": True}}
    gateway = await serve(*models, chains=chains)
    reply = await gateway.client.ask(body(CHAT, seed=7, presence_penalty=1.0))
    assert (reply.headers["x-hydrallm-endpoint"], reply.headers["x-hydrallm-dropped"]) == (
        "e1",
        "seed, presence_penalty",
    )
    assert (await gateway.journal.ended()).attempts[0].dropped == ("seed", "presence_penalty")
    reply = await gateway.client.ask(body(CHAT, model="strict", seed=7))
    assert (reply.headers["x-hydrallm-endpoint"], reply.headers["x-hydrallm-attempts"]) == ("e2", "1")
    assert "x-hydrallm-dropped" not in reply.headers
    record = await gateway.journal.ended(2)
    assert [(skip.model, skip.reasons) for skip in record.skipped] == [
        ("m1", ("it cannot be told seed, and the chain is strict",))
    ]
    reply = await gateway.client.ask(body(MESSAGE, model="only/e2/m2", top_k=3), "/v1/messages")
    assert reply.headers["x-hydrallm-dropped"] == "top_k"


async def test_a_body_that_is_no_request_of_its_own_format_goes_to_who_speaks_it(
    provide: Provide, serve: Serve
) -> None:
    gpt, claude = await provide(), await provide()
    gateway = await serve({"url": gpt.url}, {"url": claude.url, "type": "anthropic"})
    reply = await gateway.client.ask(body(MESSAGE, messages="hi"), "/v1/messages")
    assert (reply.status, reply.headers["x-hydrallm-endpoint"]) == (200, "e2")
    (skip,) = (await gateway.journal.ended()).skipped
    assert skip.reasons[0].startswith("the request is not one of anthropic-messages: ")
    assert gpt.received == []
    reply = await gateway.client.ask(body(MESSAGE, model="only/e1/m1", messages="hi"), "/v1/messages")
    assert reply.status == 400
    assert message(reply).startswith("the request is not one of anthropic-messages: "), "and not of every model"


# -- asked again in other words ----------------------------------------------------------------------------------------

NO_RESPONSES = [
    Fail(status=404, body='{"detail": "Not Found"}'),
    Fail(status=404, body="404 page not found", headers={"content-type": "text/plain"}),
    Fail(status=405, body=""),
    Fail(status=404, message="Invalid URL (POST /v1/responses)"),
]


@pytest.mark.parametrize("refusal", NO_RESPONSES, ids=["fastapi", "go", "405", "openai"])
async def test_an_endpoint_without_responses_is_asked_in_chat_from_then_on(
    refusal: Fail, provide: Provide, serve: Serve
) -> None:
    upstream = await provide([refusal, Answer()])
    gateway = await serve({"url": upstream.url})
    replies = [await gateway.client.ask(body(RESPONSE), "/v1/responses") for _ in range(2)]
    assert [(reply.status, reply.json["object"]) for reply in replies] == [(200, "response")] * 2
    assert paths(upstream) == ["/v1/responses", "/v1/chat/completions", "/v1/chat/completions"]
    assert [reply.headers["x-hydrallm-attempts"] for reply in replies] == ["2", "1"]
    (failed,) = gateway.journal.failed
    assert (failed.kind, failed.loud) == ("rephrased", False)


async def test_a_404_about_an_item_is_no_word_about_responses(provide: Provide, serve: Serve) -> None:
    gone = Fail(status=404, message="Item with id 'rs_1' not found. Items are not persisted when `store` is false.")
    upstream = await provide([gone, Answer()])
    gateway = await serve({"url": upstream.url})
    assert (await gateway.client.ask(body(RESPONSE), "/v1/responses")).status == 404
    assert (await gateway.client.ask(body(RESPONSE), "/v1/responses")).status == 200
    assert paths(upstream) == ["/v1/responses"] * 2


async def test_an_endpoint_that_is_to_be_asked_in_responses_is_not_asked_in_chat(
    provide: Provide, serve: Serve
) -> None:
    upstream = await provide(NO_RESPONSES[0])
    gateway = await serve({"url": upstream.url, "api": "responses"})
    assert (await gateway.client.ask(body(RESPONSE), "/v1/responses")).status == 404
    assert paths(upstream) == ["/v1/responses"]


THOUGHT = {"type": "thinking", "thinking": "hm", "signature": "of another"}
CALL = {"type": "tool_use", "id": "t1", "name": "f", "input": {}}
RESULT = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "1"}]}


def loop(*spoken: dict[str, Any]) -> bytes:
    turns = [*HI, {"role": "assistant", "content": [*spoken, CALL]}, RESULT]
    thinking = {"type": "enabled", "budget_tokens": 1024}
    return body(MESSAGE, messages=turns, thinking=thinking, tools=[{"name": "f", "input_schema": {"type": "object"}}])


async def test_thoughts_that_a_model_refuses_are_left_out_of_a_copy(provide: Provide, serve: Serve) -> None:
    refused = Fail(status=400, message="messages.1.content.0: Invalid `signature` in `thinking` block")
    upstream = await provide([refused, Answer()])
    gateway = await serve({"url": upstream.url, "type": "anthropic", "model": "claude-sonnet-4-5"})
    asked = loop(THOUGHT)
    reply = await gateway.client.ask(asked, "/v1/messages")
    assert (reply.status, reply.headers["x-hydrallm-attempts"]) == (200, "2")
    assert sent(upstream, 0) == json.loads(asked) | {"model": "claude-sonnet-4-5"}
    assert sent(upstream)["messages"][1]["content"] == [CALL]
    assert sent(upstream)["thinking"] == {"type": "disabled"}, "without its thought the turn cannot be thought on"


async def test_a_missing_thought_is_made_up_for_by_not_thinking(provide: Provide, serve: Serve) -> None:
    missing = "messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found `tool_use`."
    upstream = await provide([Fail(status=400, message=missing), Answer()])
    gateway = await serve({"url": upstream.url, "type": "anthropic", "model": "claude-sonnet-4-5"})
    assert (await gateway.client.ask(loop(), "/v1/messages")).status == 200
    assert sent(upstream)["thinking"] == {"type": "disabled"}


async def test_a_model_that_refuses_that_too_is_believed(provide: Provide, serve: Serve) -> None:
    refused = Fail(status=400, message="messages.1.content.0: Invalid `signature` in `thinking` block")
    upstream = await provide(refused)
    gateway = await serve({"url": upstream.url, "type": "anthropic", "model": "claude-sonnet-4-5"})
    reply = await gateway.client.ask(loop(THOUGHT), "/v1/messages")
    assert (reply.status, len(upstream.received)) == (400, 2)
    assert "Invalid `signature`" in message(reply)


async def test_what_nobody_here_knows_is_left_alone_where_thoughts_are_taken_out(
    provide: Provide, serve: Serve
) -> None:
    upstream = await provide()
    gateway = await serve({"url": upstream.url})
    sealed = {"type": "reasoning", "id": "rs", "summary": [], "encrypted_content": "hydrallm:anthropic::EqQB"}
    asked = {"model": "gpt", "previous_response_id": "resp_1", "tools": [{"type": "web_search", "new": 1}]}
    reply = await gateway.client.ask(body(asked, input=[sealed, *HI]), "/v1/responses")
    assert reply.status == 200
    assert sent(upstream) == asked | {"model": "m1", "input": HI}


async def test_a_rephrased_request_that_cannot_be_served_is_told_as_such(provide: Provide, serve: Serve) -> None:
    upstream = await provide(NO_RESPONSES[0])
    gateway = await serve({"url": upstream.url})
    asked = body(RESPONSE, previous_response_id="resp_1")
    replies = [await gateway.client.ask(asked, "/v1/responses") for _ in range(2)]
    assert [reply.status for reply in replies] == [400, 400]
    assert [reply.json["error"]["code"] for reply in replies] == ["unserved"] * 2
    assert len(upstream.received) == 1


# -- faults ------------------------------------------------------------------------------------------------------------


async def test_the_words_for_a_request_that_is_too_long_are_the_clients_wherever_they_come(
    provide: Provide, serve: Serve
) -> None:
    inside = {"error": {"message": "maximum context length is 10 tokens", "code": "context_length_exceeded"}}
    upstream = await provide(Fail(status=200, body=json.dumps(inside)))
    gateway = await serve({"url": upstream.url})
    reply = await gateway.client.ask(body(MESSAGE), "/v1/messages")
    assert (reply.status, reply.json["error"]["type"]) == (400, "invalid_request_error")
    assert message(reply).startswith("prompt is too long")


async def test_many_things_that_are_dropped_are_told_in_part(provide: Provide, serve: Serve) -> None:
    upstream = await provide()
    gateway = await serve({"url": upstream.url, "type": "anthropic"})
    reply = await gateway.client.ask(body(CHAT, **{f"unknown_{n}": n for n in range(5000)}))
    told = reply.headers["x-hydrallm-dropped"]
    assert len(told) < 1100
    assert told.startswith("unknown_0, unknown_1")
    assert told.endswith(" more")


# -- counting ----------------------------------------------------------------------------------------------------------

COUNT = "/v1/messages/count_tokens"


async def test_a_model_that_can_counts_the_tokens(provide: Provide, serve: Serve) -> None:
    gpt, claude = await provide(), await provide()
    gateway = await serve({"url": gpt.url}, {"url": claude.url, "type": "anthropic"})
    reply = await gateway.client.ask(body(MESSAGE), COUNT)
    assert (reply.status, reply.headers["x-hydrallm-endpoint"]) == (200, "e2")
    assert reply.json["input_tokens"] > 0
    assert "x-hydrallm-estimated" not in reply.headers
    assert (gpt.received, paths(claude)) == ([], [COUNT])


async def test_bedrock_counts_in_its_own_words(provide: Provide, serve: Serve) -> None:
    upstream = await provide(Fail(status=200, body='{"inputTokens": 12}'))
    model = {"url": upstream.url, "type": "bedrock", "api_key": "k", "model": "eu.anthropic.claude-sonnet-4-5-v1:0"}
    gateway = await serve(model)
    reply = await gateway.client.ask(body(MESSAGE), COUNT)
    assert (reply.status, reply.json) == (200, {"input_tokens": 12})
    assert paths(upstream) == ["/model/anthropic.claude-sonnet-4-5-v1%3A0/count-tokens"]


@pytest.mark.parametrize("script", [Fail(status=404), Fail(status=503), Fail(status=200, body="{}")])
async def test_where_nobody_counts_the_answer_is_an_estimate_that_says_so(
    script: Fail, provide: Provide, serve: Serve
) -> None:
    upstream = await provide(script)
    gateway = await serve(
        {"url": upstream.url, "type": "anthropic", "attempts": 3}, {"url": upstream.url}, max_cycles=5
    )
    reply = await gateway.client.ask(body(MESSAGE), COUNT)
    assert (reply.status, reply.headers["x-hydrallm-estimated"]) == (200, "true")
    assert 1 <= reply.json["input_tokens"] <= 50
    assert len(upstream.received) == 1, "each model is asked once"
    record = await gateway.journal.ended()
    assert record.outcome == "answered"
    assert record.detail.startswith("estimated: every model failed (1 attempt): e1/m1 ")
    await gateway.client.ask(body(MESSAGE), COUNT)
    assert len(upstream.received) == (1 if script.status == 404 else 2), "what is not there is asked for once"


async def test_what_is_no_message_is_not_estimated(provide: Provide, serve: Serve) -> None:
    upstream = await provide(Fail(status=400, message="messages: expected an array"))
    gateway = await serve({"url": upstream.url, "type": "anthropic"})
    reply = await gateway.client.ask(body(MESSAGE, messages="hi"), COUNT)
    assert (reply.status, message(reply)) == (400, "messages: expected an array")


# -- relays ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("models", "target", "headers", "shown"),
    [
        (["openai"], "/v1/files", {"anthropic-version": "2023-06-01", "x-api-key": "mine"}, False),
        (["openai"], "/v1/messages/batches", {"x-api-key": "mine"}, False),
        (["openai"], "/v1/files", {"Authorization": "Bearer mine"}, True),
        (["anthropic"], "/v1/whatever", {"x-api-key": "mine"}, True),
        (["anthropic", "openai"], "/v1/messages/batches", {"x-api-key": "mine"}, True),
        (["anthropic", "bedrock"], "/v1/files", {"Authorization": "Bearer mine"}, False),
        (["openai", "anthropic"], "/model/x/count-tokens", {"Authorization": "AWS4-HMAC-SHA256 mine"}, False),
    ],
)
async def test_a_relayed_key_goes_to_its_own_kind_of_provider_only(
    models: list[str], target: str, headers: dict[str, str], shown: bool, provide: Provide, serve: Serve
) -> None:
    upstream = await provide()
    gateway = await serve(*[{"url": upstream.url, "type": kind} for kind in models])
    await gateway.client.ask(b"{}", target, headers=headers)
    (received,) = upstream.received
    assert (b"mine" in b" ".join(dict(received.headers).values())) == shown


async def test_nor_does_that_of_a_request_that_names_a_model_of_another_kind(provide: Provide, serve: Serve) -> None:
    upstream = await provide()
    gateway = await serve({"url": upstream.url}, {"url": upstream.url, "type": "anthropic"})
    headers = {"Authorization": "Bearer mine", "Content-Type": "application/json"}
    for name in ("only/e2/m2", "only/e1/m1"):
        await gateway.client.ask(body({"model": name, "input": "hi"}), "/v1/embeddings", headers=headers)
    assert [b"authorization" in dict(received.headers) for received in upstream.received] == [False, True]
