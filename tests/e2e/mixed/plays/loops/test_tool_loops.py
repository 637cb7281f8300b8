"""A tool loop of five turns goes through a chain of mixed formats whose models fail at random turns.

Each seed is a play of its own: other arguments, other failures. The client is a program as one writes it with the
official SDK: it asks, runs the tools, and asks again; where an answer breaks off, it asks the same once more.
"""

from __future__ import annotations

import asyncio
import functools
import json
import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import botocore.session
import botocore.validate
import pytest
import pytest_asyncio
from anthropic.types.message_create_params import MessageCreateParams
from openai.types.chat.completion_create_params import CompletionCreateParams
from openai.types.responses.response_create_params import ResponseCreateParams
from pydantic import TypeAdapter
from tests.e2e.mixed.conftest import Said, Speech
from tests.e2e.mixed.plays.conftest import HEARERS, MAKERS, SYSTEM, Play, Stage, exact, format_of, is_streaming
from tests.e2e.mixed.plays.loops.conftest import PROGRAMS

from hydrallm.faults.script import Cut, Fail

if TYPE_CHECKING:
    import random

    from tests.e2e.mixed.plays.conftest import Heard
    from tests.e2e.mixed.plays.loops.conftest import Connect

    from hydrallm.faults.provider import Received
    from hydrallm.faults.script import Reply

    Json = dict[str, Any]

pytestmark = pytest.mark.asyncio(loop_scope="session")

# ---- the API's own types

PARAMS: dict[str, Any] = {
    "chat": CompletionCreateParams,
    "responses": ResponseCreateParams,
    "messages": MessageCreateParams,
    "invoke": MessageCreateParams,
}
NAME, CONVERSE_ID, ANTHROPIC_ID = r"[a-zA-Z0-9_-]{1,64}", r"[a-zA-Z0-9_.:-]{1,64}", r"[a-zA-Z0-9_-]+"
IDS = {
    "messages": ANTHROPIC_ID,
    "invoke": ANTHROPIC_ID,
    "converse": CONVERSE_ID,
    "chat": r"(?s:.{1,40})",
    "responses": r"(?s:.{1,64})",
}


@functools.cache
def converse_shape() -> Any:  # noqa: ANN401 - botocore has no types
    service = botocore.session.get_session().get_service_model("bedrock-runtime")
    return service.operation_model("Converse").input_shape


@functools.cache
def adapter(name: str) -> TypeAdapter[Any]:
    return TypeAdapter(PARAMS[name])


def through(value: object) -> object:
    """Return ``value`` with the lazy iterables of the SDK's types walked through, so that they are checked."""
    if isinstance(value, dict):
        return {name: through(inner) for name, inner in value.items()}
    if isinstance(value, str | bytes | int | float | bool | None):
        return value
    return [through(inner) for inner in value]  # type: ignore[attr-defined]


def check_types(name: str, body: Json) -> None:
    """Check that the API's own types know all that a request says, and find it right."""
    if name == "converse":
        report = botocore.validate.ParamValidator().validate({"modelId": "m", **body}, converse_shape())
        assert not report.has_errors(), report.generate_report()
        return
    if name == "invoke":
        assert not {"model", "stream"} & set(body)
        assert body["anthropic_version"] == "bedrock-2023-05-31"
        body = {key: value for key, value in body.items() if not key.startswith("anthropic_")} | {"model": "m"}
    assert through(adapter(name).validate_python(body)) == body


# ---- the models

FAILS = (0.55, 0.4)
"""How often the first model of a chain fails before it says anything, and the second; the last never does."""
BREAKS_OFF = 0.15
TERMINAL = {"messages": 1, "invoke": 1, "converse": 2, "chat": 3, "responses": 1}
"""How many events at a stream's end make it complete."""
CLAUDES = {name for name, maker in MAKERS.items() if maker == "anthropic"}
THOUGHTLESS = (
    "messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found `tool_use`. When `thinking` is "
    "enabled, a final `assistant` message must start with a thinking block (preceeding the lastmost set of `tool_use` "
    "and `tool_result` blocks). We recommend you include thinking blocks from previous turns. To avoid this "
    "requirement, disable `thinking`."
)
"""What Anthropic says."""


