"""Tools that Anthropic runs: others do without, unless they have to be called."""

from __future__ import annotations

import json

import pytest

from hydrallm.formats.anthropic_messages_codec import AnthropicMessagesCodec
from hydrallm.formats.canonical import Text

HI = {"role": "user", "content": "hi"}
SEARCH = {"type": "web_search_20250305", "name": "web_search", "max_uses": 3}


@pytest.mark.parametrize("choice", [None, {"type": "auto"}, {"type": "any"}, {"type": "tool", "name": "f"}])
def test_a_tool_that_anthropic_runs_is_done_without_if_it_is_only_offered(choice: dict[str, str] | None) -> None:
    searched = [
        {"type": "text", "text": "Let me see."},
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}},
        {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
        {"type": "text", "text": "So it is."},
    ]
    tools = [SEARCH, {"name": "f", "input_schema": {}}, {"type": "mcp_toolset", "mcp_server_name": "a"}]
    servers = [{"type": "url", "url": "https://a", "name": "a"}]
    turns = [HI, {"role": "assistant", "content": searched}, HI]
    body = {"messages": turns, "tools": tools, "tool_choice": choice, "mcp_servers": servers}
    request = AnthropicMessagesCodec().read_request(json.dumps(body).encode(), model="", stream=False)
    assert (request.bound, [tool.name for tool in request.tools]) == ((), ["f"])
    assert request.messages[1].parts == (Text("Let me see."), Text("So it is."))
    assert list(request.extra) == [
        "mcp_servers",
        "tools.web_search_20250305",
        "tools.mcp_toolset",
        "messages.server_tool_use",
        "messages.web_search_tool_result",
    ]
