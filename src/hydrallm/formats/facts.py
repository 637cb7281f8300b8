"""What a request must know of a model that it is composed for.

PURE. Where the facts come from is for :mod:`hydrallm.config` to know.
"""

from __future__ import annotations

from typing import Literal

import msgspec


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a model, from the shipped data and the config; the defaults are safe for any.

    Attributes:
        max_output: tokens that an answer may have.
        default_output: tokens to ask for where a format demands a figure and the client gave none.
        budget: thinks with a budget (Anthropic's ``enabled``).
        adaptive: thinks as much as it wants (Anthropic's ``adaptive``).
        thinks_always: refuses to be told not to think.
        efforts: those that it takes; empty for a model that is not told of any.
        thoughts_back: wants its thoughts back as ``reasoning_content`` (DeepSeek, Kimi); others refuse the member.
        sampling: takes temperature, top_p and top_k.
        forced_tool: takes a tool choice that forces a call.
        forced_tool_thinking: takes one also while it thinks.
        prefill: continues an assistant turn.
        system_turns: takes instructions in the middle of a conversation (Anthropic's ``role: system``).
        json_output: takes a schema for the answer.
        images, documents, tools: takes them.
        chat_tools: takes tools in Chat Completions: ``any``, as everywhere; ``quiet``, if it is told not to think;
            ``none``, not there but in Responses.
        cache: takes cache marks (Anthropic's and Bedrock's).
        breakpoints: takes OpenAI's cache marks, which models before gpt-5.6 refuse.
    """

    max_output: int | None = None
    default_output: int = 4096
    budget: bool = False
    adaptive: bool = False
    thinks_always: bool = False
    efforts: tuple[str, ...] = ()
    thoughts_back: bool = False
    sampling: bool = True
    forced_tool: bool = True
    forced_tool_thinking: bool = True
    prefill: bool = True
    system_turns: bool = False
    json_output: bool = True
    images: bool = True
    documents: bool = True
    tools: bool = True
    chat_tools: Literal["any", "quiet", "none"] = "any"
    cache: bool = True
    breakpoints: bool = False
