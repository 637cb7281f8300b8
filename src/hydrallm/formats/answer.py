"""What is wrong with the body of a 200 to a plain (not streaming) request.

PURE, and on the path of every plain answer. A 200 does not mean that there is an answer: providers, and the gateways in
front of them, send errors with it, or nothing, or half of something, or a login page. What an answer *says* is nobody's
business here: an empty completion is an answer.

The first look decodes a body as a type that describes what is *certainly* an answer: the member that every answer of
the operation has, no error, an ordinary stop reason. msgspec checks all the JSON while it skips what the type does not
name, so a cut body never passes. What does not pass is looked at a second time, as the dict that it is, and only then
judged; the second look is tolerant of everything that clients can read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import msgspec

from hydrallm.formats.anthropic_events import REFUSAL
from hydrallm.formats.base import Problem
from hydrallm.formats.json_value import AnyObject, is_utf8, read_json, read_shallow, says
from hydrallm.formats.openai_choices import FAILED, FILTERED
from hydrallm.formats.problem import is_error, problem_of

if TYPE_CHECKING:
    from collections.abc import Callable

CONTENT_FILTER = "content_filter"
"""The ``type`` of the problem with an answer that a content filter left without content."""

CONVERSE_FILTERS = frozenset({"guardrail_intervened", "content_filtered"})
CONVERSE_FAILURES = frozenset({"malformed_model_output", "malformed_tool_use"})

_QUOTED = 100  # characters
# By these a body that is no answer says why.
_REASONS = ("message", "Message", "msg", "detail")

JsonObject: TypeAlias = "dict[str, object]"


# ---- what is certainly an answer

_Stop = Literal["end_turn", "max_tokens", "stop_sequence", "tool_use", "pause_turn", "model_context_window_exceeded"]


class _Choice(msgspec.Struct, frozen=True, gc=False):
    finish_reason: Literal["stop", "length", "tool_calls", "function_call"] | None = None
    error: None = None


class _Choices(msgspec.Struct, frozen=True, gc=False):
    choices: Annotated[list[_Choice], msgspec.Meta(min_length=1)]
    error: None = None


class _Response(msgspec.Struct, frozen=True, gc=False):
    output: list[AnyObject]
    status: Literal["completed", "in_progress", "queued"] | None = None
    error: None = None


class _Message(msgspec.Struct, frozen=True, gc=False):
    content: list[AnyObject]
    type: Literal["message"]
    stop_reason: _Stop | None = None
    error: None = None


class _Count(msgspec.Struct, frozen=True, gc=False):
    input_tokens: int
    error: None = None


class _Conversed(msgspec.Struct, frozen=True, gc=False):
    output: AnyObject
    stop_reason: _Stop = msgspec.field(name="stopReason")
    error: None = None


class _Invoked(msgspec.Struct, frozen=True, gc=False):
    # Each maker has its own form, so here is what an error is known by. Whatever of it there is, it is looked at again.
    error: None = None
    stop_reason: Literal[_Stop, "stop", "length"] | None = None
    type: Literal["message"] | None = None
    object: None = None
    success: None = None
    message: None = None
    detail: None = None
    error_type: None = msgspec.field(name="__type", default=None)
    capital_message: None = msgspec.field(name="Message", default=None)
    capital_output: None = msgspec.field(name="Output", default=None)


_CHOICES = msgspec.json.Decoder(_Choices).decode
_RESPONSE = msgspec.json.Decoder(_Response).decode
_MESSAGE = msgspec.json.Decoder(_Message).decode
_COUNT = msgspec.json.Decoder(_Count).decode
_CONVERSED = msgspec.json.Decoder(_Conversed).decode
_INVOKED = msgspec.json.Decoder(_Invoked).decode


# ---- the operations


def examine_chat(body: bytes) -> Problem | None:
    """Return what is wrong with an answer of Chat Completions; None if it is one.

    Args:
        body: all of it, its content coding undone.
    """
    return _examine(body, _CHOICES, _judge_choices)


def examine_completion(body: bytes) -> Problem | None:
    """Return what is wrong with an answer of Completions; None if it is one."""
    return _examine(body, _CHOICES, _judge_choices)


def examine_response(body: bytes) -> Problem | None:
    """Return what is wrong with an answer of Responses; None if it is one."""
    return _examine(body, _RESPONSE, _judge_response)


def examine_message(body: bytes) -> Problem | None:
    """Return what is wrong with an answer of Messages; None if it is one."""
    return _examine(body, _MESSAGE, _judge_message)


def examine_count(body: bytes) -> Problem | None:
    """Return what is wrong with a count of tokens; None if it is one."""
    return _examine(body, _COUNT, _judge_count)


def examine_invoke(body: bytes) -> Problem | None:
    """Return what is wrong with an answer of InvokeModel, which may be of any model's maker; None if it is one."""
    return _examine(body, _INVOKED, _judge_invoked)


def examine_converse(body: bytes) -> Problem | None:
    """Return what is wrong with an answer of Converse; None if it is one."""
    return _examine(body, _CONVERSED, _judge_conversed)


