"""The flags by which clients of Anthropic's models ask for what is in beta.

PURE. Anthropic's own API takes them in the header ``anthropic-beta``, Bedrock in the body, as ``anthropic_beta``. Each
host knows its own, and Bedrock refuses a request with one that it does not know (``invalid beta flag``). Clients such
as Claude Code send a dozen with every request.

A flag is of a host and not of a request: what a request asks for is in its body, and composed or dropped there. So what
Bedrock does not take is left out, and not counted as dropped.

Sources: https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages-request-response.html,
https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages-tool-use.html, and what
was seen to be refused: https://github.com/anthropics/claude-code/issues/49370,
https://github.com/router-for-me/CLIProxyAPI/issues/4750
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hydrallm.formats.canonical import Request, Target

BEDROCK = frozenset(
    {
        "computer-use-2024-10-22",
        "computer-use-2025-01-24",
        "computer-use-2025-11-24",
        "context-1m-2025-08-07",
        "context-management-2025-06-27",
        "dev-full-thinking-2025-05-14",
        "effort-2025-11-24",
        "fine-grained-tool-streaming-2025-05-14",
        "interleaved-thinking-2025-05-14",
        "output-128k-2025-02-19",
        "token-efficient-tools-2025-02-19",
    }
)
"""Those that Bedrock takes and that a composed request can have a use for."""


def read_betas(header: bytes) -> tuple[str, ...]:
    """Return the flags in a value of the header ``anthropic-beta``, each once.

    Args:
        header: such as ``b"a,b , c"``.
    """
    flags = (flag.strip() for flag in header.decode("latin-1").split(","))
    return tuple(dict.fromkeys(flag for flag in flags if flag))


def bedrock_betas(request: Request, target: Target) -> list[str]:
    """Return the flags for a body that is composed for one of Anthropic's models on Bedrock, each once.

    These are all of the endpoint's settings, and those of the client that Bedrock takes; all of them if the client
    speaks to Bedrock anyway. Models that know no budget have everything without a flag, and the first of them were seen
    to refuse flags that the older ones take; so they get none but for a request with tools of Anthropic's own.
    """
    asked: tuple[str, ...] = ()
    if request.format.startswith("bedrock-"):
        asked = request.betas
    elif target.facts.budget or any(tool.native is not None for tool in request.tools):
        asked = tuple(flag for flag in request.betas if flag in BEDROCK)
    return list(dict.fromkeys((*target.betas, *asked)))
