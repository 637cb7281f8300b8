"""Who asks for the number of tokens, by the wire format of the model that is asked.

PURE. A format that is not here has no such question.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hydrallm.formats.anthropic_count import MessagesCounter
from hydrallm.formats.bedrock_count import ConverseCounter, InvokeCounter
from hydrallm.formats.openai_count import ResponsesCounter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hydrallm.formats.token_count import Counter

COUNTERS: Mapping[str, Counter] = {
    "anthropic-messages": MessagesCounter(),
    "bedrock-invoke": InvokeCounter(),
    "bedrock-converse": ConverseCounter(),
    "openai-responses": ResponsesCounter(),
}
"""By the names of wire formats. Chat Completions has no such question, nor have most APIs that are like OpenAI's."""
