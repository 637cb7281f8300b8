"""What is composed for Converse, read again: it says what it said."""

from __future__ import annotations

import base64
import json
from typing import Any

import botocore.session
import msgspec
from hypothesis import assume, given
from hypothesis import strategies as st

from hydrallm.formats.anthropic_content import count_marks
from hydrallm.formats.bedrock_converse_codec import BedrockConverseCodec
from hydrallm.formats.canonical import (
    Cache,
    Choice,
    Document,
    Image,
    Message,
    Reasoning,
    Request,
    Role,
    Source,
    Target,
    Text,
    Thinking,
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
)
from hydrallm.formats.canonical_answer import (
    Answer,
    Ended,
    Event,
    PartEnded,
    PartStarted,
    Signed,
    Started,
    Stop,
    Stopped,
)
from hydrallm.formats.codec import Asked
from hydrallm.formats.facts import Facts
from hydrallm.formats.foreign_thought import may_have, unmarked

CODEC = BedrockConverseCodec()
MODEL = botocore.session.get_session().get_service_model("bedrock-runtime")
OPERATION = MODEL.operation_model("Converse")
EFFORTS = ("low", "medium", "high", "xhigh", "max")
CLAUDE = Target("us.anthropic.claude-sonnet-4-5-20250929-v1:0", Facts(budget=True, efforts=EFFORTS))
PNG = b"\x89PNG\r\n\x1a\n"
PNG64 = base64.b64encode(PNG).decode()


def read(body: bytes) -> Request:
    return CODEC.read_request(body, model="m", stream=True)


WORDS = st.text(min_size=1, max_size=6).filter(lambda text: bool(text.strip()))
CACHES = st.none() | st.builds(Cache, st.sampled_from(["", "5m", "1h"]))
IDS = st.from_regex(r"[a-zA-Z0-9_-]{1,64}", fullmatch=True)
TEXTS = st.builds(Text, WORDS, cache=CACHES)
IMAGES = st.builds(Image, st.just(Source(data=PNG64, media_type="image/png")), cache=CACHES)
DOCUMENTS = st.builds(
    Document, text=WORDS, name=st.just("report"), context=st.text(max_size=3), citations=st.booleans()
)
RESULTS = st.builds(
    ToolResult,
    IDS,
    st.lists(st.builds(Text, WORDS), max_size=2).map(tuple),
    is_error=st.none() | st.booleans(),
    cache=CACHES,
)
USES = st.builds(ToolUse, IDS, IDS, st.just('{"a":1}'), cache=CACHES)
THOUGHTS = st.builds(Thinking, WORDS, st.just("c2ln"), maker=st.just("anthropic"))


@st.composite
def talks(draw: st.DrawFn) -> tuple[Message, ...]:
    """Return turns that alternate and end with the user's, as Converse wants them."""
    turns = []
    for _ in range(draw(st.integers(0, 2))):
        results = draw(st.lists(RESULTS, max_size=2))
        turns.append(Message(Role.USER, (*results, *draw(st.lists(TEXTS | IMAGES, min_size=1, max_size=3)))))
        turns.append(Message(Role.ASSISTANT, tuple(draw(st.lists(THOUGHTS | TEXTS | USES, min_size=1, max_size=3)))))
    words = draw(st.lists(TEXTS, min_size=1, max_size=2))
    return (*turns, Message(Role.USER, (*draw(st.lists(DOCUMENTS, max_size=1)), *words)))


@given(
    messages=talks(),
    tools=st.lists(IDS, min_size=1, max_size=2, unique=True),
    cache=CACHES,
    choice=st.sampled_from([None, Choice.REQUIRED, Choice.TOOL]),
    parallel=st.sampled_from([None, False]),
    top_k=st.none() | st.integers(1, 99),
    temperature=st.none() | st.floats(0, 1),
    max_tokens=st.none() | st.integers(1, 9999),
    reasoning=st.none() | st.just(Reasoning(enabled=False)),
    tier=st.sampled_from(["", "flex"]),
    user=st.sampled_from(["", "bob"]),
)
def test_what_is_composed_is_read_as_it_was(
    messages: tuple[Message, ...],
    tools: list[str],
    cache: Cache | None,
    choice: Choice | None,
    **members: Any,  # noqa: ANN401 - of several types
) -> None:
    tool_choice = ToolChoice(choice, tools[0] if choice is Choice.TOOL else "") if choice else None
    if members["parallel"] is False and tool_choice is None:
        tool_choice = ToolChoice(Choice.AUTO)
    request = Request(
        format="bedrock-converse",
        model="m",
        stream=True,
        messages=messages,
        system=(Text("s", cache=cache),),
        tools=tuple(Tool(name, "d", msgspec.Raw(b'{"type":"object"}'), cache=cache) for name in tools),
        tool_choice=tool_choice,
        **members,
    )
    assume(count_marks(request) <= 4)  # the others are left out
    composed = CODEC.compose(request, CLAUDE)
    assert (composed.dropped, composed.names, composed.ids) == ((), {}, {})
    again = msgspec.structs.replace(read(composed.body), names={})
    assert msgspec.json.encode(again) == msgspec.json.encode(request)


def test_thoughts_of_another_maker_come_back_to_it() -> None:
    theirs = (
        Thinking(redacted="not base64!", maker="openai", id="rs_1"),
        Thinking("hm", "enc", maker="openai", id="rs_2"),
        Thinking("of nobody who seals"),
    )
    answer = CODEC.write_answer(Answer("", "", theirs, Stop.END), Asked("m", "i", 0))
    for block in json.loads(answer)["output"]["message"]["content"]:
        body = json.dumps({"messages": [{"role": "assistant", "content": [block]}]}).encode()
        assert read(body).messages[0].parts[0] in theirs
        assert may_have(body)
    assert not may_have(b'{"text":"say hydrallm: hi"}')


def test_a_stream_marks_a_thought_that_nobody_has_signed() -> None:
    events: list[Event] = [Started("a", "m"), PartStarted(0, Thinking("hm")), PartEnded(0), Stopped(Stop.END), Ended()]
    said = CODEC.reader().feed(CODEC.writer(Asked("m", "i", 0)).feed(events))
    (signature,) = [event.signature for event in said if isinstance(event, Signed)]
    body = json.dumps({"signature": signature}).encode()
    assert may_have(body)
    assert unmarked(Thinking("hm", signature, maker="anthropic")) == Thinking("hm")