class Models:
    """The models of one chain; a script for the provider.

    Attributes:
        lost: what came that belongs to no play.
    """

    def __init__(self, chain: str, plays: list[Play]) -> None:
        self._chain = chain.removeprefix("only/").split("-")
        self._plays = {play.prompt: play for play in plays}
        self.lost: list[str] = []

    def __call__(self, received: Received) -> Reply:
        name, play = format_of(received), None
        try:
            body = json.loads(received.body)
            heard = HEARERS[name](body)
            play = self._plays[heard.parts[0][1]]
            check_types(name, body)
            act = judged(play, name, heard, thinks=name not in CLAUDES or thinks(name, body))
        except (AssertionError, KeyError, TypeError, ValueError) as error:
            said = f"{name}: {type(error).__name__}: {error}: {received.body.decode()}"
            (self.lost if play is None else play.lost).append(said)
            return Fail(status=400, message=said[:500])
        if name in CLAUDES and thinks(name, body) and is_thoughtless(heard):
            return Fail(status=400, type="invalid_request_error", message=THOUGHTLESS)
        return self._spoken(play, name, act, heard, body, stream=is_streaming(received))

    def _spoken(self, play: Play, name: str, number: int, heard: Heard, body: Json, *, stream: bool) -> Reply:
        act, tries = play.acts[number], play.asked.get((name, number), 0)
        play.asked[name, number] = tries + 1
        chance = play.chance(name, number, tries)
        thinks_now = thinks(name, body) if name in CLAUDES else play.thinks and chance.random() < 0.5
        calls = [
            (identity(name, chance, f"{one.name}:{number}{tries}{index}"), heard.tools[one.description][0], said)
            for index, (one, said) in enumerate(act.calls)
        ]
        play.made[name].update(call for call, _, _ in calls)
        thought = act.thought if thinks_now else ""
        signature = play.signature(number, MAKERS[name]) if thought else ""
        said = Said(act.text, thought=thought, signature=signature, calls=calls, mark=f"{number}{tries}", chance=chance)
        asked_usage = bool((body.get("stream_options") or {}).get("include_usage"))
        speech = Speech(name, said, stream=stream, usage=asked_usage)
        place = self._chain.index(name)
        if place < len(self._chain) - 1 and chance.random() < FAILS[place]:
            return chance.choice(early(speech, stream=stream))
        if stream and tries < 3 and chance.random() < BREAKS_OFF:
            play.late += 1
            last = len(speech.events) - TERMINAL[name] + (name == "chat" and not asked_usage)
            after = chance.randint(min(speech.lead + 3, last), last)
            return chance.choice([speech.cut(after), speech.cut(after, clean=True), speech.failing(after)])
        play.speakers[number] = name if thought else ""
        return speech.answer()


def identity(name: str, chance: random.Random, called: str) -> str:
    """Return an id for a call as models of this format make them; those of Chat are of many kinds."""
    digits = f"{chance.getrandbits(160):040x}"
    return {
        "messages": f"toolu_01{digits[:22]}",
        "invoke": f"toolu_bdrk_01{digits[:22]}",
        "converse": f"tooluse_{digits[:22]}",
        "chat": chance.choice([f"call_{digits[:24]}", f"chatcmpl-tool-{digits[:32]}", f"functions.{called}"]),
        "responses": f"call_{digits[:24]}",
    }[name]


def early(speech: Speech, *, stream: bool) -> list[Reply]:
    """Return the ways in which an answer fails before it has said anything."""
    refused: list[Reply] = [Fail(status=503), Fail(cause="overloaded"), Cut(), Cut(at="after_headers")]
    if stream:
        lead = speech.lead
        return [*refused, speech.cut(lead), speech.cut(lead, clean=True), speech.failing(lead), speech.failing(0)]
    return [*refused, speech.cut(1), speech.cut(1, clean=True), Fail(status=200, body="")]


def thinks(name: str, body: Json) -> bool:
    """Return whether a Claude is asked to think."""
    fields: Json = (body.get("additionalModelRequestFields") or {}) if name == "converse" else body
    kind: str = (fields.get("thinking") or {}).get("type", "")
    return kind in {"enabled", "adaptive"}


def is_thoughtless(heard: Heard) -> bool:
    """Return whether the turn whose calls have just been answered does not begin with a thought."""
    kinds: list[str] = [part[0] for part in heard.parts]
    if kinds[-1] != "result":
        return False
    while kinds[-1] == "result":
        kinds.pop()
    while kinds[-1] in {"call", "text"}:
        kinds.pop()
    return kinds[-1] != "thought"


