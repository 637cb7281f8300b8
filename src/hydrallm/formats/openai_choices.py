"""The scan of a stream of choices, which Chat Completions and Completions share.

PURE. https://platform.openai.com/docs/api-reference/chat-streaming. A choice grows by ``delta`` in one and by ``text``
in the other; the rest is the same, and so are the many servers that speak both.

The end is ``data: [DONE]``. Several servers do not send it, or their proxies lose it; so an answer is also complete
when the stream ends cleanly after each choice has had its ``finish_reason``. A ``[DONE]`` before any choice has said
anything or given a reason ends no answer: SDKs would make an empty iteration of it, without an error.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from hydrallm.formats.base import Problem
from hydrallm.formats.json_value import says
from hydrallm.formats.problem import problem_of
from hydrallm.formats.sse_scan import SseScan

FILTERED = frozenset({"content_filter", "sensitive"})
"""Finish reasons of a content filter: OpenAI and Azure; Z.ai."""

FAILED = frozenset({"error", "network_error", "insufficient_system_resource", "abort"})
"""Finish reasons of an answer that is not finished: OpenRouter and vLLM; Z.ai; DeepSeek; SGLang."""


class _OrdinaryChoice(msgspec.Struct, gc=False):
    # Another index than 0 is read, so that a choice which shows up late is not forgotten. Some servers write an empty
    # finish_reason for none.
    index: Literal[0] = 0
    finish_reason: Literal[""] | None = None
    error: None = None


class _OrdinaryChunk(msgspec.Struct, gc=False):
    choices: list[_OrdinaryChoice]
    error: None = None


class ChoicesScan(SseScan):
    """The scan of a stream of Chat Completions or Completions."""

    __slots__ = ("_finished", "_seen")

    ordinary = msgspec.json.Decoder(_OrdinaryChunk)

    def __init__(self) -> None:
        super().__init__()
        self._seen = {0}  # there is no answer without a first choice
        self._finished: set[int] = set()

    @property
    def complete(self) -> bool:
        """Whether ``[DONE]`` or the finish reason of every choice has been seen, and no failure."""
        if self.problem is not None or self.broken:
            return False
        return self.ended or self._seen <= self._finished

    def _done(self) -> None:
        if self.content or self._finished:
            self.ended = True
        else:
            self.broken = "[DONE] came before any content or finish_reason"

    def _note(self, kind: str, event: dict[str, Any]) -> None:  # noqa: ARG002 - chunks are all of one kind
        choices = event.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict):
                self._note_choice(choice)

    def _note_choice(self, choice: dict[str, Any]) -> None:
        index, reason = choice.get("index"), choice.get("finish_reason")
        if not isinstance(index, int):
            index = 0
        self._seen.add(index)
        if error := choice.get("error"):
            self.problem = problem_of({"error": error})
            return
        if reason and isinstance(reason, str):
            if reason in FAILED:
                self.problem = Problem(code=reason, message=f"the answer ended with finish_reason {reason!r}")
                return
            self._finished.add(index)
            self.filtered = self.filtered or reason in FILTERED
        if not self.content:
            # A few servers stream a whole message where a delta belongs.
            self.content = any(says(choice.get(member)) for member in ("delta", "text", "message"))
