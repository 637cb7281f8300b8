"""Every format's answers, plain and streamed, for every format's clients: what a client's SDK understands is the same.

``answers.json`` has the same answers in the words of every format, as its API gives them. The streams are made of them
here, piece by piece and with calls side by side where the API allows it; the SDKs must understand them as they
understand the whole answers, before anything is translated.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hydrallm.faults import eventstream
from hydrallm.formats.codec import Asked, Codec

if TYPE_CHECKING:
    from collections.abc import Iterator

Seen = Callable[..., dict[str, Any]]

FORMATS = ("chat", "responses", "messages", "invoke", "converse")
ANSWERS: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_name("answers.json").read_text("utf-8"))
SCENES = tuple(ANSWERS)
ASKED = Asked("m", "0123456789abcdef", 1_790_000_000)

STOPS: dict[str, dict[str, str]] = {
    "end": {"chat": "stop", "responses": "completed", "messages": "end_turn", "converse": "end_turn"},
    "tools": {"chat": "tool_calls", "responses": "completed", "messages": "tool_use", "converse": "tool_use"},
    "length": {
        "chat": "length",
        "responses": "max_output_tokens",
        "messages": "max_tokens",
        "converse": "max_tokens",
    },
    "refusal": {
        "chat": "content_filter",
        "responses": "content_filter",
        "messages": "refusal",
        "converse": "content_filtered",
    },
}
"""Why an answer ended, in the words of every format; InvokeModel has those of Messages."""

TEXT, WEATHER = ["text", "Let me see."], ["call", "call_1", "weather", {"city": "Oslo"}]
THOUGHT = ["thought", "Rain, probably."]
EXPECTED: dict[str, tuple[list[Any], str, list[int]]] = {
    "text": ([["text", "It rains in Oslo."]], "end", [10, 0, 0, 5]),
    "one tool": ([TEXT, WEATHER], "tools", [10, 0, 0, 5]),
    "two tools": (
        [WEATHER, ["call", "call_2", "time", {"city": "Rome", "at": [1, 2]}]],
        "tools",
        [10, 0, 0, 5],
    ),
    "a tool without arguments": ([["call", "call_1", "now", {}]], "tools", [10, 0, 0, 5]),
    "structured output": ([["text", '{"city": "Oslo"}']], "end", [10, 0, 0, 5]),
    "thinking": ([THOUGHT, ["text", "It rains."]], "end", [10, 0, 0, 5]),
    "thinking and a tool": ([THOUGHT, WEATHER], "tools", [10, 0, 0, 5]),
    "cached usage": ([["text", "It rains."]], "end", [7, 60, 30, 5]),
    "refusal": ([["text", "I cannot"]], "refusal", [10, 0, 0, 5]),
    "length": ([["text", "It rains and"]], "length", [10, 0, 0, 5]),
}
"""What every client understands: the parts, why the answer ended, and the tokens (see the fixture ``seen``)."""


def expected(scene: str, client: str) -> dict[str, Any]:
    parts, stop, usage = EXPECTED[scene]
    return {"parts": parts, "stop": STOPS[stop]["messages" if client == "invoke" else client], "usage": usage}


# ---- the streams of the APIs


def halves(text: str) -> tuple[str, str]:
    return text[: len(text) // 2], text[len(text) // 2 :]


def sse(event: dict[str, Any], *, named: bool = False) -> bytes:
    name = b"event: %b\n" % event["type"].encode() if named else b""
    return name + b"data: " + json.dumps(event).encode() + b"\n\n"


def chat_stream(answer: dict[str, Any]) -> Iterator[bytes]:
    """Calls are told side by side, and the usage after the end."""
    (choice,) = answer["choices"]
    said = choice["message"]
    frame = {name: answer[name] for name in ("id", "created", "model")} | {"object": "chat.completion.chunk"}

    def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
        return sse({**frame, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})

    yield chunk({"role": "assistant", "content": ""})
    for name in ("reasoning_content", "content"):
        if text := said.get(name):
            yield from (chunk({name: half}) for half in halves(text))
    calls = list(enumerate(said.get("tool_calls", [])))
    for index, call in calls:
        yield chunk({"tool_calls": [{"index": index, **call, "function": {**call["function"], "arguments": ""}}]})
    for half in (0, 1):
        for index, call in calls:
            piece = halves(call["function"]["arguments"])[half]
            yield chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    yield chunk({}, choice["finish_reason"])
    yield sse({**frame, "choices": [], "usage": answer["usage"]})
    yield b"data: [DONE]\n\n"


def item_events(index: int, item: dict[str, Any]) -> Iterator[dict[str, Any]]:
    at = {"item_id": item["id"], "output_index": index}
    hollow: dict[str, dict[str, Any]] = {
        "message": {"content": []},
        "reasoning": {"summary": []},
        "function_call": {"arguments": ""},
    }
    yield {"type": "response.output_item.added", "output_index": index, "item": item | hollow[item["type"]]}
    match item["type"]:
        case "message":
            (part,) = item["content"]
            spot = at | {"content_index": 0}
            yield {"type": "response.content_part.added", **spot, "part": part | {"text": ""}}
            for half in halves(part["text"]):
                yield {"type": "response.output_text.delta", **spot, "delta": half, "logprobs": []}
            yield {"type": "response.output_text.done", **spot, "text": part["text"], "logprobs": []}
            yield {"type": "response.content_part.done", **spot, "part": part}
        case "reasoning":
            (part,) = item["summary"]
            spot = at | {"summary_index": 0}
            yield {"type": "response.reasoning_summary_part.added", **spot, "part": part | {"text": ""}}
            for half in halves(part["text"]):
                yield {"type": "response.reasoning_summary_text.delta", **spot, "delta": half}
            yield {"type": "response.reasoning_summary_text.done", **spot, "text": part["text"]}
            yield {"type": "response.reasoning_summary_part.done", **spot, "part": part}
        case _:
            for half in halves(item["arguments"]):
                yield {"type": "response.function_call_arguments.delta", **at, "delta": half}
            yield {
                "type": "response.function_call_arguments.done",
                **at,
                "name": item["name"],
                "arguments": item["arguments"],
            }
    yield {"type": "response.output_item.done", "output_index": index, "item": item}


def responses_stream(answer: dict[str, Any]) -> Iterator[bytes]:
    begun = answer | {"status": "in_progress", "output": [], "usage": None, "incomplete_details": None}
    events = [{"type": "response.created", "response": begun}, {"type": "response.in_progress", "response": begun}]
    for index, item in enumerate(answer["output"]):
        events += item_events(index, item)
    events.append({"type": f"response.{answer['status']}", "response": answer})
    for number, event in enumerate(events):
        yield sse({**event, "sequence_number": number}, named=True)


def message_events(answer: dict[str, Any]) -> Iterator[dict[str, Any]]:
    usage = answer["usage"] | {"output_tokens": 1}
    begun = answer | {"content": [], "stop_reason": None, "usage": usage}
    yield {"type": "message_start", "message": begun}
    yield {"type": "ping"}
    hollow: dict[str, dict[str, Any]] = {
        "text": {"text": ""},
        "thinking": {"thinking": "", "signature": ""},
        "tool_use": {"input": {}},
    }
    for index, block in enumerate(answer["content"]):
        kind = block["type"]
        yield {"type": "content_block_start", "index": index, "content_block": block | hollow[kind]}
        told = json.dumps(block["input"]) if kind == "tool_use" else block[kind]
        member, name = {
            "text": ("text_delta", "text"),
            "thinking": ("thinking_delta", "thinking"),
            "tool_use": ("input_json_delta", "partial_json"),
        }[kind]
        for half in ("", "") if told == "{}" else halves(told):
            yield {"type": "content_block_delta", "index": index, "delta": {"type": member, name: half}}
        if kind == "thinking":
            signed = {"type": "signature_delta", "signature": block["signature"]}
            yield {"type": "content_block_delta", "index": index, "delta": signed}
        yield {"type": "content_block_stop", "index": index}
    stop = {"stop_reason": answer["stop_reason"], "stop_sequence": None}
    yield {"type": "message_delta", "delta": stop, "usage": {"output_tokens": answer["usage"]["output_tokens"]}}
    yield {"type": "message_stop"}


def invoke_stream(answer: dict[str, Any]) -> Iterator[bytes]:
    for event in message_events(answer):
        inner = base64.b64encode(json.dumps(event).encode()).decode()
        yield eventstream.event("chunk", json.dumps({"bytes": inner}).encode())


def converse_events(answer: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "messageStart", {"role": "assistant"}
    for index, block in enumerate(answer["output"]["message"]["content"]):
        at = {"contentBlockIndex": index}
        ((kind, said),) = block.items()
        deltas: list[dict[str, Any]]
        match kind:
            case "text":
                deltas = [{"text": half} for half in halves(said)]
            case "toolUse":
                yield "contentBlockStart", at | {"start": {kind: {k: said[k] for k in ("toolUseId", "name")}}}
                told = json.dumps(said["input"]) if said["input"] else ""
                deltas = [{kind: {"input": half}} for half in halves(told)]
            case _:
                thought = said["reasoningText"]
                deltas = [{kind: {"text": half}} for half in halves(thought["text"])]
                deltas.append({kind: {"signature": thought["signature"]}})
        for delta in deltas:
            yield "contentBlockDelta", at | {"delta": delta}
        yield "contentBlockStop", at
    yield "messageStop", {"stopReason": answer["stopReason"]}
    yield "metadata", {"usage": answer["usage"], "metrics": answer["metrics"]}


STREAMS: dict[str, Callable[[dict[str, Any]], list[bytes]]] = {
    "chat": lambda answer: list(chat_stream(answer)),
    "responses": lambda answer: list(responses_stream(answer)),
    "messages": lambda answer: [sse(event, named=True) for event in message_events(answer)],
    "invoke": lambda answer: list(invoke_stream(answer)),
    "converse": lambda answer: [
        eventstream.event(kind, json.dumps(said).encode()) for kind, said in converse_events(answer)
    ],
}


# ---- the matrix


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("model", FORMATS)
def test_the_sdk_of_an_api_understands_its_answer_as_it_is(model: str, scene: str, seen: Seen) -> None:
    answer = ANSWERS[scene][model]
    assert seen(model, json.dumps(answer).encode(), streamed=False) == expected(scene, model)
    assert seen(model, b"".join(STREAMS[model](answer)), streamed=True) == expected(scene, model)


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("model", FORMATS)
@pytest.mark.parametrize("client", FORMATS)
def test_an_answer(client: str, model: str, scene: str, codecs: dict[str, Codec], seen: Seen) -> None:
    answer = codecs[model].read_answer(json.dumps(ANSWERS[scene][model]).encode())
    assert seen(client, codecs[client].write_answer(answer, ASKED), streamed=False) == expected(scene, client)


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("model", FORMATS)
@pytest.mark.parametrize("client", FORMATS)
def test_a_stream(client: str, model: str, scene: str, codecs: dict[str, Codec], seen: Seen) -> None:
    reader, writer = codecs[model].reader(), codecs[client].writer(ASKED)
    stream = b"".join(writer.feed(reader.feed(chunk)) for chunk in STREAMS[model](ANSWERS[scene][model]))
    assert seen(client, stream, streamed=True) == expected(scene, client)


WORDS: tuple[tuple[str, str, dict[str, str]], ...] = (
    ("messages", "stop_sequence", {**STOPS["end"], "messages": "stop_sequence", "converse": "stop_sequence"}),
    ("converse", "stop_sequence", {**STOPS["end"], "messages": "stop_sequence", "converse": "stop_sequence"}),
    ("messages", "pause_turn", {**STOPS["end"], "messages": "pause_turn"}),
    (
        "messages",
        "model_context_window_exceeded",
        dict.fromkeys(("messages", "converse"), "model_context_window_exceeded")
        | {"chat": "length", "responses": "max_output_tokens"},
    ),
    (
        "converse",
        "model_context_window_exceeded",
        dict.fromkeys(("messages", "converse"), "model_context_window_exceeded")
        | {"chat": "length", "responses": "max_output_tokens"},
    ),
    ("converse", "guardrail_intervened", STOPS["refusal"]),
)
"""Other reasons to stop: a model's word, and the word of every client's format."""


def stopped(model: str, word: str) -> dict[str, Any]:
    """Return a text that ended for the reason that is ``word``."""
    member = {"messages": "stop_reason", "converse": "stopReason"}[model]
    return {**ANSWERS["text"][model], member: word}


@pytest.mark.parametrize(("model", "word", "words"), WORDS)
@pytest.mark.parametrize("client", FORMATS)
def test_why_it_stopped(
    client: str, model: str, word: str, words: dict[str, str], codecs: dict[str, Codec], seen: Seen
) -> None:
    wanted = words["messages" if client == "invoke" else client]
    answer = codecs[model].read_answer(json.dumps(stopped(model, word)).encode())
    assert seen(client, codecs[client].write_answer(answer, ASKED), streamed=False)["stop"] == wanted
    reader, writer = codecs[model].reader(), codecs[client].writer(ASKED)
    stream = b"".join(writer.feed(reader.feed(chunk)) for chunk in STREAMS[model](stopped(model, word)))
    assert seen(client, stream, streamed=True)["stop"] == wanted
