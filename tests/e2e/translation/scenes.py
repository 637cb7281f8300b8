"""What is asked and answered in the matrix, and what each model's API cannot serve.

Most scenes are those of ``tests/formats/translation``, where the same requests and answers stand in the words of every
format. The page ``docs/wire-formats.md`` has these tables, too; see ``test_documentation.py``.
"""

from __future__ import annotations

from typing import Any

import msgspec
from tests.formats.translation.requests.test_requests import DROPPED, REQUESTS, row

FORMATS = ("chat", "responses", "messages", "invoke", "converse")
OPENAI, ANTHROPIC, BEDROCK = ("chat", "responses"), ("messages", "invoke"), ("invoke", "converse")

NAMES = {
    "chat": "Chat Completions",
    "responses": "Responses",
    "messages": "Messages",
    "invoke": "InvokeModel",
    "converse": "Converse",
}

TURN: list[dict[str, Any]] = [{"role": "user", "content": "hi"}]


class Scene(msgspec.Struct, frozen=True):
    """A request and its answer.

    Attributes:
        what: it is about, for a person.
        bodies: the request, by the formats that can say it.
        answer: which of the canned ones comes.
    """

    what: str
    bodies: dict[str, dict[str, Any]]
    answer: str = "text"


def known(request: str, what: str, answer: str = "text") -> Scene:
    """Return a scene with a request that is known from the tests of the formats."""
    return Scene(what, REQUESTS[request], answer)


def own(what: str, client: str, **said: Any) -> Scene:  # noqa: ANN401 - any JSON
    """Return a scene that only one format can say, with what it says beside a short question."""
    short: dict[str, dict[str, Any]] = {
        "chat": {"messages": TURN},
        "responses": {"input": "hi"},
        "messages": {"max_tokens": 9, "messages": TURN},
        "converse": {"messages": [{"role": "user", "content": [{"text": "hi"}]}]},
    }
    return Scene(what, {client: short[client] | said})


MARKED = {"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral"}}
BEGUN = {"role": "assistant", "content": "Once upon"}
STORED = {"type": "file", "file": {"file_id": "file-1"}}
SEARCH = {"type": "web_search_20250305", "name": "web_search"}
AGENT = {"type": "function", "name": "spawn", "parameters": {"type": "object", "properties": {}}, "strict": False}
AGENTS = {"type": "namespace", "name": "agents", "description": "Others.", "tools": [AGENT]}

SCENES: dict[str, Scene] = {
    "text": known("text", "text, with a system prompt and a history"),
    "one tool": known("one tool", "a tool that must be called, and its call", "one tool"),
    "two tools": known("two tools", "two tools called side by side, and their results", "two tools"),
    "no arguments": known("one tool", "a call without arguments", "a tool without arguments"),
    "tool result": known("tool result", "the result of a tool that failed"),
    "tools off": known("tools off", "tools that must not be called"),
    "one call at a time": known("one call at a time", "one call at a time"),
    "image": known("image", "an image, inline"),
    "image of the web": known("image of the web", "an image, by its URL"),
    "document": known("document", "a PDF, inline"),
    "structured output": known("structured output", "an answer by a JSON schema", "structured output"),
    "thinking": known("thinking", "thinking", "thinking"),
    "thinking and a tool": known("thinking", "thinking, then a call", "thinking and a tool"),
    "thoughts of before": known("thoughts of before", "thoughts in the history"),
    "cached usage": known("text", "tokens read from a cache and written to one", "cached usage"),
    "refusal": known("text", "a refusal, or a content filter's word", "refusal"),
    "length": known("text", "an answer cut at its token limit", "length"),
    "sampling": known("sampling", "settings for sampling, and a stop sequence"),
    "five stops": known("five stops", "five stop sequences"),
    "two answers": own("`n` over 1", "chat", n=2),
    "log probabilities": own("`logprobs`", "chat", logprobs=True),
    "any JSON": own("any JSON, by no schema", "chat", response_format={"type": "json_object"}),
    "cache marks": own("marks of what to cache", "messages", system=[MARKED]),
    "a beginning": own("an answer's beginning, to be continued", "messages", messages=[*TURN, BEGUN]),
    "a stored file": own("a file by its id", "chat", messages=[{"role": "user", "content": [STORED]}]),
    "a free-text tool": own("a tool that takes free text", "responses", tools=[{"type": "custom", "name": "patch"}]),
    "Anthropic's shell": own(
        "a tool that Anthropic defines and the client runs",
        "messages",
        tools=[{"type": "bash_20250124", "name": "bash"}],
    ),
    "a stored response": own("`previous_response_id`", "responses", previous_response_id="resp_1"),
    "in the background": own("`background`", "responses", background=True),
    "OpenAI's search": own("a tool that OpenAI runs, and may be called", "responses", tools=[{"type": "web_search"}]),
    "OpenAI's search, forced": own(
        "a tool that OpenAI runs, and must be called",
        "responses",
        tools=[{"type": "web_search"}],
        tool_choice={"type": "web_search"},
    ),
    "Anthropic's search": own("a tool that Anthropic runs, and may be called", "messages", tools=[SEARCH]),
    "Anthropic's search, forced": own(
        "a tool that Anthropic runs, and must be called", "messages", tools=[SEARCH], tool_choice={"type": "any"}
    ),
    "a namespace": own("tools in a namespace", "responses", tools=[AGENTS]),
    "a guardrail": own(
        "a guardrail of Bedrock's",
        "converse",
        guardrailConfig={"guardrailIdentifier": "abcdefgh", "guardrailVersion": "1"},
    ),
}
"""In the order of the page."""


