"""The lists of models that clients ask for, as OpenAI and as Anthropic write them.

PURE. https://platform.openai.com/docs/api-reference/models and https://docs.anthropic.com/en/api/models-list. Both want
to know when a model was made. Nobody knows that of a chain, so it is the epoch, as Anthropic's own API says it then.
Only Anthropic's list comes in pages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import msgspec

from hydrallm.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

PAGE = 20
"""Entries on a page of Anthropic's, where the client does not say."""

LONGEST_PAGE = 1000


class Entry(msgspec.Struct, frozen=True):
    """Something that a client can name as its model.

    Attributes:
        id: the name.
        title: for a person.
        owner: whose it is.
    """

    id: str
    title: str
    owner: str


def openai_model(entry: Entry) -> dict[str, object]:
    """Return an entry as OpenAI writes it."""
    return {"id": entry.id, "object": "model", "created": 0, "owned_by": entry.owner}


def openai_list(entries: Sequence[Entry]) -> dict[str, object]:
    """Return a list as OpenAI writes it."""
    return {"object": "list", "data": [openai_model(entry) for entry in entries]}


def anthropic_model(entry: Entry) -> dict[str, object]:
    """Return an entry as Anthropic writes it."""
    return {
        "type": "model",
        "id": entry.id,
        "display_name": entry.title,
        "created_at": "1970-01-01T00:00:00Z",
        "lifecycle": "active",
    }


def anthropic_page(entries: Sequence[Entry], query: bytes) -> dict[str, object]:
    """Return a page of a list as Anthropic writes it.

    Args:
        entries: the whole list.
        query: the client's raw query; ``limit``, ``after_id`` and ``before_id`` of it count.

    Raises:
        RequestError: 400; ``limit`` is no number from 1 to 1000, or no entry has the id that ``after_id`` or
            ``before_id`` says.
    """
    asked = {name: values[-1] for name, values in parse_qs(query.decode("latin-1")).items()}
    limit = _limit(asked.get("limit", str(PAGE)))
    places = {entry.id: place for place, entry in enumerate(entries)}
    start, end = 0, len(entries)
    if (after := asked.get("after_id")) is not None:
        start = _place(places, "after_id", after) + 1
    if (before := asked.get("before_id")) is not None:
        end = _place(places, "before_id", before)
    backwards = before is not None and after is None
    found = entries[start:end]
    page = found[-limit:] if backwards else found[:limit]
    return {
        "data": [anthropic_model(entry) for entry in page],
        "has_more": len(page) < len(found),
        "first_id": page[0].id if page else None,
        "last_id": page[-1].id if page else None,
    }


def _limit(text: str) -> int:
    limit = int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(LONGEST_PAGE)) else 0
    if not 1 <= limit <= LONGEST_PAGE:
        raise RequestError(400, f"limit must be a number from 1 to {LONGEST_PAGE}")
    return limit


def _place(places: dict[str, int], name: str, wanted: str) -> int:
    if wanted not in places:
        raise RequestError(400, f"{name} is not the id of a model that is listed here; take it from an earlier page")
    return places[wanted]
