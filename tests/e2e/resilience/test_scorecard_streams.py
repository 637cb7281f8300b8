"""What a client sees on the wire when a stream fails after its first content: scorecard rows 10 and 18."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from botocore.eventstream import EventStreamBuffer
from tests.e2e.conftest import by_type

from hydrallm.faults import answers, streams
from hydrallm.faults.provider import Provider, Received
from hydrallm.faults.script import Cut, Reply, Stall, StreamError, numbered

if TYPE_CHECKING:
    from tests.conftest import Scorecard
    from tests.e2e.conftest import Connect, Running
    from tests.e2e.resilience.conftest import Question

pytestmark = pytest.mark.asyncio(loop_scope="session")

TEXT = numbered(8)
FORMATS = ("chat", "completions", "responses", "messages", "invoke", "converse")
IDLE = 1.0

DELTAS = {
    "chat": r'"delta":\{"content":"(word\d+) ?"',
    "completions": r'"text":"(word\d+) ?"',
    "responses": r'"delta":"(word\d+) ?"',
    "messages": r'"text_delta","text":"(word\d+) ?"',
    "invoke": r'"text_delta","text":"(word\d+) ?"',
    "converse": r'"delta":\{"text":"(word\d+) ?"',
}
COMPLETE = {
    "chat": r'\[DONE\]|"finish_reason":"',
    "completions": r'\[DONE\]|"finish_reason":"',
    "responses": r"response\.completed|response\.incomplete",
    "messages": r"message_stop",
    "invoke": r"message_stop",
    "converse": r"messageStop",
}
"""What would make the answer look complete."""
ERROR = {
    "chat": r'data: \{"error":\{.*"message":"',
    "completions": r'data: \{"error":\{.*"message":"',
    "responses": r'event: error\ndata: .*"type":"error".*"message":"',
    "messages": r'event: error\ndata: \{"type":"error","error":\{.*"message":"',
    "invoke": r'exception [a-zA-Z]+Exception \{"message":"',
    "converse": r'exception [a-zA-Z]+Exception \{"message":"',
}


def legible(name: str, body: bytes) -> str:
    """Return a stream as text; AWS frames as botocore reads them, their checksums proven."""
    if name not in {"invoke", "converse"}:
        return body.decode()
    buffer = EventStreamBuffer()
    buffer.add_data(body)
    lines = []
    for message in buffer:
        payload: Any = json.loads(message.payload)
        if name == "invoke" and "bytes" in payload:
            payload = json.loads(base64.b64decode(payload["bytes"]))
        kind = message.headers.get(":exception-type") or message.headers[":event-type"]
        lines.append(f"{message.headers[':message-type']} {kind} {json.dumps(payload, separators=(',', ':'))}")
    return "\n".join(lines)


def complaint(name: str, body: bytes, words: int | None, *, complete: bool) -> str:
    """Return what is wrong with a stream that was to fail after ``words`` words; empty if nothing is."""
    text = legible(name, body)
    said = re.findall(DELTAS[name], text)
    checks = (
        (not complete, "HTTP says that it is complete"),
        (not re.search(COMPLETE[name], text), "it looks complete to the format"),
        (len(re.findall(ERROR[name], text)) == 1, "it has not one error event"),
        (re.search(ERROR[name] + r".*\s*\Z", text), "the error event is not the last"),
        (said == TEXT.split()[: len(said)], "words are doubled, missing or out of order"),
        (words is None or len(said) == words, f"{len(said)} words came, and {words} were sent"),
    )
    return next((f"{name}: {why}\n{text}" for holds, why in checks if not holds), "")


class Break(NamedTuple):
    """A stream that breaks after ``events`` events."""

    name: str
    events: int
    words: int
    reply: Reply


def breaks(name: str, asked: Question) -> list[Break]:
    """Return a stream's breaks: at every event boundary after the first content, and inside every event after it."""
    question = answers.question("POST", asked.path, {}, asked.body(), 1)
    parts = streams.outline(question, TEXT)
    found = []
    for events in range(parts.preamble + 1, parts.preamble + parts.content + parts.closing + 1):
        words = min(events - parts.preamble, parts.content)
        found += [
            Break(name, events, words, reply)
            for reply in (
                Cut(at="after_events", events=events, text=TEXT, pause=0.02),
                Cut(at="after_events", events=events, how="clean", text=TEXT, pause=0.02),
                Cut(at="inside_event", events=events, text=TEXT, pause=0.02),
                Cut(at="inside_event", events=events, how="clean", text=TEXT, pause=0.02),
                StreamError(events=events, cause="overloaded", text=TEXT, pause=0.02),
            )
        ]
    return found


