"""Anthropic's count of tokens.

PURE. https://platform.claude.com/docs/en/api/messages/count_tokens. It takes most of what Messages takes, but neither
images and documents by address or file, nor tools that Anthropic runs; those are answered with a 400.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec

from hydrallm.formats.anthropic_messages_codec import AnthropicMessagesCodec
from hydrallm.formats.strict_json import read_tolerantly
from hydrallm.formats.token_count import Counting

if TYPE_CHECKING:
    from hydrallm.formats.canonical import Request, Target


class _Count(msgspec.Struct, frozen=True, gc=False):
    input_tokens: Annotated[int, msgspec.Meta(ge=0)]


_COUNT = msgspec.json.Decoder(_Count)


class MessagesCounter:
    """Asks a model of Anthropic's own API; see :class:`~hydrallm.formats.token_count.Counter`."""

    def __init__(self) -> None:
        self._codec = AnthropicMessagesCodec()

    def compose(self, request: Request, target: Target) -> Counting:
        """Return the question; its version and betas are headers."""
        _, headers = self._codec.address(request, target)
        return Counting(b"/v1/messages/count_tokens", headers, self._codec.compose_count(request, target).body)

    def read(self, body: bytes) -> int:
        """Return the tokens that the answer tells."""
        return read_tolerantly(body, _COUNT.decode, "a count of tokens").input_tokens