class Unserved(msgspec.Struct, frozen=True):
    """Cells that cannot be served.

    Attributes:
        scene: the request.
        models: the formats that cannot say it.
        reason: as the client is told.
        clients: that ask for what cannot be served.
    """

    scene: str
    models: tuple[str, ...]
    reason: str
    clients: tuple[str, ...] = FORMATS


NOT_CHAT, NOT_RESPONSES = FORMATS[1:], ("chat", *FORMATS[2:])

UNSERVED = (
    Unserved("image of the web", BEDROCK, "the URL of an image"),
    Unserved("five stops", ("chat",), "5 stop sequences: Chat Completions takes 4"),
    Unserved("five stops", ("responses",), "stop sequences: Responses takes none"),
    Unserved("sampling", ("responses",), "stop sequences: Responses takes none", NOT_RESPONSES),
    Unserved("two answers", NOT_CHAT, "`n` over 1"),
    Unserved("log probabilities", NOT_CHAT, "`logprobs`"),
    Unserved("a beginning", OPENAI, "the model does not continue an assistant's turn"),
    Unserved("a stored file", ("messages", *BEDROCK), "the id of a file at another provider"),
    Unserved("Anthropic's shell", (*OPENAI, "converse"), "the tool 'bash', which only Anthropic defines"),
    Unserved("a stored response", NOT_RESPONSES, "`previous_response_id`, of a response that is stored at OpenAI"),
    Unserved("in the background", NOT_RESPONSES, "`background`"),
    Unserved("OpenAI's search, forced", NOT_RESPONSES, "a forced call of a tool that OpenAI runs"),
    Unserved("Anthropic's search, forced", (*OPENAI, *BEDROCK), "a forced call of a tool that Anthropic runs"),
    Unserved("a guardrail", FORMATS[:-1], "`guardrailConfig`, a guardrail of Bedrock's"),
)
"""A client of the model's own format is always served: its bytes pass."""


def unserved(scene: str, client: str, model: str) -> str:
    """Return why a cell cannot be served; empty if it can."""
    cell = (row.reason for row in UNSERVED if row.scene == scene and model in row.models and client in row.clients)
    return "" if client == model else next(cell, "")


LEFT_OUT = (
    *DROPPED,
    ("any JSON", ("chat",), ("messages", *BEDROCK), {"response_format"}),
    ("cache marks", ("messages",), OPENAI, {"cache_control"}),
    ("OpenAI's search", ("responses",), NOT_RESPONSES, {"tools.web_search"}),
    ("Anthropic's search", ("messages",), (*OPENAI, *BEDROCK), {"tools.web_search_20250305"}),
)
"""What is left out, by the client's own names: the scene, the clients, the models, the names."""


def left_out(scene: str, client: str, model: str) -> set[str]:
    """Return what is left out in a cell."""
    return set() if client == model else set(row(LEFT_OUT, (scene, client, model)) or ())


class Failure(msgspec.Struct, frozen=True):
    """An error, in the words of each family of APIs.

    Attributes:
        what: has gone wrong, for a person.
        openai: status and ``code`` (or ``type``, where there is no code).
        anthropic: status and ``type``.
        bedrock: status and exception.
        words: by which clients of each know it, beside the provider's own message.
    """

    what: str
    openai: tuple[int, str]
    anthropic: tuple[int, str]
    bedrock: tuple[int, str]
    words: dict[str, str] = {}

    def said(self, client: str) -> tuple[int, str]:
        """Return how the API of a client's format says it."""
        return self.openai if client in OPENAI else self.bedrock if client in BEDROCK else self.anthropic


_REQUEST = "invalid_request_error"

FAILURES: dict[str, Failure] = {
    "client_error": Failure("the request is wrong", (400, _REQUEST), (400, _REQUEST), (400, "ValidationException")),
    "context_length": Failure(
        "it is too long for the model",
        (400, "context_length_exceeded"),
        (400, _REQUEST),
        (400, "ValidationException"),
        {"messages": "prompt is too long"},
    ),
    "content_filter": Failure(
        "a filter refuses it", (400, "content_filter"), (400, _REQUEST), (400, "ValidationException")
    ),
    "rate_limited": Failure(
        "too many requests", (429, "rate_limit_exceeded"), (429, "rate_limit_error"), (429, "ThrottlingException")
    ),
    "overloaded": Failure(
        "overloaded", (503, "server_is_overloaded"), (529, "overloaded_error"), (503, "ServiceUnavailableException")
    ),
    "transient": Failure(
        "timed out at the provider", (504, "timeout_error"), (504, "timeout_error"), (408, "ModelTimeoutException")
    ),
    "server": Failure(
        "the provider's own error", (500, "server_error"), (500, "api_error"), (500, "InternalServerException")
    ),
    "quota": Failure(
        "HydraLLM's account has no money or quota left",
        (502, "upstream_quota"),
        (502, "api_error"),
        (502, "ServiceUnavailableException"),
    ),
    "auth": Failure(
        "HydraLLM's key is refused",
        (502, "upstream_misconfigured"),
        (502, "api_error"),
        (502, "ServiceUnavailableException"),
    ),
}
"""By the causes that the simulated provider knows; as they are said to clients of another API than the model's."""
