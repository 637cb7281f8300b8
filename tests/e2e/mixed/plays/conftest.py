"""A play in five acts and an epilogue, how each wire format tells what of it has been played, and the stage for it.

The models of these tests know their part by heart. Asked with a history, each finds out which act it is, and says what
comes next in its own format. The stage is a gateway whose chains mix formats, and one provider behind all of them.
"""

from __future__ import annotations

import base64
import collections
import hashlib
import itertools
import json
import random
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest_asyncio
from tests.e2e.conftest import Gateway, launch  # pytest has loaded it, by this name, before this folder's
from tests.e2e.mixed.conftest import FORMATS, Said, Speech

from hydrallm.faults.provider import Provider, Received

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    import pytest

    from hydrallm.faults.script import Reply

    Json = dict[str, Any]
    Part = tuple[Any, ...]

SYSTEM = "You are an actor."
ACTS = 5


class Tool(NamedTuple):
    """A tool, known by its description whatever its name has to be."""

    name: str
    description: str
    schema: Json


def tool(name: str, description: str, **properties: Json) -> Tool:
    return Tool(name, description, {"type": "object", "properties": properties, "additionalProperties": False})


LONG = "mcp__the_file_system_of_the_project__read_one_file_and_say_what_is_in_it"
NESTED: Json = {"type": "object", "properties": {"b": {"type": "array", "items": {"$ref": "#/$defs/x"}}}}
SEARCH = tool("search", "Finds.", query={"type": "string"}, filters=NESTED, turn={"type": "integer"})
NOW = tool("now", "Tells the time.")
WRITE = tool("write_file", "Writes.", path={"type": "string"}, lines={"type": "array", "items": {}}, turn={})
READ = tool(LONG, "Reads.", path={"type": ["string", "null"], "pattern": "^\\S+$"}, turn={"enum": [0, 1, 2, 3, 4]})
ARGUMENTS: list[tuple[Tool, Json]] = [
    (SEARCH, {"query": 'caf\u00e9 \u2603 \U0001f600 "quoted" \\ back\\slash / \u2028', "filters": {"b": [{}, []]}}),
    (SEARCH, {"filters": {"b": [[[[]]]], "a": {"": {"deep": {"er": [1, {"x": None}]}}}}, "query": ""}),
    (WRITE, {"path": "/tmp/a b", "lines": ['{"not": "parsed"}', "\t\r\n\x00\x1f", "</script>", "data: [DONE]\n\n"]}),
    (WRITE, {"lines": [12345678901234567890, 9007199254740993, 0.1, 1e-7, 1.0, -0.0, True], "path": "\ufeff"}),
    (READ, {"path": None}),
    (READ, {"path": "\u202eab\u0301\ufffd"}),
]


class Act(NamedTuple):
    """What the model says in a turn; the last has no calls."""

    thought: str
    text: str
    calls: tuple[tuple[Tool, str], ...]


