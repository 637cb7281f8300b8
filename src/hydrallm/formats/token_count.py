"""How many tokens a request has, asked of an upstream that can tell.

PURE. Only Anthropic's Messages has the question among its own operations (``POST /v1/messages/count_tokens``); Bedrock
and OpenAI have it beside theirs. A client's request, read by its format's codec, is put into the words of whichever
model is asked (:mod:`hydrallm.formats.token_counters` lists them), and what comes back is one figure. Where no model of
a chain answers, :mod:`hydrallm.formats.token_estimate` makes one up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

from hydrallm.message import Headers

if TYPE_CHECKING:
    from hydrallm.formats.canonical import Request, Target


class Counting(msgspec.Struct, frozen=True):
    """The question how many tokens a request has; it is a POST.

    Attributes:
        path: from the API's root and with its version.
        headers: those that the question needs.
        body: JSON.
    """

    path: bytes
    headers: Headers
    body: bytes


class Counter(Protocol):
    """Asks the models of one wire format."""

    def compose(self, request: Request, target: Target) -> Counting:
        """Return the question how many tokens ``request`` has for ``target``.

        Raises:
            UnservedError: it cannot be asked of this model, which then is not.
        """

    def read(self, body: bytes) -> int:
        """Return the tokens that the answer tells.

        Args:
            body: of a response with the status 200.

        Raises:
            UntranslatableError: it tells no number of tokens.
        """


def write_count(tokens: int) -> bytes:
    """Return the answer of Anthropic's ``count_tokens``."""
    return msgspec.json.encode({"input_tokens": tokens})
