"""Every format's requests for every format's models: legal there, and they ask the same.

``requests.json`` has the same requests in the words of every format that can say them. What a model's request says is
told in a few words that no format owns (the fixture ``told``), and compared with what the scene means.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from hydrallm.formats.canonical import Request, Target, UnservedError
from hydrallm.formats.facts import Facts

if TYPE_CHECKING:
    from hydrallm.formats.codec import Codec

Legal = Callable[[str, bytes], dict[str, Any]]
Told = Callable[[str, dict[str, Any]], dict[str, Any]]
View = dict[str, Any]
Cell = tuple[str, str, str]

FORMATS = ("chat", "responses", "messages", "invoke", "converse")
REQUESTS: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_name("requests.json").read_text("utf-8"))
CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
THINKER = Facts(budget=True)
REASONER = Facts(efforts=("low", "medium", "high"))
TARGETS = {
    "chat": Target("gpt", REASONER),
    "responses": Target("gpt", REASONER),
    "messages": Target("claude-sonnet-4-5", THINKER),
    "invoke": Target(CLAUDE, THINKER),
    "converse": Target(CLAUDE, THINKER),
}


# ---- what it must say

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
WEATHER, TIME = ["weather", SCHEMA], ["time", SCHEMA]
OSLO = {"city": "Oslo"}
HI: View = {"turns": [["user", "hi"]], "max": 4000}
PNG = REQUESTS["image"]["converse"]["messages"][0]["content"][1]["image"]["source"]["bytes"]
PDF = REQUESTS["document"]["converse"]["messages"][0]["content"][1]["document"]["source"]["bytes"]

MEANT: dict[str, View] = {
    "text": {
        "system": ["Be kind."],
        "turns": [["user", "hi"], ["assistant", "Hello."], ["user", "again"]],
        "max": 4000,
    },
    "one tool": HI | {"tools": [WEATHER], "choice": ["one", "weather"]},
    "two tools": {
        "turns": [
            ["user", "hi"],
            ["assistant", ["call", "call_1", "weather", OSLO], ["call", "call_2", "time", OSLO]],
            ["user", ["result", "call_1", "rain"], ["result", "call_2", "noon"]],
        ],
        "max": 4000,
        "tools": [WEATHER, TIME],
        "choice": "required",
    },
    "tool result": {
        "turns": [
            ["user", "hi"],
            ["assistant", "Let me see.", ["call", "call_1", "weather", OSLO]],
            ["user", ["result", "call_1", "no such city"], "and now?"],
        ],
        "max": 4000,
        "tools": [WEATHER],
    },
    "tools off": HI | {"tools": [WEATHER], "choice": "none"},
    "one call at a time": HI | {"tools": [WEATHER, TIME], "parallel": False},
    "image": {"turns": [["user", "what?", ["image", f"image/png {PNG}"]]], "max": 4000},
    "image of the web": {"turns": [["user", "what?", ["image", "https://a.example/b.png"]]], "max": 4000},
    "document": {"turns": [["user", "sum up", ["document", "a.pdf", f"application/pdf {PDF}"]]], "max": 4000},
    "structured output": HI | {"schema": SCHEMA},
    "thinking": HI | {"thinking": 2000},
    "thoughts of before": {
        "turns": [["user", "hi"], ["assistant", "Hello."], ["user", "again"]],
        "max": 4000,
        "thinking": 2000,
    },
    "sampling": HI | {"user": "u1"},
    "five stops": HI | {"sampling": {"stop": ["a", "b", "c", "d", "e"]}},
}
"""What each scene asks. Where a format has its own way to say it, :data:`WAYS` has that."""

OPENAI, ANTHROPIC = ("chat", "responses"), ("messages", "invoke")
CLAUDES = (*ANTHROPIC, "converse")
FAILED = ["user", ["result", "call_1", "no such city", True], "and now?"]
TOLD_FAILED = ["user", ["result", "call_1", "Error: no such city"], "and now?"]
KNOWN_AGAIN = [["user", "hi"], ["assistant", ["thought", "hm"], "Hello."], ["user", "again"]]


class Way(msgspec.Struct, frozen=True):
    """How a scene is said to some models, if some clients ask.

    Attributes:
        scene: of ``requests.json``.
        clients: whose requests.
        models: the formats they are composed in.
        says: what is said other than :data:`MEANT`; None for what is not said.
        why: the reason.
    """

    scene: str
    clients: tuple[str, ...]
    models: tuple[str, ...]
    says: View
    why: str


def last_turn(scene: str, turn: list[Any]) -> View:
    return {"turns": [*MEANT[scene]["turns"][:-1], turn]}


def named(name: str) -> View:
    return {"turns": [["user", "sum up", ["document", name, f"application/pdf {PDF}"]]]}


WAYS = (
    Way("tool result", CLAUDES, CLAUDES, last_turn("tool result", FAILED), "the client says that it failed"),
    Way("tool result", CLAUDES, OPENAI, last_turn("tool result", TOLD_FAILED), "OpenAI has words only"),
    Way("tools off", FORMATS, ("converse",), {"tools": None, "choice": None}, "Converse has no choice 'none'"),
    Way("one call at a time", FORMATS, ANTHROPIC, {"choice": "auto"}, "it is part of a choice"),
    Way("one call at a time", ANTHROPIC, OPENAI, {"choice": "auto"}, "the client says so"),
    Way("document", ("converse",), FORMATS, named("a"), "Converse's names have no dots"),
    Way("document", (*OPENAI, *ANTHROPIC), ("converse",), named("a pdf"), "Converse's names have no dots"),
    Way("thinking", OPENAI, OPENAI, {"thinking": "high"}, "an effort stays one"),
    Way("thinking", CLAUDES, OPENAI, {"thinking": "low"}, "OpenAI has efforts only"),
    Way("thoughts of before", ("responses",), OPENAI, {"thinking": "high"}, "an effort stays one"),
    Way("thoughts of before", CLAUDES, OPENAI, {"thinking": "low"}, "OpenAI has efforts only"),
    Way("thoughts of before", ("responses",), ("responses",), {"turns": KNOWN_AGAIN}, "its maker knows it again"),
    Way("thoughts of before", CLAUDES, CLAUDES, {"turns": KNOWN_AGAIN}, "its maker knows it again"),
    Way(
        "sampling",
        ("chat",),
        ("chat",),
        {"sampling": {"temperature": 1.5, "top_p": 0.5, "seed": 7, "frequency_penalty": 0.5, "stop": ["END"]}},
        "nothing is lost",
    ),
    Way("sampling", ("chat",), CLAUDES, {"sampling": {"temperature": 1, "stop": ["END"]}}, "0 to 1; one of the two"),
    Way("sampling", ("responses",), OPENAI, {"sampling": {"temperature": 1.5, "top_p": 0.5}}, "nothing is lost"),
    Way("sampling", ("responses",), CLAUDES, {"sampling": {"temperature": 1}}, "0 to 1; one of the two"),
    Way(
        "sampling",
        CLAUDES,
        ("chat",),
        {"sampling": {"temperature": 0.75, "top_p": 0.5, "stop": ["END"]}},
        "OpenAI has no top_k",
    ),
    Way(
        "sampling",
        CLAUDES,
        CLAUDES,
        {"sampling": {"temperature": 0.75, "top_k": 5, "stop": ["END"]}},
        "this Claude takes temperature or top_p",
    ),
    Way("sampling", ("converse",), FORMATS, {"user": None}, "the client has no member for it"),
)

SKIPPED: tuple[tuple[str, tuple[str, ...], tuple[str, ...], str], ...] = (
    ("image of the web", FORMATS, ("invoke", "converse"), "URL"),
    ("five stops", FORMATS, OPENAI, "stop sequences"),
    ("sampling", ("chat", *CLAUDES), ("responses",), "stop sequences"),
)
"""What cannot be served: the scene, the clients, the models, and a word of the reason that is given."""

DROPPED: tuple[tuple[str, tuple[str, ...], tuple[str, ...], set[str]], ...] = (
    ("sampling", ("chat",), CLAUDES, {"top_p", "seed", "frequency_penalty"}),
    ("sampling", ("responses", *ANTHROPIC), CLAUDES, {"top_p"}),
    ("sampling", ("converse",), CLAUDES, {"inferenceConfig.topP"}),
    ("sampling", ANTHROPIC, ("chat",), {"top_k"}),
    ("sampling", ("converse",), ("chat",), {"additionalModelRequestFields.top_k"}),
    ("thoughts of before", ANTHROPIC, OPENAI, {"thinking"}),
    ("thoughts of before", ("converse",), OPENAI, {"reasoningContent"}),
    ("thoughts of before", ("responses",), ("chat", *CLAUDES), {"reasoning"}),
)
"""What is dropped and said to be, by the client's own names: the scene, the clients, the models, the names."""


