"""What ``GET /v1/models`` tells: the chains by name, and each model as ``only/ID``.

All of that works as a client's ``model``, and so does any other name, which means the default chain. What is not
listed is not found all the same: a client that asks after a model by name wants to know whether it is there.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

import msgspec

from hydrallm.exchange.paths import relay_api_type
from hydrallm.formats.base import ApiType
from hydrallm.formats.model_list import Entry, anthropic_model, anthropic_page, openai_list, openai_model

if TYPE_CHECKING:
    from hydrallm.exchange.chains import Chains
    from hydrallm.message import Headers

# Ids hold slashes, encoded or not. /v1beta/models is none of these: it is the path of another API (Gemini's).
_PATH = re.compile(rb"/+(?:v[0-9]+/+)?models(?:/+([^/].*?))?/*")
_OWNER = "hydrallm"


class Catalog:
    """The names that the clients of a listener can use.

    Args:
        chains: of the listener.
    """

    def __init__(self, chains: Chains) -> None:
        self._chains = chains
        named = [Entry(name, name, _OWNER) for name in chains.named]
        models = [(chain.name, chain.models[0]) for chain in chains.pinned.values()]
        pinned = [Entry(name, model.alias, model.endpoint.name) for name, model in models]
        self._entries = {entry.id: entry for entry in (*named, *pinned)}

    def answer(self, method: bytes, path: bytes, query: bytes, headers: Headers) -> bytes | None:
        """Return the JSON that a request of no generation path is answered with; None if it asks for something else.

        Args:
            method: the client's.
            path: the raw path.
            query: the raw query.
            headers: they tell in which API's words the client wants to hear it.

        Raises:
            RequestError: 404, there is no model of that name; 400, the query asks for a page that cannot be.
        """
        if method not in {b"GET", b"HEAD"} or (found := _PATH.fullmatch(path)) is None:
            return None
        anthropic = relay_api_type(path, headers) is ApiType.ANTHROPIC
        if found[1] is not None:
            entry = self._entries[self._chains.find(unquote(found[1].decode("latin-1"))).name]
            told = anthropic_model(entry) if anthropic else openai_model(entry)
        else:
            entries = list(self._entries.values())
            told = anthropic_page(entries, query) if anthropic else openai_list(entries)
        return msgspec.json.encode(told)
