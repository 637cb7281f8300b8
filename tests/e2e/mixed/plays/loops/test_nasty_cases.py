"""The nasty cases that concern an exchange, with translation in it, one by one; the others are in ``tests/formats``.

The model speaks one format, the client another; the fallback, where there is one, speaks the client's.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from tests.e2e.conftest import Client
from tests.e2e.mixed.conftest import FORMATS, Said
from tests.e2e.mixed.plays.conftest import MODELS, Play, Stage
from tests.e2e.mixed.plays.loops.conftest import PROGRAMS, RAISED, Program

from hydrallm.faults.script import Cut, Fail, Hang, Stall, StreamError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.mixed.plays.loops.conftest import Connect

    Make = Callable[..., Program]

pytestmark = pytest.mark.asyncio(loop_scope="session")

Json = dict[str, Any]

PAIRS = [(client, model) for client, model in itertools.product(PROGRAMS, FORMATS) if client != model]
AND_BACK = [("messages", "chat"), ("chat", "messages")]
EVERY = pytest.mark.parametrize(("client", "model"), PAIRS)
BOTH = pytest.mark.parametrize(("client", "model"), AND_BACK)
TERMINALS = (b"[DONE]", b'"finish_reason":"', b"message_stop", b"response.completed", b"messageStop")
PROMPT: list[Any] = [{"role": "user", "content": "hi"}]
PACE: Json = {"text": "word1 word2", "pause": 0.05}
"""How a model speaks whose words the gateway is to have passed on before something happens."""


@pytest_asyncio.fixture(loop_scope="session")
async def program(stage: Stage, connect: Connect) -> Make:
    """Makes programs that ask a chain."""
    sdks = {name: await connect(name, stage.gateway.url) for name in PROGRAMS}

    def make(client: str, chain: str, *, stream: bool = True) -> Program:
        play = Play(1, thinks=False, long_names=False)
        return PROGRAMS[client](play, sdks[client], chain, stream=stream)

    return make


async def raw(stage: Stage, client: str, model: str, **members: Any) -> tuple[int, Json, bytes]:  # noqa: ANN401 - JSON
    """Ask a chain as an SDK would; return the status, the headers and the body as they stand on the wire."""
    questions: dict[str, tuple[str, Json]] = {
        "messages": ("/v1/messages", {"max_tokens": 99, "messages": PROMPT}),
        "chat": ("/v1/chat/completions", {"messages": PROMPT}),
        "responses": ("/v1/responses", {"input": "hi"}),
    }
    path, fields = questions[client]
    async with await Client.connect(stage.gateway.port) as connection:
        reply = await connection.ask(json.dumps({"model": model, **fields, **members}).encode(), path)
    return reply.status, reply.headers, reply.body


@EVERY
async def test_case_1_an_error_before_any_content_leads_on_unseen(
    client: str, model: str, stage: Stage, program: Make
) -> None:
    stage.play({model: lambda speech: speech.failing(speech.lead)}, Said("Here I am."))
    assert await program(client, f"{model}-{client}").ask() == ("Here I am.", [])
    assert stage.asked == [model, client]


@EVERY
async def test_case_2_an_error_after_content_is_raised_and_nobody_else_is_asked(
    client: str, model: str, stage: Stage, program: Make
) -> None:
    stage.provider.play(StreamError(events="content", cause="overloaded", **PACE))
    with pytest.raises(RAISED):
        await program(client, f"{model}-{client}").ask()
    assert stage.asked == [model]


@BOTH
async def test_case_2_nothing_says_that_the_answer_is_complete(client: str, model: str, stage: Stage) -> None:
    stage.provider.play(StreamError(events="content", cause="overloaded", **PACE))
    status, _, body = await raw(stage, client, f"{model}-{client}", stream=True)
    assert (status, stage.asked) == (200, [model])
    assert b"word1" in body
    assert not any(terminal in body for terminal in TERMINALS)


@EVERY
async def test_case_3_an_end_without_the_terminal_event_is_a_failure(
    client: str, model: str, stage: Stage, program: Make
) -> None:
    stage.play({model: lambda speech: speech.cut(speech.lead, clean=True)}, Said("Here I am."))
    assert await program(client, f"{model}-{client}").ask() == ("Here I am.", [])
    assert stage.asked == [model, client]
    stage.provider.play(Cut(at="after_events", events="closing", how="clean", **PACE))
    with pytest.raises(RAISED):
        await program(client, f"{model}-{client}").ask()
    assert stage.asked == [model, client, model]


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@EVERY
async def test_case_5_a_tool_without_arguments_gets_an_empty_object(
    client: str, model: str, stream: bool, stage: Stage, program: Make
) -> None:
    stage.play({}, Said(calls=[("call_1", "now", "")]))
    asking = program(client, f"only/{model}", stream=stream)
    assert await asking.ask() == ("", [("call_1", "now", {})])
    if client == "chat":
        assert asking.history[-1]["tool_calls"][0]["function"]["arguments"] == "{}"
    if client == "responses":
        assert asking.history[-1]["arguments"] == "{}"


CUT = Said(calls=[("call_1", "search", '{"query": "Os')], stop="max_tokens")


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
async def test_case_6_a_call_of_chat_s_that_the_limit_cut_is_delivered(stream: bool, stage: Stage) -> None:
    stage.play({}, CUT)
    status, _, body = await raw(stage, "messages", "chat-messages", stream=stream)
    assert (status, stage.asked) == (200, ["chat"])
    assert b'"stop_reason":"max_tokens"' in body
    assert b"Os" in body


async def test_case_6_a_call_of_claude_s_that_the_limit_cut_is_delivered(stage: Stage) -> None:
    stage.play({}, CUT)
    status, _, body = await raw(stage, "chat", "messages-chat", stream=True)
    assert (status, stage.asked) == (200, ["messages"])
    chunks = [json.loads(line.removeprefix(b"data: ")) for line in body.split(b"\n\n")[:-2]]
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    assert [choice["finish_reason"] for choice in choices if choice["finish_reason"]] == ["length"]
    calls = [call for choice in choices for call in choice["delta"].get("tool_calls") or ()]
    assert "".join(call["function"].get("arguments", "") for call in calls) == '{"query": "Os'


SIGNED: list[Json] = [
    {"type": "thinking", "thinking": "", "signature": "EqQBsigned"},
    {"type": "redacted_thinking", "data": "EqQBredacted"},
    {"type": "text", "text": "Hello."},
]
THOUGHTFUL = [*PROMPT, {"role": "assistant", "content": SIGNED}, {"role": "user", "content": "and?"}]


async def test_case_8_thoughts_that_only_their_maker_reads_are_taken_from_a_copy(stage: Stage) -> None:
    stage.play({"chat": lambda speech: speech.cut(0)}, Said("Here I am."))
    status, _, _ = await raw(stage, "messages", "chat-messages", messages=THOUGHTFUL)
    assert (status, stage.asked) == (200, ["chat", "messages"])
    to_chat, to_claude = stage.provider.received
    assert b"EqQB" not in to_chat.body
    assert json.loads(to_claude.body)["messages"] == THOUGHTFUL
    stage.play({}, Said("Here I am."))
    _, headers, _ = await raw(stage, "messages", "only/chat", messages=THOUGHTFUL)
    assert headers["x-hydrallm-dropped"] == "thinking"
    _, headers, _ = await raw(stage, "messages", "only/invoke", messages=THOUGHTFUL)
    assert "x-hydrallm-dropped" not in headers
    assert json.loads(stage.provider.received[-1].body)["messages"][1]["content"] == SIGNED


async def test_case_8_a_thought_of_another_maker_s_comes_back_to_it_alone(stage: Stage) -> None:
    stage.play({}, Said("Hello.", thought="hm", signature="gAAAencrypted"))
    _, _, body = await raw(stage, "messages", "only/responses", thinking={"type": "enabled", "budget_tokens": 1024})
    turn = {"role": "assistant", "content": json.loads(body)["content"]}
    assert turn["content"][0]["thinking"] == "hm"
    history = [*PROMPT, turn, {"role": "user", "content": "and?"}]
    for model in FORMATS:
        await raw(stage, "messages", f"only/{model}", messages=history)
    sent = dict(zip(FORMATS, [received.body for received in stage.provider.received[1:]], strict=True))
    assert {model for model, body in sent.items() if b"gAAAencrypted" in body} == {"responses"}
    assert all(b"hydrallm" not in body for body in sent.values())


IMAGE = {"type": "image_url", "image_url": {"url": "https://images.example/a.png"}}
UNSERVED: list[tuple[str, str, Json, str]] = [
    ("messages", "chat", {"stop_sequences": ["a", "b", "c", "d", "e"]}, "stop"),
    ("chat", "messages", {"n": 2}, "n"),
    ("chat", "messages", {"logprobs": True}, "logprobs"),
    ("chat", "converse", {"messages": [{"role": "user", "content": [IMAGE]}]}, "URL"),
    ("responses", "chat", {"previous_response_id": "resp_1"}, "previous_response_id"),
]


@pytest.mark.parametrize(("client", "model", "members", "word"), UNSERVED, ids=[case[3] for case in UNSERVED])
async def test_case_12_a_model_that_cannot_be_told_is_not_asked(
    client: str, model: str, members: Json, word: str, stage: Stage
) -> None:
    stage.play({}, Said("Here I am."))
    status, _, _ = await raw(stage, client, f"{model}-{client}", **members)
    assert (status, stage.asked) == (200, [client])
    status, _, body = await raw(stage, client, f"only/{model}", **members)
    assert (status, stage.asked) == (400, [client])
    message = json.loads(body)["error"]["message"]
    assert MODELS[model]["model"] in message
    assert word in message


@pytest.mark.parametrize(("client", "model"), [pair for pair in PAIRS if pair[0] != "converse"])
async def test_case_15_a_client_that_leaves_stops_the_model(
    client: str, model: str, stage: Stage, program: Make
) -> None:
    stage.provider.play(Stall(events="content"))
    asking = asyncio.ensure_future(program(client, f"{model}-{client}").ask())
    received = await stage.provider.wait_received()
    asking.cancel()
    async with asyncio.timeout(5):
        await received.wait_closed()
    assert stage.asked == [model]


@BOTH
async def test_case_15_a_wait_that_is_too_long_leads_on(client: str, model: str, stage: Stage) -> None:
    busy = Fail(cause="rate_limited", headers={"retry-after": "3600"})
    stage.play({model: lambda _: busy}, Said("Here I am."))
    status, _, _ = await raw(stage, client, f"{model}-{client}")
    assert (status, stage.asked) == (200, [model, client])
    sooner = Fail(cause="rate_limited", headers={"retry-after": "60"})
    stage.play({model: lambda _: busy, client: lambda _: sooner}, Said())
    status, headers, body = await raw(stage, client, f"{model}-{client}")
    assert (status, headers["retry-after"]) == (429, "60")
    assert json.loads(body)["error"]["type"] == {"messages": "rate_limit_error", "chat": "tokens"}[client]


@BOTH
async def test_case_15_a_silent_model_is_given_up_before_it_has_spoken(client: str, model: str, stage: Stage) -> None:
    stage.play({model: lambda _: Hang()}, Said("Here I am."))
    status, _, body = await raw(stage, client, f"slow-{model}-{client}", stream=True)
    assert (status, stage.asked) == (200, [model, client])
    assert body.count(b"Here I am.") == 1