def row(table: Iterable[tuple[str, tuple[str, ...], tuple[str, ...], Any]], cell: Cell) -> Any:  # noqa: ANN401
    """Return what ``table`` says of a cell; None if nothing."""
    scene, client, model = cell
    found = [said for of, clients, models, said in table if of == scene and client in clients and model in models]
    assert len(found) <= 1, f"two rows are about {cell}"
    return found[0] if found else None


def meant(cell: Cell) -> View:
    scene, client, model = cell
    says = dict(MEANT[scene])
    for way in WAYS:
        if way.scene == scene and client in way.clients and model in way.models:
            says |= way.says
    return {name: value for name, value in says.items() if value is not None}


def asked(codec: Codec, client: str, scene: str, legal: Legal, *, streamed: bool = False) -> Request:
    """Return a client's request as it is read, once the client's own SDK has found it right."""
    said = REQUESTS[scene][client] | ({"stream": True} if streamed and client in STREAM_MEMBER else {})
    body = json.dumps(said).encode()
    legal(client, body)
    return codec.read_request(body, model="m", stream=streamed and client not in STREAM_MEMBER)


CELLS = [(scene, client, model) for scene, said in REQUESTS.items() for client in said for model in FORMATS]
STREAM_MEMBER = ("chat", "responses", "messages")
SERVED = [cell for cell in CELLS if row(SKIPPED, cell) is None]


