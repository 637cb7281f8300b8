"""Calls on half of their arguments reach nobody: ``rm -rf /tmp/x`` must not become ``rm -rf /``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrallm.formats.anthropic_messages_codec import AnthropicMessagesCodec
from hydrallm.formats.bedrock_converse_codec import BedrockConverseCodec
from hydrallm.formats.bedrock_invoke_codec import BedrockInvokeCodec
from hydrallm.formats.canonical import Text, ToolUse, UntranslatableError
from hydrallm.formats.canonical_answer import Added, Answer, Ended, PartEnded, PartStarted, Started, Stop, Stopped
from hydrallm.formats.codec import Asked
from hydrallm.formats.openai_chat_codec import OpenAIChatCodec
from hydrallm.formats.openai_responses_codec import OpenAIResponsesCodec

if TYPE_CHECKING:
    from hydrallm.formats.canonical_answer import Event
    from hydrallm.formats.codec import Codec

CODECS: list[Codec] = [
    OpenAIChatCodec(),
    OpenAIResponsesCodec(),
    AnthropicMessagesCodec(),
    BedrockInvokeCodec(),
    BedrockConverseCodec(),
]
EVERY = pytest.mark.parametrize("client", CODECS, ids=lambda codec: codec.name)
ASKED = Asked("m", "id-1", 5)
HALF = '{"command": "rm -rf /'
WHOLE = '{"command": "rm -rf /tmp/x"}'


def answer(*parts: Text | ToolUse, stop: Stop) -> Answer:
    return Answer("a", "m", parts, stop)


def course(said: Answer, *, ends: bool = True, size: int = 7) -> list[Event]:
    """Return the events of an answer; ``ends`` is whether they say where its parts end."""
    events: list[Event] = [Started("a", "m")]
    for index, part in enumerate(said.parts):
        words = part.arguments if isinstance(part, ToolUse) else getattr(part, "text", "")
        empty = ToolUse(part.id, part.name, "") if isinstance(part, ToolUse) else Text("")
        events.append(PartStarted(index, empty))
        events += (Added(index, words[at : at + size]) for at in range(0, len(words), size))
        events += [PartEnded(index)] * ends
    return [*events, Stopped(said.stop), Ended()]


def one_by_one(client: Codec, said: Answer, asked: Asked) -> None:
    writer = client.writer(asked)
    for event in course(said):
        writer.feed([event])


NO_OBJECTS = (HALF, "{'command': 'ls'}", "[1, 2]", "ls", '{"a": 1}{"a": 1}', '{"a": 1', '{"a": NaN}')


@EVERY
@pytest.mark.parametrize("stop", [Stop.END, Stop.TOOL_USE, Stop.REFUSAL, Stop.SEQUENCE])
@pytest.mark.parametrize("arguments", NO_OBJECTS)
def test_an_answer_that_was_not_cut_has_whole_arguments(client: Codec, stop: Stop, arguments: str) -> None:
    call = ToolUse("c", "shell", arguments)
    with pytest.raises(UntranslatableError, match="'shell' are not a whole JSON object"):
        client.write_answer(answer(call, stop=stop), ASKED)
    for ends in (True, False):
        with pytest.raises(UntranslatableError, match="'shell' are not a whole JSON object"):
            client.writer(ASKED).feed(course(answer(call, stop=stop), ends=ends))


@EVERY
@pytest.mark.parametrize("stop", [Stop.LENGTH, Stop.CONTEXT])
def test_an_answer_that_was_cut_may_end_in_half_a_call(client: Codec, stop: Stop) -> None:
    half, whole = ToolUse("c", "shell", HALF), ToolUse("d", "shell", WHOLE)
    for parts in ((half,), (whole, half), (Text("so"), half)):
        client.write_answer(answer(*parts, stop=stop), ASKED)
        one_by_one(client, answer(*parts, stop=stop), ASKED)
        client.writer(ASKED).feed(course(answer(*parts, stop=stop), ends=False))


@EVERY
def test_only_its_last_call_can_have_been_cut(client: Codec) -> None:
    half, whole = ToolUse("c", "shell", HALF), ToolUse("d", "shell", WHOLE)
    for parts in ((half, whole), (half, Text("so"))):
        with pytest.raises(UntranslatableError):
            client.write_answer(answer(*parts, stop=Stop.LENGTH), ASKED)
        with pytest.raises(UntranslatableError):
            one_by_one(client, answer(*parts, stop=Stop.LENGTH), ASKED)


def test_a_client_of_responses_is_never_told_that_half_a_call_is_complete() -> None:
    """Its item would be run as soon as it is done, which is said when the next one begins."""
    writer = CODECS[1].writer(ASKED)
    events = course(answer(ToolUse("c", "shell", HALF), Text("so"), stop=Stop.TOOL_USE))
    begins = next(at for at, event in enumerate(events) if isinstance(event, PartStarted) and event.index == 1)
    said = writer.feed(events[:begins])
    assert b"response.output_item.done" not in said
    with pytest.raises(UntranslatableError):
        writer.feed(events[begins:])


@EVERY
@pytest.mark.parametrize("arguments", ["", "{}", " {} \n", WHOLE, '{"a": {"b": [1, "}"]}}'])
def test_whole_arguments_are_written(client: Codec, arguments: str) -> None:
    said = answer(ToolUse("c", "shell", arguments), stop=Stop.TOOL_USE)
    assert client.write_answer(said, ASKED)
    for ends in (True, False):
        assert client.writer(ASKED).feed(course(said, ends=ends))


@EVERY
def test_a_call_without_a_name_is_none(client: Codec) -> None:
    said = answer(ToolUse("c", "", "{}"), stop=Stop.TOOL_USE)
    with pytest.raises(UntranslatableError, match="no name"):
        client.write_answer(said, ASKED)
    with pytest.raises(UntranslatableError, match="no name"):
        client.writer(ASKED).feed(course(said))


@pytest.mark.parametrize("client", CODECS[:2], ids=lambda codec: codec.name)
@pytest.mark.parametrize(
    ("arguments", "taken"), [("*** Begin Patch", True), ('{"input": "a"}', True), ('{"input": "*** Begin', False)]
)
def test_a_tool_for_free_text_may_have_its_object_left_away(client: Codec, arguments: str, taken: bool) -> None:
    asked = Asked("m", "id-1", 5, custom=("patch",))
    said = answer(ToolUse("c", "patch", arguments), stop=Stop.TOOL_USE)
    if taken:
        client.write_answer(said, asked)
        one_by_one(client, said, asked)
        return
    with pytest.raises(UntranslatableError):
        client.write_answer(said, asked)
    with pytest.raises(UntranslatableError):
        one_by_one(client, said, asked)


@given(st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=9), min_size=1, max_size=3), st.data())
def test_arguments_cut_anywhere_are_refused_to_all_clients_alike(value: dict[str, Any], data: st.DataObject) -> None:
    text = json.dumps(value)
    cut = text[: data.draw(st.integers(1, len(text) - 1))]
    said = answer(ToolUse("c", "f", cut), stop=Stop.TOOL_USE)
    for client in CODECS:
        with pytest.raises(UntranslatableError):
            client.write_answer(said, ASKED)
        with pytest.raises(UntranslatableError):
            one_by_one(client, said, ASKED)