class Play:
    """A play, and what has happened in it.

    Attributes:
        seed: of all its chances.
        prompt: with which it begins, and by which it is known.
        acts: five, and the epilogue.
        runs: of tools by the client: the tool's name and its arguments.
        speakers: the format whose model has last spoken each act.
        asked: how often each model was asked each act.
        made: the ids of calls that the models of each format have made.
        late: how often a stream was cut after its first content.
        lost: what is wrong with the requests that came.
    """

    def __init__(self, seed: int, *, thinks: bool, long_names: bool) -> None:
        self.seed = seed
        self.thinks = thinks
        self.prompt = f"Play {seed}, {'thoughtful ' if thinks else ''}in five acts \u2603."
        chance = self.chance("acts")
        self.tools = [SEARCH, NOW, WRITE, *([READ] if long_names else [])]
        self.acts = [self._act(number, chance) for number in range(ACTS)]
        self.acts.append(Act(self._thought(ACTS), "The end.", ()))
        self.runs: list[tuple[str, str]] = []
        self.speakers: dict[int, str] = {}
        self.asked: dict[tuple[str, int], int] = {}
        self.made: dict[str, set[str]] = collections.defaultdict(set)
        self.late = 0
        self.lost: list[str] = []

    def chance(self, *what: object) -> random.Random:
        """Return the chance that decides ``what``."""
        return random.Random(repr((self.seed, *what)))

    def _thought(self, act: int) -> str:
        return f"What now, in act {act}? \u2026" if self.thinks else ""

    def _act(self, number: int, chance: random.Random) -> Act:
        known = [(one, {**said, "turn": number}) for one, said in ARGUMENTS if one in self.tools]
        chosen = chance.sample([*known, (NOW, {})], chance.choice([1, 1, 2, 3]))
        calls = [(one, json.dumps(said, ensure_ascii=chance.random() < 0.5)) for one, said in chosen]
        written = [(one, text if text != "{}" or chance.random() < 0.5 else "") for one, text in calls]
        text = chance.choice(["", f"Act {number}: let me see.\n"])
        return Act(self._thought(number), text, tuple(written))

    @staticmethod
    def result(name: str, arguments: object) -> tuple[str, bool]:
        """Return what a tool says to its arguments, and whether it failed."""
        digest = hashlib.sha256(exact(arguments).encode()).hexdigest()
        return f"{name} \u2713 {digest}", digest[0] in "0123"

    def run(self, name: str, arguments: object) -> tuple[str, bool]:
        """Run a tool."""
        self.runs.append((name, exact(arguments)))
        return self.result(name, arguments)

    @property
    def script(self) -> list[tuple[str, str]]:
        """The runs that there have to be."""
        return [(one.name, exact(json.loads(said or "{}"))) for act in self.acts for one, said in act.calls]

    def signature(self, act: int, maker: str) -> str:
        """Return what identifies the thought of an act as its maker's; empty where there is no such."""
        digest = hashlib.sha256(f"{self.seed} {act} {maker}".encode()).digest()
        return "" if maker == "chat" else base64.b64encode(digest).decode()


def exact(value: object) -> str:
    """Return JSON by which 1 and 1.0, and another order, are not the same."""
    return json.dumps(value)


MAKERS = {
    "messages": "anthropic",
    "invoke": "anthropic",
    "converse": "anthropic",
    "chat": "chat",
    "responses": "openai",
}

# ---- what a request says: its instructions, its tools, and its conversation as a list of parts


class Heard:
    """A request, read.

    Attributes:
        system: the instructions.
        tools: the names offered, by description; with the schemas.
        parts: in order: ``("user", text)``, ``("text", text)``, ``("thought", text, signature)``,
            ``("call", id, name, arguments)`` and ``("result", id, text)``.
    """

    def __init__(self) -> None:
        self.system = ""
        self.tools: dict[str, tuple[str, Json]] = {}
        self.parts: list[Part] = []

    def called(self) -> list[str]:
        """Return the ids of the last calls that have no result yet."""
        answered = {part[1] for part in self.parts if part[0] == "result"}
        return [part[1] for part in self.parts if part[0] == "call" and part[1] not in answered]


def text_of(content: str | list[Json]) -> str:
    if isinstance(content, str):
        return content
    assert all(block.get("type", "text") in {"text", "input_text", "output_text"} for block in content), content
    return "".join(block["text"] for block in content)


def hear_messages(body: Json) -> Heard:
    heard = Heard()
    heard.system = text_of(body.get("system", ""))
    heard.tools = {one["description"]: (one["name"], one["input_schema"]) for one in body["tools"]}
    turns = body["messages"]
    assert turns[0]["role"] == "user"
    for turn in turns:
        blocks = turn["content"] if isinstance(turn["content"], list) else [{"type": "text", "text": turn["content"]}]
        pending = heard.called()
        results = [block["tool_use_id"] for block in blocks[: len(pending)] if block["type"] == "tool_result"]
        assert results == pending, "the results of a turn are the first of the next"
        for block in blocks:
            match block["type"]:
                case "text":
                    assert block["text"].strip(), "a blank text"
                    heard.parts.append(("text" if turn["role"] == "assistant" else "user", block["text"]))
                case "thinking":
                    heard.parts.append(("thought", block["thinking"], block["signature"]))
                case "tool_use":
                    heard.parts.append(("call", block["id"], block["name"], block["input"]))
                case kind:
                    assert kind == "tool_result", kind
                    failed = "Error: " if block.get("is_error") else ""
                    heard.parts.append(("result", block["tool_use_id"], failed + text_of(block["content"])))
    return heard