def converse_failure(reason: object) -> Problem | None:
    """Return what a ``stopReason`` of Converse says went wrong; None if it is one of an answer."""
    if not isinstance(reason, str) or reason not in CONVERSE_FAILURES:
        return None
    return Problem(code=reason, message=f"the answer ended with stopReason {reason!r}")


# ---- the second look


def _examine(
    body: bytes, certain: Callable[[bytes], object], judge: Callable[[JsonObject], Problem | None]
) -> Problem | None:
    try:
        certain(body)
    except (msgspec.DecodeError, RecursionError):
        pass
    else:
        if is_utf8(body):
            return None
    try:
        value = read_json(body)
    except RecursionError:
        return reported(read_shallow(body))  # too deep to tell more, so let the client have it
    except ValueError as error:
        return _no_answer(_why_no_json(body, error))
    if not isinstance(value, dict):
        return _no_answer(f"the body is JSON, but no object: {_quote(body)}")
    return reported(value) or judge(value)


def reported(value: JsonObject) -> Problem | None:
    """Return the error that an object reports, whatever else there is in it; None if it reports none."""
    if is_error(value):
        # What stands beside an error that says all itself may be about something else: the type of an event, a status.
        error = value.get("error")
        return problem_of({"error": error} if isinstance(error, dict) else value)
    wrapped = value.get("Output")  # how AWS's front end answers for an operation that it does not know
    for said in (value, wrapped):
        if isinstance(said, dict) and "__type" in said:
            return problem_of(said)
    return None


def _judge_choices(value: JsonObject) -> Problem | None:
    choices = value.get("choices")
    if not isinstance(choices, list) or not choices:
        return _lacking("choices", value)
    reasons: set[str] = set()
    for choice in choices:
        if not isinstance(choice, dict):
            return _lacking("choices", value)
        reason = choice.get("finish_reason")
        if choice.get("error"):
            return problem_of(choice)
        if isinstance(reason, str):
            reasons.add(reason)
    if failed := reasons & FAILED:
        return Problem(code=min(failed), message=f"the answer ended with finish_reason {min(failed)!r}")
    if (found := reasons & FILTERED) and not any(says([c.get("message"), c.get("text")]) for c in choices):
        return _filtered("finish_reason", min(found))
    return None


def _judge_response(value: JsonObject) -> Problem | None:
    output, status = value.get("output"), value.get("status")
    if status == "failed":
        return Problem(code="failed", message="the response has the status 'failed', and no error that says why")
    if not isinstance(output, list):
        return _lacking("output", value)
    details = value.get("incomplete_details")
    reason = details.get("reason") if isinstance(details, dict) else None
    return _filtered("reason", CONTENT_FILTER) if reason == CONTENT_FILTER and not says(output) else None


def _judge_message(value: JsonObject) -> Problem | None:
    content = value.get("content")
    if not isinstance(content, list):
        return _lacking("content", value)
    return _filtered("stop_reason", REFUSAL) if value.get("stop_reason") == REFUSAL and not says(content) else None


def _judge_count(value: JsonObject) -> Problem | None:
    return None if isinstance(value.get("input_tokens"), int) else _lacking("input_tokens", value)


def _judge_invoked(value: JsonObject) -> Problem | None:
    if not value:
        return _no_answer("the body is an empty JSON object")
    if value.keys() <= set(_REASONS):  # all that AWS says in the body of an error
        return problem_of(value)
    return _judge_message(value) if isinstance(value.get("content"), list) else None


def _judge_conversed(value: JsonObject) -> Problem | None:
    output, reason = value.get("output"), value.get("stopReason")
    if not isinstance(output, dict):
        return _lacking("output", value)
    if problem := converse_failure(reason):
        return problem
    filtered = isinstance(reason, str) and reason in CONVERSE_FILTERS
    return _filtered("stopReason", str(reason)) if filtered and not says(output) else None


# ---- problems


def _filtered(member: str, reason: str) -> Problem:
    message = f"the answer has no content, and its {member} is {reason!r}"
    return Problem(type=CONTENT_FILTER, message=message, ours="filtered")


def _lacking(member: str, value: JsonObject) -> Problem:
    """Return the problem of an object that is no answer: its own words, if it has any."""
    if any(value.get(name) for name in _REASONS):
        problem = problem_of(value)
        return problem if problem.code else msgspec.structs.replace(problem, ours="not_an_answer")
    members = _quote(", ".join(value).encode("utf-8", "replace")) if value else "nothing"
    return _no_answer(f"the body has no {'usable ' if member in value else ''}{member!r}, but {members}")


def _no_answer(message: str) -> Problem:
    return Problem(message=message, ours="not_an_answer")


def _why_no_json(body: bytes, error: ValueError) -> str:
    if not (text := body.strip()):
        return "the body is empty"
    if text.startswith((b"{", b"[")):
        return f"the body is JSON that is cut or damaged: {error}"
    return f"the body is not JSON: {_quote(text)}"


def _quote(body: bytes) -> str:
    text = " ".join(body[: 4 * _QUOTED].decode("utf-8", "replace").split())
    return repr(text if len(text) <= _QUOTED else text[:_QUOTED] + "...")
