"""Tools for free text are functions on the way to a model, and themselves again on the way back."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrallm.formats.assembly import assemble
from hydrallm.formats.canonical import Message, Request, Role, Text, Tool, ToolUse
from hydrallm.formats.canonical_answer import (
    Added,
    Answer,
    Ended,
    Event,
    PartEnded,
    PartStarted,
    Started,
    Stop,
    Stopped,
)
from hydrallm.formats.custom_tools import Functions, Restoration, as_functions, restored, text_of

PATCH = '*** Begin Patch\n"é"\n'
GRAMMAR = {"type": "grammar", "syntax": "lark", "definition": "start: A"}


def asked(tool: Tool) -> Request:
    call = Message(Role.ASSISTANT, (Text("so"), ToolUse("c", "patch", PATCH, custom=True)))
    return Request(format="openai-responses", messages=(call,), tools=(Tool("f"), tool))


def schema(functions: Functions) -> dict[str, object]:
    found = functions.request.tools[1].schema
    assert found is not None
    said: dict[str, object] = json.loads(bytes(found))
    return said


@pytest.mark.parametrize(
    ("format_", "told", "dropped"),
    [
        (None, False, ()),
        ({"type": "text"}, False, ()),
        (GRAMMAR, True, ("format",)),
        ({"type": 1}, False, ()),
    ],
)
def test_a_tool_is_a_function_with_one_text(format_: object, told: bool, dropped: tuple[str, ...]) -> None:
    raw = None if format_ is None else msgspec.Raw(json.dumps(format_).encode())
    functions = as_functions(asked(Tool("patch", "patches", raw, custom=True)))
    assert (functions.custom, functions.dropped) == (("patch",), dropped)
    plain, tool = functions.request.tools
    assert (plain, tool.name, tool.description, tool.custom) == (Tool("f"), "patch", "patches", False)
    said = schema(functions)
    assert list(said["properties"]) == said["required"] == ["input"]  # type: ignore[call-overload]
    assert ("start: A" in json.dumps(said)) is told


def test_its_calls_are_calls_of_the_function() -> None:
    functions = as_functions(asked(Tool("patch", custom=True)))
    text, call = functions.request.messages[0].parts
    assert text == Text("so")
    assert isinstance(call, ToolUse)
    assert (call.custom, json.loads(call.arguments)) == (False, {"input": PATCH})


def test_a_request_without_any_is_left_as_it_is() -> None:
    request = Request(format="openai-chat", tools=(Tool("f"),))
    assert as_functions(request).request is request


@given(st.text(st.characters(codec="utf-8")))
def test_a_text_comes_back(text: str) -> None:
    assert text_of(json.dumps({"input": text})) == text


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ('{"patch": "a"}', "a"),
        ("*** Begin Patch", "*** Begin Patch"),
        ('{"input": "cut he', "cut he"),
        ('{"input": {"a": 1}}', '{"input": {"a": 1}}'),
        ('{"a": "b", "c": "d"}', '{"a": "b", "c": "d"}'),
        ("{}", "{}"),
        ("", ""),
    ],
)
def test_what_models_say_in_place_of_it(arguments: str, text: str) -> None:
    assert text_of(arguments) == text


CALL = ToolUse("c", "patch", json.dumps({"input": PATCH}))
OTHER = ToolUse("d", "f", '{"input": "x"}')


def course(*, ends: bool) -> list[Event]:
    half = len(CALL.arguments) // 2
    events: list[Event] = [
        Started("a", "m"),
        PartStarted(0, ToolUse("c", "patch", "")),
        PartStarted(1, ToolUse("d", "f", "")),
        Added(0, CALL.arguments[:half]),
        Added(1, OTHER.arguments),
        Added(0, CALL.arguments[half:]),
    ]
    ended: list[Event] = [PartEnded(0), PartEnded(1)] if ends else []
    return [*events, *ended, Stopped(Stop.TOOL_USE), Ended()]


@pytest.mark.parametrize("ends", [True, False])
def test_a_stream_is_restored_as_the_whole_answer_is(ends: bool) -> None:
    whole = restored(Answer("a", "m", (CALL, OTHER), Stop.TOOL_USE), ("patch",))
    assert whole.parts == (ToolUse("c", "patch", PATCH, custom=True), OTHER)
    restoration = Restoration(("patch",))
    said = [event for one in course(ends=ends) for event in restoration.feed([one])]
    assert assemble(said).parts == whole.parts


def test_what_a_model_calls_custom_itself_is_left() -> None:
    call = ToolUse("c", "patch", '{"input": "x"}', custom=True)
    assert restored(Answer("a", "m", (call,), Stop.TOOL_USE), ("patch",)).parts == (call,)
    events: list[Event] = [PartStarted(0, call)]
    assert Restoration(("patch",)).feed(events) == events
