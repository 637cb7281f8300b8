"""OpenAI's count of tokens.

PURE. https://platform.openai.com/docs/api-reference/responses/input-tokens. It takes the members of a request of
Responses that the model reads. APIs that are like OpenAI's mostly do not have it, and answer 404.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec

from hydrallm.formats.openai_responses_codec import OpenAIResponsesCodec
from hydrallm.formats.strict_json import read_tolerantly
from hydrallm.formats.token_count import Counting

if TYPE_CHECKING:
    from hydrallm.formats.canonical import Request, Target

_COUNTED = frozenset(
    {"model", "input", "instructions", "tools", "tool_choice", "parallel_tool_calls", "reasoning", "text"}
)
"""The members of Responses that are taken; another one would be refused."""


class _Count(msgspec.Struct, frozen=True, gc=False):
    input_tokens: Annotated[int, msgspec.Meta(ge=0)]


_COUNT = msgspec.json.Decoder(_Count)
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])


class ResponsesCounter:
    """Asks a model of OpenAI's Responses; see :class:`~hydrallm.formats.token_count.Counter`."""

    def __init__(self) -> None:
        self._codec = OpenAIResponsesCodec()

    def compose(self, request: Request, target: Target) -> Counting:
        """Return the question."""
        members = _MEMBERS.decode(self._codec.compose(request, target).body)
        body = msgspec.json.encode({name: value for name, value in members.items() if name in _COUNTED})
        return Counting(b"/v1/responses/input_tokens", [], body)

    def read(self, body: bytes) -> int:
        """Return the tokens that the answer tells."""
        return read_tolerantly(body, _COUNT.decode, "a count of tokens").input_tokens
