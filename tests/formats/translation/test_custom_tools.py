"""A tool for free text, such as Codex's ``apply_patch``, at every model: its clients do not see the difference."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from hydrallm.formats.canonical import Target, ToolUse
from hydrallm.formats.canonical_answer import (
    Added,
    Answer,
    Ended,
    PartEnded,
    PartStarted,
    Started,
    Stop,
    Stopped,
    Usage,
    Used,
)
from hydrallm.formats.codec import Asked
from hydrallm.formats.facts import Facts

if TYPE_CHECKING:
    from hydrallm.formats.canonical_answer import Event
    from hydrallm.formats.codec import Codec

Codecs = dict[str, "Codec"]
Seen = Callable[..., dict[str, Any]]
Legal = Callable[[str, bytes], dict[str, Any]]

FORMATS = ("chat", "responses", "messages", "invoke", "converse")
TARGET = Target("us.anthropic.claude-sonnet-4-5-20250929-v1:0", Facts())
NAME = "apply.patch"  # no API takes the dot
PATCH = '*** Begin Patch\n*** Add File: a.py\n+print("é")\n*** End Patch\n'
GRAMMAR = {"syntax": "lark", "definition": "start: begin_patch hunk+ end_patch"}
REQUESTS: dict[str, dict[str, Any]] = {
    "chat": {
        "model": "m",
        "messages": [
            {"role": "user", "content": "hi"},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c0", "type": "custom", "custom": {"name": NAME, "input": PATCH}}],
            },
            {"role": "tool", "tool_call_id": "c0", "content": "done"},
        ],
        "tools": [{"type": "custom", "custom": {"name": NAME, "format": {"type": "grammar", "grammar": GRAMMAR}}}],
    },
    "responses": {
        "model": "m",
        "input": [
            {"role": "user", "content": "hi"},
            {"type": "custom_tool_call", "call_id": "c0", "name": NAME, "input": PATCH},
            {"type": "custom_tool_call_output", "call_id": "c0", "output": "done"},
        ],
        "tools": [{"type": "custom", "name": NAME, "format": {"type": "grammar", **GRAMMAR}}],
    },
}
NATIVE = {("chat", "chat"), ("chat", "responses"), ("responses", "responses")}
FORMAT = {"chat": "tools.custom.format", "responses": "tools.format"}


@pytest.mark.parametrize("model", FORMATS)
@pytest.mark.parametrize("client", REQUESTS)
def test_its_calls_come_back_as_such(client: str, model: str, codecs: Codecs, legal: Legal, seen: Seen) -> None:
    body = json.dumps(REQUESTS[client]).encode()
    request = codecs[client].read_request(body, model="m", stream=False)
    composed = codecs[model].compose(request, TARGET)
    legal(model, composed.body)
    assert composed.dropped == (() if (client, model) in NATIVE else (FORMAT[client],))
    sent = codecs[model].read_request(composed.body, model="m", stream=False)
    (tool,) = sent.tools
    (call,) = [part for message in sent.messages for part in message.parts if isinstance(part, ToolUse)]
    assert (tool.custom, call.name) == (not composed.custom, tool.name)
    assert composed.custom == (() if (client, model) in NATIVE else (tool.name,))
    # The model calls it once more, with the arguments that it has seen.
    answer = Answer("a", "up", (once_more(call),), Stop.TOOL_USE, usage=Usage(1, output=1))
    upstream = Asked("m", "0123456789abcdef", 0)
    asked = Asked("m", "0123456789abcdef", 0, names=composed.names, ids=composed.ids, custom=composed.custom)
    whole = codecs[model].read_answer(codecs[model].write_answer(answer, upstream))
    view = seen(client, codecs[client].write_answer(whole, asked), streamed=False)
    assert view["parts"] == [["custom", "c1", NAME, PATCH]]
    half = len(call.arguments) // 2
    events: list[Event] = [Started("a", "up"), PartStarted(0, ToolUse("c1", call.name, "", call.custom))]
    events += [Added(0, call.arguments[:half]), Added(0, call.arguments[half:]), PartEnded(0)]
    stream = codecs[model].writer(upstream).feed([*events, Used(answer.usage), Stopped(Stop.TOOL_USE), Ended()])
    again = codecs[client].writer(asked).feed(codecs[model].reader().feed(stream))
    assert seen(client, again, streamed=True)["parts"] == [["custom", "c1", NAME, PATCH]]


def once_more(call: ToolUse) -> ToolUse:
    return ToolUse("c1", call.name, call.arguments, call.custom)
