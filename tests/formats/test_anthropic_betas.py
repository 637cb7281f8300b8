"""Flags: read from a header, and those that Bedrock is shown."""

from __future__ import annotations

import pytest

from hydrallm.formats.anthropic_betas import BEDROCK, bedrock_betas, read_betas
from hydrallm.formats.canonical import Request, Target, Tool
from hydrallm.formats.facts import Facts

CLAUDE_CODE = (
    "claude-code-20250219",
    "oauth-2025-04-20",
    "interleaved-thinking-2025-05-14",
    "prompt-caching-scope-2026-01-05",
    "context-1m-2025-08-07",
)
BUDGET, NEWEST = Facts(budget=True), Facts(adaptive=True)


@pytest.mark.parametrize(
    ("header", "flags"),
    [
        (b"", ()),
        (b" , ,", ()),
        (b"a", ("a",)),
        (b"a,b , c", ("a", "b", "c")),
        (b"a,a", ("a",)),
        (b"\xff", ("\xff",)),
    ],
)
def test_a_header(header: bytes, flags: tuple[str, ...]) -> None:
    assert read_betas(header) == flags


def betas(format_: str, asked: tuple[str, ...], facts: Facts, *tools: Tool) -> list[str]:
    request = Request(format=format_, betas=asked, tools=tools)
    return bedrock_betas(request, Target("anthropic.claude", facts, betas=("ours", "context-1m-2025-08-07")))


def test_bedrock_is_shown_what_it_takes_and_what_the_settings_say() -> None:
    known = ["ours", "context-1m-2025-08-07", "interleaved-thinking-2025-05-14"]
    assert betas("anthropic-messages", CLAUDE_CODE, BUDGET) == known
    assert betas("bedrock-invoke", CLAUDE_CODE, NEWEST) == list(
        dict.fromkeys(("ours", "context-1m-2025-08-07", *CLAUDE_CODE))
    )


def test_the_newest_models_need_none_but_for_tools_of_anthropic_s_own() -> None:
    flag = "computer-use-2025-11-24"
    assert flag in BEDROCK
    assert betas("anthropic-messages", (*CLAUDE_CODE, flag), NEWEST) == ["ours", "context-1m-2025-08-07"]
    computer = Tool("computer", native=b'{"type":"computer_20251124","name":"computer"}')  # type: ignore[arg-type]
    assert flag in betas("anthropic-messages", (flag,), NEWEST, computer)