@pytest.mark.parametrize(("scene", "client", "model"), SERVED)
@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
def test_a_request_asks_the_same(
    scene: str, client: str, model: str, streamed: bool, codecs: dict[str, Codec], legal: Legal, told: Told
) -> None:
    request = asked(codecs[client], client, scene, legal, streamed=streamed)
    body = legal(model, codecs[model].compose(request, TARGETS[model]).body)
    assert told(model, body) == meant((scene, client, model))
    assert body.get("stream", False) is (streamed and model in STREAM_MEMBER)
    assert body.get("stream_options") == ({"include_usage": True} if streamed and model == "chat" else None)
    assert body.get("model") == (TARGETS[model].model if model in STREAM_MEMBER else None)


@pytest.mark.parametrize(("scene", "client", "model"), SERVED)
def test_what_is_dropped_is_said(scene: str, client: str, model: str, codecs: dict[str, Codec], legal: Legal) -> None:
    composed = codecs[model].compose(asked(codecs[client], client, scene, legal), TARGETS[model])
    assert set(composed.dropped) == (row(DROPPED, (scene, client, model)) or set())


@pytest.mark.parametrize(("scene", "client", "model"), [cell for cell in CELLS if cell not in SERVED])
def test_what_cannot_be_served_is_skipped(
    scene: str, client: str, model: str, codecs: dict[str, Codec], legal: Legal
) -> None:
    request = asked(codecs[client], client, scene, legal)
    with pytest.raises(UnservedError) as caught:
        codecs[model].compose(request, TARGETS[model])
    (reason,) = caught.value.reasons
    assert row(SKIPPED, (scene, client, model)) in reason
