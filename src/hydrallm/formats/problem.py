"""What an upstream's error response says, whatever its shape.

PURE. Every API has a shape of its own for errors, and a proxy, a gateway or a web framework in front of it has another.
So what is read does not depend on the wire format: whatever looks like a type, a code or a message is one. The shapes,
and who sends them::

    {"error": {"message", "type", "code", "param"}}             OpenAI, Groq, Together, DeepSeek, Moonshot, Ollama's /v1
    {"error": {"code", "message", "innererror": {"code"}}}      Azure OpenAI
    {"error": {"code", "message", "metadata": {"raw", ...}}}    OpenRouter: raw is the provider's own error, as text
    [{"error": {"code", "message", "status"}}]                  Gemini's compatible API; a list, or not
    {"error": {"code", "message", "type", "n_ctx", ...}}        llama.cpp
    {"type": "error", "error": {"type", "message", "details"}}  Anthropic
    {"error": "..."}, {"code": "...", "error": "..."}           Ollama, LM Studio, Text Generation Inference; xAI
    {"object": "error", "message", "type", "code"}              vLLM until 2025, SGLang; Mistral (or an object in it)
    {"message"} or {"Message"}, with x-amzn-errortype           Bedrock, AWS's front ends; {"__type": "ns#Type"}
    {"code", "msg"}, {"message"}, {"statusCode", "message"}     Z.ai; Cohere; Azure API Management
    {"detail": "..."} or {"detail": [{"loc", "msg", "type"}]}   FastAPI: vLLM, Mistral
    {"statusCode", "error": "Not Found", "message"}             web frameworks; there the message says more
    {"errors": [{"code", "message"}]}                           Cloudflare

HTML pages and plain text become a message of their first characters.
"""

from __future__ import annotations

import html
import json
import re
from typing import TYPE_CHECKING, Any

from hydrallm.formats.base import Problem
from hydrallm.message import header

if TYPE_CHECKING:
    from hydrallm.message import Headers

LARGEST = 256 * 1024
"""Bytes of a body that are read as JSON; no API explains itself at greater length."""

_PAGE = 16 * 1024
"""Bytes of anything else that are looked at."""

_PLAIN = 200
_MESSAGE = 4096
_NAME = 128
"""Characters that are kept of a text that is no JSON, of a message, and of a type or code."""

_DEPTH = 8
"""How many values are opened, one in the other: two for an error in its envelope, four for one in one in a text."""

_MESSAGES = ("message", "Message", "msg", "detail", "error_description", "error_message", "errorMessage")
_TYPES = ("__type", "type", "error_type")
_STATUSES = ("code", "status", "statusCode", "status_code")
_STATUS = re.compile(r"[45][0-9]{2}")


def read_problem(status: int, headers: Headers, body: bytes) -> Problem:
    """Return what an error response says.

    Nothing raises, and the work is bounded: of a long body only the start counts.

    Args:
        status: the response's. One below 400 (an error inside a success) is replaced by what the error itself gives.
        headers: the response's.
        body: the response's, decoded from its content coding; may be cut.
    """
    value = _json(body[:LARGEST].decode("utf-8-sig", "replace"))
    found = _error(value, _DEPTH) if isinstance(value, dict | list | str) else Problem(message=_plain(body))
    aws = header(headers, b"x-amzn-errortype")
    return Problem(
        status=status if status >= 400 else found.status,
        type=_clean(aws.decode("latin-1").partition(":")[0] if aws else found.type, _NAME),
        code=_clean(found.code, _NAME),
        message=_clean(found.message, _MESSAGE),
    )


def _json(text: str) -> object:
    """Return the JSON value that ``text`` is, or None.

    The standard library's decoder, for it takes what is really sent: control characters, lone surrogates, 1e400.
    """
    try:
        value: object = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None
    return value


def _error(value: object, depth: int) -> Problem:
    """Return what a JSON value says, if it is an error, a list of them, or something that holds one."""
    if depth == 0:
        return Problem()
    if isinstance(value, list):
        return _error(value[0], depth - 1) if value else Problem()
    if isinstance(value, str):
        return _wrapped(value, depth)
    if not isinstance(value, dict):
        return Problem()
    own = _flat(value, depth)
    detail = value.get("detail")
    inner = value.get("error") or value.get("errors") or (detail if isinstance(detail, dict) else None)
    if isinstance(inner, str) and own.message:
        return own
    return _over(_error(inner, depth - 1), own)


