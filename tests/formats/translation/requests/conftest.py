"""What a request says, told in a few words that no format owns."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

View = dict[str, Any]


def turns(said: list[tuple[str, list[Any]]]) -> list[list[Any]]:
    """Return the turns, those of the same role joined."""
    joined: list[list[Any]] = []
    for role, parts in said:
        if joined and joined[-1][0] == role:
            joined[-1] += parts
        else:
            joined.append([role, *parts])
    return joined


def located(url: str) -> str:
    return url.removeprefix("data:").replace(";base64,", " ")


def chat_parts(content: Any) -> list[Any]:  # noqa: ANN401 - JSON
    parts: list[Any] = []
    pieces: list[View] = [{"type": "text", "text": content}] if isinstance(content, str) else content or []
    for part in pieces:
        match part["type"]:
            case "image_url":
                parts.append(["image", located(part["image_url"]["url"])])
            case "file":
                parts.append(["document", part["file"]["filename"], located(part["file"]["file_data"])])
            case kind:
                assert kind == "text"
                parts.append(part["text"])
    return parts


def told_by_chat(body: View) -> View:
    said: list[tuple[str, list[Any]]] = []
    for message in body["messages"]:
        parts = chat_parts(message.get("content"))
        if message.get("reasoning_content"):
            parts.insert(0, ["thought", message["reasoning_content"]])
        for call in message.get("tool_calls", ()):
            parts.append(["call", call["id"], call["function"]["name"], json.loads(call["function"]["arguments"])])
        if message["role"] == "tool":
            said.append(("user", [["result", message["tool_call_id"], *parts]]))
        else:
            said.append((message["role"], parts))
    form = body.get("response_format", {})
    choice = body.get("tool_choice")
    return {
        "system": [part for role, parts in said if role == "system" for part in parts],
        "turns": turns([turn for turn in said if turn[0] != "system"]),
        "tools": [[tool["function"]["name"], tool["function"]["parameters"]] for tool in body.get("tools", ())],
        "choice": ["one", choice["function"]["name"]] if isinstance(choice, dict) else choice,
        "parallel": body.get("parallel_tool_calls"),
        "max": body.get("max_completion_tokens", body.get("max_tokens")),
        "sampling": sampling(body, "temperature", "top_p", "seed", "frequency_penalty", "stop"),
        "schema": form.get("json_schema", {}).get("schema"),
        "thinking": body.get("reasoning_effort"),
        "user": body.get("user", body.get("safety_identifier")),
    }


def sampling(body: View, *names: str) -> View:
    return {name: body[name] for name in names if name in body}


def told_by_responses(body: View) -> View:
    said: list[tuple[str, list[Any]]] = []
    given = body["input"]
    items: list[View] = [{"role": "user", "content": given}] if isinstance(given, str) else given
    for item in items:
        match item.get("type", "message"):
            case "function_call":
                call = ["call", item["call_id"], item["name"], json.loads(item["arguments"])]
                said.append(("assistant", [call]))
            case "function_call_output":
                out = item["output"]
                texts = [out] if isinstance(out, str) else [piece["text"] for piece in out]
                said.append(("user", [["result", item["call_id"], *texts]]))
            case "reasoning":
                said.append(("assistant", [["thought", piece["text"]] for piece in item["summary"]]))
            case _:
                said.append((item["role"], responses_parts(item["content"])))
    choice = body.get("tool_choice")
    return {
        "system": [body["instructions"]] if body.get("instructions") else [],
        "turns": turns(said),
        "tools": [[tool["name"], tool["parameters"]] for tool in body.get("tools", ())],
        "choice": ["one", choice["name"]] if isinstance(choice, dict) else choice,
        "parallel": body.get("parallel_tool_calls"),
        "max": body.get("max_output_tokens"),
        "sampling": sampling(body, "temperature", "top_p"),
        "schema": body.get("text", {}).get("format", {}).get("schema"),
        "thinking": body.get("reasoning", {}).get("effort"),
        "user": body.get("user", body.get("safety_identifier")),
    }


def responses_parts(content: Any) -> list[Any]:  # noqa: ANN401 - JSON
    parts: list[Any] = []
    pieces: list[View] = [{"type": "input_text", "text": content}] if isinstance(content, str) else content
    for part in pieces:
        match part["type"]:
            case "input_image":
                parts.append(["image", located(part["image_url"])])
            case "input_file":
                parts.append(["document", part["filename"], located(part["file_data"])])
            case kind:
                assert kind in {"input_text", "output_text"}
                parts.append(part["text"])
    return parts


def message_parts(content: Any) -> list[Any]:  # noqa: ANN401 - JSON
    parts: list[Any] = []
    blocks: list[View] = [{"type": "text", "text": content}] if isinstance(content, str) else content
    for block in blocks:
        source = block.get("source", {})
        place = source.get("url") or f"{source.get('media_type')} {source.get('data')}"
        match block["type"]:
            case "image":
                parts.append(["image", place])
            case "document":
                parts.append(["document", block.get("title"), place])
            case "thinking":
                parts.append(["thought", block["thinking"]])
            case "tool_use":
                parts.append(["call", block["id"], block["name"], block["input"]])
            case "tool_result":
                failed = [True] if block.get("is_error") else []
                parts.append(["result", block["tool_use_id"], *message_parts(block["content"]), *failed])
            case kind:
                assert kind == "text"
                parts.append(block["text"])
    return parts


def told_by_messages(body: View) -> View:
    choice = body.get("tool_choice", {})
    kind = {"any": "required", "tool": ["one", choice.get("name")]}.get(choice.get("type"), choice.get("type"))
    form = body.get("output_config", {}).get("format", {})
    return {
        "system": message_parts(body.get("system", [])),
        "turns": turns([(message["role"], message_parts(message["content"])) for message in body["messages"]]),
        "tools": [[tool["name"], tool["input_schema"]] for tool in body.get("tools", ())],
        "choice": kind,
        "parallel": False if choice.get("disable_parallel_tool_use") else None,
        "max": body["max_tokens"],
        "sampling": sampling(body, "temperature", "top_p", "top_k") | renamed(body, {"stop_sequences": "stop"}),
        "schema": form.get("schema"),
        "thinking": body.get("thinking", {}).get("budget_tokens"),
        "user": body.get("metadata", {}).get("user_id"),
    }


def renamed(body: View, names: dict[str, str]) -> View:
    return {name: body[own] for own, name in names.items() if own in body}


def converse_parts(content: list[Any]) -> list[Any]:
    parts: list[Any] = []
    for block in content:
        ((kind, said),) = block.items()
        match kind:
            case "image":
                parts.append(["image", f"image/{said['format']} {said['source']['bytes']}"])
            case "document":
                parts.append(["document", said["name"], f"application/{said['format']} {said['source']['bytes']}"])
            case "reasoningContent":
                parts.append(["thought", said["reasoningText"]["text"]])
            case "toolUse":
                parts.append(["call", said["toolUseId"], said["name"], said["input"]])
            case "toolResult":
                failed = [True] if said.get("status") == "error" else []
                parts.append(["result", said["toolUseId"], *converse_parts(said["content"]), *failed])
            case _:
                assert kind == "text"
                parts.append(said)
    return parts


def told_by_converse(body: View) -> View:
    config, inference = body.get("toolConfig", {}), body.get("inferenceConfig", {})
    more = body.get("additionalModelRequestFields", {})
    ((kind, choice),) = config.get("toolChoice", {"": {}}).items()
    schema = body.get("outputConfig", {}).get("textFormat", {}).get("structure", {}).get("jsonSchema", {}).get("schema")
    tools = [tool["toolSpec"] for tool in config.get("tools", ()) if "toolSpec" in tool]
    names = {"temperature": "temperature", "topP": "top_p", "stopSequences": "stop"}
    own_choice = more.get("tool_choice", {})
    return {
        "system": converse_parts(body.get("system", [])),
        "turns": turns([(message["role"], converse_parts(message["content"])) for message in body["messages"]]),
        "tools": [[tool["name"], tool["inputSchema"]["json"]] for tool in tools],
        "choice": {"any": "required", "tool": ["one", choice.get("name")], "": None}.get(kind, kind),
        "parallel": False if own_choice.get("disable_parallel_tool_use") else None,
        "max": inference.get("maxTokens"),
        "sampling": renamed(inference, names) | sampling(more, "top_k"),
        "schema": json.loads(schema) if schema else None,
        "thinking": more.get("thinking", {}).get("budget_tokens"),
        "user": body.get("requestMetadata", {}).get("user_id"),
    }


TOLD: dict[str, Callable[[View], View]] = {
    "chat": told_by_chat,
    "responses": told_by_responses,
    "messages": told_by_messages,
    "invoke": told_by_messages,
    "converse": told_by_converse,
}


def told(model: str, body: View) -> View:
    """Return what a request says; what it does not say is left out."""
    return {name: value for name, value in TOLD[model](body).items() if value not in (None, [], {})}


@pytest.fixture(scope="session", name="told")
def fixture_told() -> Callable[[str, View], View]:
    return told
