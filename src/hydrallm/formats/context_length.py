"""How APIs say that a request is too long for a model, so that their clients find it out.

PURE. Agents do something about this error: they summarise the conversation, or ask again for a shorter answer. Only
OpenAI has a code for it, so most of them go by the prose of the API that they talk to, and by the figures in it:

=============  =====================================================================================================
Claude Code    ``prompt is too long`` or ``input is too long for requested model``: it summarises, and leaves out as
               much as ``N tokens > M`` tells it; ``input length and `max_tokens` exceed context limit: A + B > M``:
               it asks again with a smaller ``max_tokens``
Codex          the code ``context_length_exceeded``
Cline          that code, ``context length``, ``context window``, ``maximum context``; of Anthropic any bad request
LiteLLM        ``this model's maximum context length is``, ``exceed context limit``, and others (aider goes by it)
OpenCode, pi   ``prompt is too long``, ``input is too long for requested model``, ``maximum context length is N tokens``
=============  =====================================================================================================

So an error that comes from an API of another kind gets the words of the client's in front, with the figures where the
upstream gave any. Where it does not (vLLM's "at least 769 input tokens" only says where it stopped to count), none are
made up.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from hydrallm.formats.base import ApiType

if TYPE_CHECKING:
    from collections.abc import Mapping

START = 512
"""Characters of a message that are searched: further on, it quotes the request."""


class Excess(msgspec.Struct, frozen=True):
    """By how much a request is too long, in tokens.

    Attributes:
        limit: what the model takes, the answer included.
        input: what the request has.
        output: what it asks for; 0 where that was not said, or the input is too long by itself.
    """

    limit: int
    input: int
    output: int = 0


class Idiom(msgspec.Struct, frozen=True):
    """How one API says it.

    Attributes:
        known: what its clients look for.
        bare: said where there are no figures.
        alone: the input is too long by itself.
        together: it is too long with the answer that it asks for.
    """

    known: re.Pattern[str]
    bare: str
    alone: str
    together: str


_ALONE = "prompt is too long: {input} tokens > {limit} maximum"
_TOGETHER = "input length and `max_tokens` exceed context limit: {input} + {output} > {limit}"

IDIOMS: Mapping[ApiType, Idiom] = {
    ApiType.OPENAI: Idiom(
        re.compile(r"this model's maximum context length is|exceeds the context window", re.IGNORECASE),
        "This model's maximum context length is exceeded",
        "This model's maximum context length is {limit} tokens. However, your messages resulted in {input} tokens",
        "This model's maximum context length is {limit} tokens. However, you requested {total} tokens "
        "({input} in the messages, {output} in the completion)",
    ),
    ApiType.ANTHROPIC: Idiom(
        re.compile(r"prompt is too long|exceed context limit", re.IGNORECASE), "prompt is too long", _ALONE, _TOGETHER
    ),
    # Bedrock passes on what Anthropic's models say, and says itself that it is too long, without figures.
    ApiType.BEDROCK: Idiom(
        re.compile(r"prompt is too long|exceed context limit|input is too long for requested model", re.IGNORECASE),
        "Input is too long for requested model",
        _ALONE,
        _TOGETHER,
    ),
}

_SAID = re.compile(r"(prompt|input) is too long|context (length|window|size|limit)", re.IGNORECASE)

_NUMBER = r"\d{1,12}"
_INPUT = rf"(?P<input>{_NUMBER})"
_OUTPUT = rf"(?P<output>{_NUMBER})"
_PARTS = rf"(?P<input>({_NUMBER} [a-z ]{{1,30}}, (and )?){{1,4}})"
_MAXIMUM = rf"maximum context length is (?P<limit>{_NUMBER}) tokens\. However, "

_FIGURES: tuple[re.Pattern[str], ...] = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # Anthropic
        rf"prompt is too long: {_INPUT} tokens > (?P<limit>{_NUMBER})",
        rf"exceed context limit: {_INPUT} \+ {_OUTPUT} > (?P<limit>{_NUMBER})",
        # OpenAI, DeepSeek, older vLLM: in the messages, the functions, the completion; OpenRouter: of text input, ...
        rf"{_MAXIMUM}you requested (about )?{_NUMBER} tokens \({_PARTS}{_OUTPUT} in the (completion|output)\)",
        rf"{_MAXIMUM}(your messages resulted in|you requested)( about)? {_INPUT} tokens",
        # vLLM
        rf"{_MAXIMUM}you requested {_OUTPUT} output tokens and your prompt contains {_INPUT} input tokens",
        rf"{_MAXIMUM}you requested 0 output tokens and your prompt contains at least {_INPUT} input tokens",
    )
)


def is_said(message: str) -> bool:
    """Return whether the message of an error says that a request is too long."""
    return _SAID.search(message[:START]) is not None


def excess(message: str) -> Excess | None:
    """Return by how much a request is too long; None if the message does not say."""
    start = message[:START]
    found = next(filter(None, (pattern.search(start) for pattern in _FIGURES)), None)
    if found is None:
        return None
    said = found.groupdict()
    total = Excess(
        limit=int(said["limit"]),
        # A sum, where the input is told by its parts.
        input=sum(map(int, re.findall(_NUMBER, said["input"]))),
        output=int(said.get("output") or 0),
    )
    if total.input > total.limit:
        return Excess(total.limit, total.input)
    return total if total.input + total.output > total.limit else None


def said_for(message: str, api_type: ApiType) -> str:
    """Return a message that clients of ``api_type`` take for what it says.

    Args:
        message: an upstream's, which says that a request is too long; may be empty. It is kept whole.
        api_type: whose words come in front, where they are missing.
    """
    idiom = IDIOMS[api_type]
    if idiom.known.search(message[:START]):
        return message
    by = excess(message)
    if by is None:
        lead = idiom.bare
    else:
        form = idiom.together if by.output else idiom.alone
        lead = form.format(limit=by.limit, input=by.input, output=by.output, total=by.input + by.output)
    return f"{lead}: {message}" if message else lead
