"""In which wire format a model is asked.

A *dialect* is a wire format with what translates it. A model's API type says which formats it understands, its ``api``
(in the config) may name one of them, and otherwise the client's request decides: if the model understands the client's
own format, the bytes pass as they are; else the request is composed in the format that is the most widely understood
at endpoints of that type.

Whether an endpoint of type ``openai`` has Responses is only found out by asking. Those that do not have it are asked in
Chat Completions for some time, and then they are believed to have learned it.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, NamedTuple

from hydrallm.formats.base import ApiType
from hydrallm.formats.openai_chat_composition import needs_responses

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hydrallm.formats.base import Problem, WireFormat
    from hydrallm.formats.canonical import Request
    from hydrallm.formats.codec import Codec
    from hydrallm.formats.facts import Facts

CHAT, RESPONSES = "openai-chat", "openai-responses"
INVOKE, CONVERSE = "bedrock-invoke", "bedrock-converse"

APIS = {"chat": CHAT, "responses": RESPONSES, "invoke": INVOKE, "converse": CONVERSE}
"""What the config calls the formats of which an API type has several."""

BELIEVED = 600.0
"""Seconds for which what was found missing is not asked for: a server is updated, or it was a balancer who said so."""

_CLAUDE = re.compile(r"anthropic\.|claude", re.IGNORECASE)
# `us.amazon.nova-pro-v1:0`: where it runs, who made it, what it is. An ARN of one's own tells nothing of the kind.
_MADE_BY = re.compile(r"(?:[a-z]{2,6}(?:-gov)?\.)?[a-z0-9]+\.[a-z]")

# What servers say of a path that they do not have; a 404 may also be about an item that the request refers to.
_START = 200
_NO_PATH = re.compile(
    r"^\s*(?:$|not found\W*$|404|<)|invalid url|cannot post|/responses\b|no (?:such )?(?:route|path)", re.IGNORECASE
)


class Dialect(NamedTuple):
    """A wire format and what translates it; None where nothing does."""

    format: WireFormat
    codec: Codec | None


class Dialects:
    """All dialects, by name.

    Args:
        spoken: each format with its codec, or None.
    """

    def __init__(self, spoken: Iterable[tuple[WireFormat, Codec | None]]) -> None:
        self._by_name = {wire_format.name: Dialect(wire_format, codec) for wire_format, codec in spoken}

    def __getitem__(self, name: str) -> Dialect:
        """Return the dialect of the format called ``name``."""
        return self._by_name[name]


class Found:
    """What is found out by asking, and believed for some time: that something is not there.

    Args:
        now: tells the time, in seconds of any monotonic clock.
    """

    __slots__ = ("_until", "now")

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self._until = -math.inf

    @property
    def missing(self) -> bool:
        """Whether it was found missing not long ago."""
        return self.now() < self._until

    def miss(self) -> None:
        """Take note that it is missing."""
        self._until = self.now() + BELIEVED


class Speech:
    """The formats that one model understands.

    Args:
        dialects: all that there are.
        api_type: of the model.
        model: the upstream's name for it.
        api: the one format of its type that it is asked in, as the config calls it; empty where the request decides.
        responses: whether its endpoint is known to have no Responses.

    Attributes:
        counts: whether it is known that nobody counts its tokens.
    """

    __slots__ = ("_api_type", "_claude", "_default", "_dialects", "_forced", "_foreign", "_responses", "counts")

    def __init__(self, dialects: Dialects, api_type: ApiType, model: str, api: str, responses: Found) -> None:
        self.counts = Found(responses.now)
        self._dialects = dialects
        self._api_type = api_type
        self._responses = responses
        self._forced = APIS.get(api)
        self._claude = _CLAUDE.search(model) is not None
        self._foreign = not self._claude and _MADE_BY.match(model) is not None
        match api_type:
            case ApiType.OPENAI:
                self._default = CHAT
            case ApiType.ANTHROPIC:
                self._default = "anthropic-messages"
            case ApiType.BEDROCK:
                self._default = INVOKE if self._claude else CONVERSE

    def dialect(self, client: WireFormat, *, claude: bool = False) -> Dialect:
        """Return what the model is asked in.

        Args:
            client: the format of the client's request.
            claude: whether the client's body is made for Anthropic's models (of Bedrock's InvokeModel).
        """
        if self._forced is not None:
            return self._dialects[self._forced]
        name = client.name if client.api_type is self._api_type else self._default
        if name == INVOKE and claude and self._foreign:
            name = CONVERSE
        elif name == RESPONSES and self._responses.missing:
            name = CHAT
        return self._dialects[name]

    def prefers_responses(self, dialect: Dialect, client: WireFormat, request: Request, facts: Facts) -> bool:
        """Return whether the model is to be asked in Responses, where it would be asked in Chat Completions.

        OpenAI's newer models take tools there only. A client's own Chat request is left to them.
        """
        free = self._forced is None and dialect.format.name == CHAT and client.name != CHAT
        return free and not self._responses.missing and needs_responses(request, facts)

    def lacks_responses(self) -> bool:
        """Take note that the endpoint has no Responses; return whether there is something else to ask in."""
        self._responses.miss()
        return self._forced is None


def no_such_path(problem: Problem) -> bool:
    """Return whether a 404 or 405 to a request in Responses says that the endpoint has no such path."""
    return problem.status != 404 or _NO_PATH.search(problem.message[:_START]) is not None