def judged(play: Play, name: str, heard: Heard, *, thinks: bool) -> int:
    """Return which act a model is asked for, once all that was sent to it is found to be right.

    Its own thoughts have to be there, unless it is not to think.
    """
    assert heard.system == SYSTEM
    offered = {one.description: (one.name, one.schema) for one in play.tools}
    assert {what: exact(schema) for what, (_, schema) in heard.tools.items()} == {
        what: exact(schema) for what, (_, schema) in offered.items()
    }
    for what, (as_name, _) in heard.tools.items():
        longer = name == "messages" and as_name == offered[what][0]  # which Anthropic takes
        assert longer or re.fullmatch(NAME, as_name), f"the tool name {as_name}"
    ids = [part[1] for part in heard.parts if part[0] == "call"]
    assert len(ids) == len(set(ids)), "two calls have the same id"
    for one in ids:
        assert re.fullmatch(IDS[name], one) or one in play.made[name], f"the id {one}"
    parts = heard.parts[1:]
    for number, act in enumerate(play.acts):
        if not parts:
            return number
        if parts[0][0] == "thought":
            assert parts.pop(0) == ("thought", act.thought, play.signature(number, MAKERS[name]))
        else:
            own = MAKERS.get(play.speakers[number]) == MAKERS[name] != "chat"
            assert not (own and thinks), f"the thought of act {number} is missing"
        if act.text:
            assert parts.pop(0) == ("text", act.text)
        called = [parts.pop(0) for _ in act.calls]
        for (one, said), (kind, _, as_name, arguments) in zip(act.calls, called, strict=True):
            assert (kind, as_name) == ("call", heard.tools[one.description][0])
            assert exact(arguments) == exact(json.loads(said or "{}"))
        for (one, said), (_, call, *_) in zip(act.calls, called, strict=True):
            text, failed = play.result(one.name, json.loads(said or "{}"))
            assert parts.pop(0) == ("result", call, f"Error: {text}" if failed else text)
    raise AssertionError("the play is over")


# ---- the loops

Loop = Callable[..., Awaitable[None]]


@pytest_asyncio.fixture(loop_scope="session")
async def loop(stage: Stage, connect: Connect) -> Loop:
    """Lets the programs of some plays run their loops over a chain, all at once, and checks what has become of each."""

    async def go(client: str, chain: str, plays: list[Play], *, stream: bool) -> None:
        models = Models(chain, plays)
        stage.provider.play(models)
        sdk = await connect(client, stage.gateway.url)
        programs = [PROGRAMS[client](play, sdk, chain, stream=stream) for play in plays]
        ends = await asyncio.gather(*(program.run() for program in programs), return_exceptions=True)
        assert models.lost == []
        for play, program, end in zip(plays, programs, ends, strict=True):
            assert play.lost == [], play.prompt
            assert end is None, f"{play.prompt}: {end!r}"
            assert play.runs == play.script, play.prompt
            assert program.said == [act.text for act in play.acts], play.prompt
            # What broke off before the gateway had passed any of it on, nobody has seen.
            assert len(program.errors) <= play.late, f"{play.prompt}: {program.errors}"

    return go


def rehearsed(client: str, seeds: range, *, thinks: bool = False) -> list[Play]:
    return [Play(seed, thinks=thinks, long_names=client == "messages") for seed in seeds]


STREAMS = pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
THINKS = pytest.mark.parametrize("thinks", [False, True], ids=["", "thinking"])
MIXED = pytest.mark.parametrize("chain", ["messages-invoke-chat", "messages-converse-responses"])


@STREAMS
@pytest.mark.parametrize("client", PROGRAMS)
async def test_a_loop_without_translation(client: str, stream: bool, loop: Loop) -> None:
    """The SDKs understand what the models of these tests say, and the models what the SDKs send."""
    plays = rehearsed(client, range(1), thinks=client in {"messages", "responses"})
    await loop(client, f"only/{client}", plays, stream=stream)


@STREAMS
@THINKS
@MIXED
async def test_a_loop_of_anthropics_sdk_goes_through(chain: str, stream: bool, thinks: bool, loop: Loop) -> None:
    await loop("messages", chain, rehearsed("messages", range(3), thinks=thinks), stream=stream)


@MIXED
@pytest.mark.parametrize("client", ["chat", "responses", "converse"])
async def test_a_loop_of_another_sdk_goes_through(client: str, chain: str, loop: Loop) -> None:
    await loop(client, chain, rehearsed(client, range(2)), stream=True)


@pytest.mark.matrix
@STREAMS
@MIXED
@pytest.mark.parametrize(
    ("client", "thinks"), [*((name, False) for name in PROGRAMS), ("messages", True), ("responses", True)]
)
async def test_many_loops_go_through(client: str, chain: str, stream: bool, thinks: bool, loop: Loop) -> None:
    await loop(client, chain, rehearsed(client, range(100, 115), thinks=thinks), stream=stream)