def _flat(fields: dict[str, Any], depth: int) -> Problem:
    """Return what an error says in its own fields."""
    metadata = _object(fields.get("metadata"))
    codes = (
        fields.get("code"),
        _object(fields.get("innererror") or fields.get("inner_error")).get("code"),
        _object(fields.get("details")).get("error_code"),
    )
    types = (*(fields.get(name) for name in _TYPES), metadata.get("error_type"), fields.get("status"))
    own = Problem(
        status=next((int(said) for name in _STATUSES if _STATUS.fullmatch(said := _name(fields.get(name)))), 0),
        # "error" says no more than that this is one, and a status that is a number is no type
        type=next((_type(kind) for kind in types if isinstance(kind, str) and kind not in {"", "error"}), ""),
        code=_telling(codes),
        message=_said(fields, depth),
    )
    own = _over(_wrapped(own.message, depth), own)
    if not (raw := metadata.get("raw")):
        return own
    provider = _name(metadata.get("provider_name"))
    theirs = _error(raw, depth - 1)
    if provider and theirs.message:
        theirs = Problem(theirs.status, theirs.type, theirs.code, f"{provider}: {theirs.message}")
    return _over(theirs, own)


def _wrapped(text: str, depth: int) -> Problem:
    """Return what a text says: gateways put the JSON of an error into the message of their own."""
    value = _json(text) if len(text) <= LARGEST and text.lstrip()[:1] in {"{", "["} else None
    found = _error(value, depth - 1) if isinstance(value, dict | list) else Problem()
    return found if found.message else Problem(message=text)


def _over(better: Problem, other: Problem) -> Problem:
    """Return what ``better`` says, and what only ``other`` says; of codes, one that is more than a status."""
    return Problem(
        status=other.status or better.status,
        type=better.type or other.type,
        code=_telling((better.code, other.code)),
        message=better.message or other.message,
    )


def _said(value: object, depth: int) -> str:
    """Return the message in ``value``: a text, an object with one, or a list of such (the first three of it)."""
    if isinstance(value, str):
        return value
    if depth == 0:
        return ""
    if isinstance(value, list):
        return "; ".join(filter(None, (_said(item, depth - 1) for item in value[:3])))
    if not isinstance(value, dict):
        return ""
    said = next(filter(None, (_said(value.get(name), depth - 1) for name in _MESSAGES)), "")
    where = value.get("loc")  # FastAPI: where in the request
    return f"{'.'.join(map(_name, where[:8]))}: {said}" if said and isinstance(where, list) else said


def _telling(codes: tuple[object, ...]) -> str:
    """Return the first code that is more than a status, or else the first one."""
    names = [name for code in codes if (name := _name(code))]
    return next((name for name in names if not _STATUS.fullmatch(name)), names[0] if names else "")


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _name(value: object) -> str:
    """Return a type or code, which may be a number; empty if it is neither number nor text."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if abs(value) < 10**9 else ""
    return value if isinstance(value, str) else ""


def _type(value: str) -> str:
    """Return a type without AWS's namespace."""
    return value.rpartition("#")[2]


def _plain(body: bytes) -> str:
    """Return the start of a body that is no JSON: a page's text, or the text itself."""
    text = body[:_PAGE].decode("utf-8-sig", "replace")
    return _clean(_page_text(text) if text.lstrip()[:1] == "<" else text, _PLAIN)


def _page_text(page: str) -> str:
    """Return the text of an HTML page, without tags, scripts and styles; in one pass."""
    texts: list[str] = []
    skipped = ""
    for piece in page.split("<"):
        tag, _, text = piece.partition(">")
        name = tag.lower().split(maxsplit=1)[0] if tag.strip() else ""
        if skipped:
            skipped = "" if name == f"/{skipped}" else skipped
        elif name in {"script", "style"}:
            skipped = name
        if not skipped:
            texts.append(text)
    return html.unescape(" ".join(texts))


def _clean(text: str, length: int) -> str:
    """Return the start of ``text`` as one line that can be printed and encoded: no controls, no surrogates."""
    printable = "".join(char if char.isprintable() else " " for char in text[: 2 * length])
    return " ".join(printable.split())[:length]


def is_error(body: dict[str, Any]) -> bool:
    """Return whether a JSON object reports an error, in any of the shapes that providers have for it.

    These are a member ``error`` (OpenAI; beside ``choices``: OpenRouter), ``"type": "error"`` (Anthropic, Responses),
    ``"object": "error"`` (vLLM, Mistral), and ``"success": false`` (Z.ai).
    """
    return bool(
        body.get("error")
        or body.get("type") == "error"
        or body.get("object") == "error"
        or (body.get("success") is False and "choices" not in body)
    )


def problem_of(body: dict[str, Any]) -> Problem:
    """Return what a JSON object that reports an error says; its status is the one that it gives.

    Nothing raises, however deep it is nested: values are opened only so far.
    """
    found = _error(body, _DEPTH)
    return Problem(found.status, _clean(found.type, _NAME), _clean(found.code, _NAME), _clean(found.message, _MESSAGE))


def read_error(data: bytes) -> Problem:
    """Return what an error inside a stream says; its status, if it gives one, is the one that the response had not."""
    return read_problem(0, [], data)