def config(url: str, **retry: str | int) -> dict[str, Any]:
    """Return a config with one model for each API type."""
    aws = {"aws_region": "eu-central-1", "aws_access_key_id": "AKID", "aws_secret_access_key": "secret"}
    models = [
        {"endpoint": "openai", "type": "openai", "model": "gpt"},
        {"endpoint": "anthropic", "type": "anthropic", "model": "claude"},
        {"endpoint": "bedrock", "type": "bedrock", "model": "anthropic.claude-v1:0"},
    ]
    return {
        "retry": retry,
        "endpoints": {
            "openai": {"url": f"{url}/v1", "api_key": "k"},
            "anthropic": {"url": url, "api_key": "k"},
            "bedrock": {"url": url, **aws},
        },
        "models": models,
        "chains": by_type(models),
    }


async def test_a_stream_that_breaks_after_content_never_looks_complete(
    streamed: dict[str, Question], running: Running, connect: Connect, scorecard: Scorecard
) -> None:
    todo = [each for name in FORMATS for each in breaks(name, streamed[name])]

    def script(received: Received) -> Reply:
        number: int = json.loads(received.body)["break"]
        return todo[number].reply

    async def run(port: int, number: int) -> str:
        each = todo[number]
        question = streamed[each.name]
        while True:
            async with await connect(port) as client:
                reply = await client.ask(question.body(**{"break": number}), question.path)
            if reply.status == 200:  # else a busy machine read the break together with the first content
                break
        wrong = complaint(each.name, reply.body, each.words, complete=reply.complete)
        return wrong and f"{each}: {wrong}"

    async with Provider(script) as provider, running(config(provider.url, max_cycles=1)) as gateway:
        found = await asyncio.wait_for(asyncio.gather(*(run(gateway.port, n) for n in range(len(todo)))), 50)
    wrong = [why for why in found if why]
    print(*wrong, sep="\n\n")
    figure = f"{len(todo) - len(wrong)} of {len(todo)} breaks"
    scorecard(10, "cut after content, at and inside every event: one error event", figure, "100 %", not wrong)


async def test_a_stream_that_falls_silent_is_ended_at_the_idle_timeout(
    streamed: dict[str, Question], running: Running, connect: Connect, scorecard: Scorecard
) -> None:
    loop = asyncio.get_running_loop()

    def script(received: Received) -> Reply:
        question = answers.question("POST", received.path, {}, received.body, 1)
        return Stall(events=streams.outline(question, TEXT).preamble + 3, text=TEXT)

    async def run(port: int, name: str) -> float:
        body, silent_since = b"", 0.0
        async with await connect(port) as client:
            client.send(streamed[name].body(), streamed[name].path)
            status, _ = await client.head()
            complete = True
            try:
                async for chunk in client.chunks():
                    body += chunk
                    if len(re.findall(DELTAS[name], legible(name, body))) == 3 and not silent_since:
                        silent_since = loop.time()
            except (asyncio.IncompleteReadError, ConnectionResetError):
                complete = False
        waited = loop.time() - silent_since
        assert status == 200
        assert not (why := complaint(name, body, 3, complete=complete)), why
        return waited

    async with (
        Provider(script) as provider,
        running(config(provider.url, max_cycles=1, idle_timeout=f"{IDLE:g}s")) as gateway,
    ):
        waits = await asyncio.wait_for(asyncio.gather(*(run(gateway.port, name) for name in FORMATS)), 20)
    figure = f"error after {min(waits):.2f} to {max(waits):.2f} s"
    title = f"stall after 3 chunks, idle_timeout {IDLE:g} s, six formats"
    scorecard(
        18, title, figure, "at the limit, 1 s late at most", all(IDLE - 0.05 <= wait <= IDLE + 1 for wait in waits)
    )
