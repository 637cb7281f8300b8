"""Why a request cannot be served, in the same words in all formats.

PURE. A client is given these when no model of a chain is left (``UnservedError``), so each says in a few words what of
the request is the matter. Members of the request stand in backticks.
"""

from __future__ import annotations

IMAGES = "the model takes no images"
DOCUMENTS = "the model takes no documents"
TOOLS = "the model takes no tools"
SCHEMA = "the model takes no schema for its answer"
FORCED_CALL = "the model takes no forced tool call"
FORCED_CALL_THINKING = "the model always thinks, and takes no forced tool call while it does"
CONTINUED_TURN = "the model does not continue an assistant's turn"

IMAGE_URL = "the URL of an image"
DOCUMENT_URL = "the URL of a document"
FILE = "the id of a file at another provider"
ASSISTANT_IMAGE = "an image or a document in an assistant's turn"
NO_WORDS = "a conversation without a word in it"
NO_TOOLS = "a tool is to be called, and there are none"
HALF_CHARACTER = "half of a surrogate pair, which no JSON can say"

_QUOTED = 60
"""Characters of a client's word that are quoted."""


def image_type(media_type: str) -> str:
    """Return the reason for an image of a type that is not taken."""
    return f"an image of the type {media_type[:_QUOTED]}"


def document_type(media_type: str) -> str:
    """Return the same for a document."""
    return f"a document of the type {media_type[:_QUOTED]}"


def stop_sequences(count: int, api: str, most: int) -> str:
    """Return the reason for more stop sequences than an API takes."""
    return f"{count} stop sequences: {api} takes {most}" if most else f"stop sequences: {api} takes none"


def content(kind: str) -> str:
    """Return the reason for content of a type that no other format has."""
    return f"content of the type {kind[:_QUOTED]!r}"


def client_tool(name: str, maker: str) -> str:
    """Return the reason for a tool that the client runs, of which only the maker's models know what it is."""
    return f"the tool {name[:_QUOTED]!r}, which only {maker} defines"


def hosted_call(maker: str) -> str:
    """Return the reason for a forced call of a tool that a provider runs."""
    return f"a forced call of a tool that {maker} runs"
