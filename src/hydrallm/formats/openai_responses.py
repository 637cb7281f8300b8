"""OpenAI's Responses.

PURE. https://platform.openai.com/docs/api-reference/responses/create. Only creating one is a generation: fetching,
cancelling and deleting name a response that lives at one endpoint, so they are relayed.

The events of a stream are in https://platform.openai.com/docs/api-reference/responses-streaming. Nearly all of them say
something; what says nothing yet is in a table. The documented ``error`` event is flat, and for a flat one the
official SDK does not raise: it yields the event like any other, and its reader takes the end of the stream for the
end of the answer. It raises for an ``error`` object inside, so ours has both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

from hydrallm.formats import answer, openai_error, sse, sse_scan
from hydrallm.formats.base import ApiError, ApiType, Operation, Problem
from hydrallm.formats.json_value import says
from hydrallm.formats.path import operation_path
from hydrallm.formats.problem import problem_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hydrallm.message import Response

_PATH = operation_path("responses")

_PREAMBLE = frozenset({"response.created", "response.queued", "response.in_progress"})

_OPENED = {"response.output_item": "item", "response.content_part": "part", "response.reasoning_summary_part": "part"}
"""Events that end in ``.added`` or ``.done``, and the member that carries what was opened or closed."""

_TEXTS = {
    "response.output_text": "text",
    "response.reasoning_text": "text",
    "response.reasoning_summary_text": "text",
    "response.refusal": "refusal",
}
"""Events that end in ``.done`` and repeat a text, and the member that has it; a text may have stayed empty."""

_SAYS: Mapping[str, tuple[str, ...]] = {
    "message": ("content",),
    "reasoning": ("content", "summary"),
    "output_text": ("text",),
    "reasoning_text": ("text",),
    "summary_text": ("text",),
    "refusal": ("refusal",),
}
"""Items and parts that open empty, and where they say something; those of all other types (tool calls) do by being."""

_ENDED = frozenset({"response.completed", "response.incomplete"})

_FAILED = frozenset({"response.failed", "response.cancelled"})


class _Ordinary(msgspec.Struct, gc=False):
    type: Literal[
        "response.output_text.delta",
        "response.reasoning_text.delta",
        "response.reasoning_summary_text.delta",
        "response.function_call_arguments.delta",
        "response.custom_tool_call_input.delta",
        "response.mcp_call_arguments.delta",
        "response.code_interpreter_call_code.delta",
        "response.refusal.delta",
        "response.audio.delta",
        "response.audio.transcript.delta",
    ]
    error: None = None


class ResponsesScan(sse_scan.SseScan):
    """The scan of a stream of Responses."""

    __slots__ = ()

    ordinary = msgspec.json.Decoder(_Ordinary)

    def _note(self, kind: str, event: dict[str, Any]) -> None:
        response = event.get("response")
        if not isinstance(response, dict):
            response = {}
        if kind in _FAILED:
            error = response.get("error")
            self.problem = problem_of({"error": error}) if error else Problem(code=kind)
        elif kind in _ENDED:
            details = response.get("incomplete_details")
            self.filtered = isinstance(details, dict) and details.get("reason") == "content_filter"
            self.ended = True
        elif not self.content:
            self.content = _is_content(kind, event)


def _is_content(kind: str, event: dict[str, Any]) -> bool:
    """Return whether an event says something of the answer. What is not of the response (a ping) does not."""
    if kind in _PREAMBLE or not kind.startswith("response."):
        return False
    what, _, how = kind.rpartition(".")
    if how == "delta":
        return bool(event.get("delta"))
    if how == "done" and what in _TEXTS:
        return bool(event.get(_TEXTS[what]))
    if (member := _OPENED.get(what)) is None:
        return True
    opened = event.get(member)
    if not isinstance(opened, dict):
        return False
    where = _SAYS.get(str(opened.get("type")))
    return where is None or any(says(opened.get(name)) for name in where)


class OpenAIResponses:
    """The wire format ``openai-responses``."""

    name = "openai-responses"
    api_type = ApiType.OPENAI
    stream_type = sse_scan.STREAM_TYPE
    request_id = b"x-request-id"
    keep_alive = sse_scan.KEEP_ALIVE

    def __init__(self) -> None:
        self._operation = Operation(self)

    def match(self, path: bytes) -> Operation | None:
        """Return the operation that a POST to ``path`` stands for, or None if it is not one of this format."""
        return self._operation if _PATH.fullmatch(path) else None

    def encode_error(self, error: ApiError) -> Response:
        """Return ``error`` as OpenAI's SDKs expect it."""
        return openai_error.encode_error(error)

    def examine(self, body: bytes, operation: Operation) -> Problem | None:  # noqa: ARG002 - there is only one
        """Return what is wrong with the body of a 200 to a plain request; None if it is an answer."""
        return answer.examine_response(body)

    def scan(self) -> ResponsesScan:
        """Return the scan of a new stream."""
        return ResponsesScan()

    def encode_stream_error(self, error: ApiError) -> bytes:
        """Return ``error`` as the documented ``error`` event, with the object in it for which the SDKs raise."""
        detail = openai_error.detail(error)
        # The number of the event is not known here; the schema demands one.
        flat = {"code": detail["code"], "message": detail["message"], "param": None, "sequence_number": 0}
        return sse.event({"type": "error", **flat, "error": detail}, "error")
