"""Anthropic's Messages, to and from the canonical form.

PURE. https://docs.anthropic.com/en/api/messages. The parts are in the modules named ``anthropic_...``; those of them
that know nothing of server-sent events serve InvokeModel too.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hydrallm.formats import anthropic_answer, anthropic_composition, anthropic_request
from hydrallm.formats.anthropic_content import Carrier
from hydrallm.formats.anthropic_stream import MessagesReader
from hydrallm.formats.anthropic_writer import EventWriter

if TYPE_CHECKING:
    from hydrallm.formats.canonical import Composed, Request, Target
    from hydrallm.formats.canonical_answer import Answer
    from hydrallm.formats.codec import Asked
    from hydrallm.message import Headers

VERSION = "2023-06-01"
"""Of the API, where the endpoint's settings do not say: the one that every provider of it knows."""

_BETA = re.compile(r"[A-Za-z0-9._-]+")  # what a client says in a body becomes a header here

_ANTHROPIC = Carrier(
    name="anthropic-messages",
    urls=True,
    files=True,
    tiers=frozenset({"auto", "standard_only"}),
    prompt_mark=True,
    system_turns=True,
)


class AnthropicMessagesCodec:
    """The codec of ``anthropic-messages``."""

    name = _ANTHROPIC.name

    def read_request(self, body: bytes, *, model: str, stream: bool) -> Request:
        """Return what a client asks; of a count of tokens, what is to be counted."""
        return anthropic_request.read_request(body, format_=self.name, model=model, stream=stream)

    def compose(self, request: Request, target: Target) -> Composed:
        """Return ``request`` as a body for ``target``."""
        rest = {"model": target.model, **({"stream": True} if request.stream else {})}
        return anthropic_composition.compose(request, target, _ANTHROPIC, rest)

    def address(self, request: Request, target: Target) -> tuple[bytes, Headers]:
        """Return the path and the headers of a composed request: the API's version, and the betas that it asks for."""
        headers = [(b"anthropic-version", (target.version or VERSION).encode())]
        if betas := [beta for beta in dict.fromkeys((*target.betas, *request.betas)) if _BETA.fullmatch(beta)]:
            headers.append((b"anthropic-beta", ",".join(betas).encode()))
        return b"/v1/messages", headers

    def compose_count(self, request: Request, target: Target) -> Composed:
        """Return the body that asks ``target`` how many tokens ``request`` has.

        Raises:
            UnservedError: it cannot be said, or the model cannot do it.
        """
        return anthropic_composition.compose_count(request, target, _ANTHROPIC)

    def read_answer(self, body: bytes) -> Answer:
        """Return what a whole answer says."""
        return anthropic_answer.read_answer(body)

    def write_answer(self, answer: Answer, asked: Asked) -> bytes:
        """Return ``answer`` as a body of Messages."""
        return anthropic_answer.write_answer(answer, asked)

    def reader(self) -> MessagesReader:
        """Return the reader of a new stream."""
        return MessagesReader()

    def writer(self, asked: Asked) -> EventWriter:
        """Return the writer of a new stream."""
        return EventWriter(asked, _server_sent_event)


def _server_sent_event(kind: str, event: bytes) -> bytes:
    # The SDK tells events apart by the field, and drops one without it.
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), event)