def hear_converse(body: Json) -> Heard:
    heard = Heard()
    heard.system = text_of(body.get("system", ""))
    specs = [one["toolSpec"] for one in body["toolConfig"]["tools"]]
    heard.tools = {one["description"]: (one["name"], one["inputSchema"]["json"]) for one in specs}
    roles = [turn["role"] for turn in body["messages"]]
    assert roles == ["user", "assistant"] * (len(roles) // 2) + ["user"], "turns do not alternate"
    for turn in body["messages"]:
        pending = heard.called()
        results = [block["toolResult"]["toolUseId"] for block in turn["content"] if "toolResult" in block]
        assert results == pending, "the results of a turn are in the next"
        for block in turn["content"]:
            ((kind, said),) = block.items()
            match kind:
                case "text":
                    assert said.strip(), "a blank text"
                    heard.parts.append(("text" if turn["role"] == "assistant" else "user", said))
                case "reasoningContent":
                    thought = said["reasoningText"]
                    heard.parts.append(("thought", thought["text"], thought.get("signature", "")))
                case "toolUse":
                    heard.parts.append(("call", said["toolUseId"], said["name"], said["input"]))
                case _:
                    assert kind == "toolResult", kind
                    failed = "Error: " if said.get("status") == "error" else ""
                    heard.parts.append(("result", said["toolUseId"], failed + text_of(said["content"])))
    return heard


def hear_chat(body: Json) -> Heard:
    heard = Heard()
    functions = [one["function"] for one in body["tools"]]
    heard.tools = {one["description"]: (one["name"], one["parameters"]) for one in functions}
    for message in body["messages"]:
        pending = heard.called()
        match message["role"]:
            case "system" | "developer":
                heard.system += text_of(message["content"])
                continue
            case "tool":
                assert message["tool_call_id"] == pending[0], "results come right after their calls, in order"
                heard.parts.append(("result", message["tool_call_id"], text_of(message["content"])))
                continue
            case "user":
                heard.parts.append(("user", text_of(message["content"])))
            case role:
                assert role == "assistant", role
                if message.get("reasoning_content"):
                    heard.parts.append(("thought", message["reasoning_content"], ""))
                if message.get("content"):
                    heard.parts.append(("text", text_of(message["content"])))
                for call in message.get("tool_calls") or ():
                    arguments = json.loads(call["function"]["arguments"] or "{}")
                    heard.parts.append(("call", call["id"], call["function"]["name"], arguments))
        assert not pending, "results are missing"
    return heard


def hear_responses(body: Json) -> Heard:
    heard = Heard()
    heard.system = body.get("instructions") or ""
    heard.tools = {one["description"]: (one["name"], one["parameters"]) for one in body["tools"]}
    ids = [item["id"] for item in body["input"] if item.get("id")]
    assert len(ids) == len(set(ids)), "an item is there twice"
    for item in body["input"]:
        match item.get("type", "message"):
            case "reasoning":
                summary = "".join(piece["text"] for piece in item["summary"])
                heard.parts.append(("thought", summary, item.get("encrypted_content") or ""))
            case "message":
                kind = "text" if item["role"] == "assistant" else "user"
                heard.parts.append((kind, text_of(item["content"])))
            case "function_call":
                heard.parts.append(("call", item["call_id"], item["name"], json.loads(item["arguments"] or "{}")))
            case kind:
                assert kind == "function_call_output", kind
                assert item["call_id"] in heard.called(), "a result without a call"
                heard.parts.append(("result", item["call_id"], text_of(item["output"])))
    return heard


HEARERS: dict[str, Callable[[Json], Heard]] = {
    "messages": hear_messages,
    "invoke": hear_messages,
    "converse": hear_converse,
    "chat": hear_chat,
    "responses": hear_responses,
}


# ---- the gateway

CLAUDE = "anthropic.claude-sonnet-4-5-20250929-v1:0"
MODELS: dict[str, Json] = {
    "messages": {"endpoint": "anthropic", "type": "anthropic", "model": "claude-sonnet-4-5"},
    "invoke": {"endpoint": "bedrock", "type": "bedrock", "model": CLAUDE, "api": "invoke"},
    "converse": {"endpoint": "bedrock", "type": "bedrock", "model": f"eu.{CLAUDE}", "api": "converse"},
    "chat": {"endpoint": "openai", "type": "openai", "model": "gpt-4.1", "api": "chat"},
    "responses": {"endpoint": "openai", "type": "openai", "model": "gpt-5.1", "api": "responses"},
}
PAIRS = tuple(itertools.permutations(FORMATS, 2))
CHAINS = [
    *PAIRS,
    ("messages", "invoke", "chat"),
    ("messages", "converse", "responses"),
]


def config(url: str) -> Json:
    """Return a config with a model for each format, and chains of them: ``chat-messages`` is chat, then messages.

    In ``slow-chat-messages`` the first model is not waited for long.
    """
    keys = {"aws_region": "eu-central-1", "aws_access_key_id": "AKIDUPSTREAM", "aws_secret_access_key": "secret"}
    return {
        "endpoints": {
            "anthropic": {"url": url, "api_key": "k"},
            "bedrock": {"url": url, **keys},
            "openai": {"url": f"{url}/v1", "api_key": "k"},
        },
        "models": [
            *({"id": name, **model} for name, model in MODELS.items()),
            *({"id": f"slow-{name}", **model, "first_token_timeout": "200ms"} for name, model in MODELS.items()),
        ],
        "chains": {"-".join(chain): {"models": list(chain)} for chain in CHAINS}
        | {f"slow-{first}-{second}": {"models": [f"slow-{first}", second]} for first, second in PAIRS},
        "retry": {"default_interval": "1ms", "max_cycles": 1, "default_timeout": "20s", "breaker": False},
    }


def format_of(received: Received) -> str:
    """Return the format in which a provider was asked."""
    path = received.path
    if "/model/" in path:
        return "converse" if "/converse" in path else "invoke"
    return {"messages": "messages", "completions": "chat", "responses": "responses"}[path.rpartition("/")[2]]


def is_streaming(received: Received) -> bool:
    return "stream" in received.path or bool(json.loads(received.body).get("stream"))


class Stage:
    """The gateway, and behind it the provider that is all of its endpoints."""

    def __init__(self, gateway: Gateway, provider: Provider) -> None:
        self.gateway, self.provider = gateway, provider

    @property
    def asked(self) -> list[str]:
        """The formats in which the provider was asked, in order."""
        return [format_of(received) for received in self.provider.received]

    def play(self, ways: dict[str, Callable[[Speech], Reply]], said: Said) -> None:
        """Let every model say what is ``said``: in one of ``ways`` if there is one for its format, else whole."""

        def reply(received: Received) -> Reply:
            name = format_of(received)
            return ways.get(name, Speech.answer)(Speech(name, said, stream=is_streaming(received)))

        self.provider.play(reply)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def _stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with Provider() as provider:
        stage = Stage(await launch(config(provider.url), tmp_path_factory.mktemp("mixed")), provider)
        yield stage
        await stage.gateway.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def stage(_stage: Stage) -> AsyncIterator[Stage]:
    """The gateway and its provider, which has received nothing yet."""
    _stage.provider.received.clear()
    yield _stage
    assert _stage.provider.rejected == [], "the gateway sent what is not HTTP"
