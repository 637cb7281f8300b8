"""The arguments of a call, as the object that some formats want.

PURE. Arguments are a text in Chat Completions and Responses, which may be anything, and an object in Messages and
Converse. Whatever is an object is passed on as it was written. What was cut is an object up to where it was cut: its
open strings and brackets are closed, and a member that has no value yet is left out. That is for histories, and for
answers that say that they were cut; in others it would be another call (:mod:`hydrallm.formats.calls`).
"""

from __future__ import annotations

import re

import msgspec

from hydrallm.formats.json_value import AnyObject

_OBJECT = msgspec.json.Decoder(AnyObject)
_LITERALS = frozenset({"true", "false", "null"})
_CLOSING = {"{": "}", "[": "]"}
_DEEPEST = 200
"""Brackets that are closed. What is nested deeper was not written for a tool, and parsers refuse it."""

# Up to the next thing that matters: a whole string, a bracket, a comma, a colon, a word; or a string that is cut.
_WORD = re.compile(
    r'\s*(?:(?P<sign>[{}\[\],:])|(?P<text>"(?:[^"\\]|\\.)*+")|(?P<cut>"(?:[^"\\]|\\.)*+)|(?P<word>[^\s{}\[\],:"]++))',
    re.DOTALL,
)
# The escape at the end of a cut string, cut as well; perhaps after half of a surrogate pair, which is nothing alone.
_CUT = r"(?:\\(?:u[0-9A-Fa-f]{0,3})?)?\Z"
_CUT_ESCAPE = re.compile(r"(?:\\u[dD][89abAB][0-9A-Fa-f]{2})?" + _CUT)
_BEFORE_CUT_ESCAPE = re.compile(
    r'"(?:[^"\\]++|\\[^u]|\\u(?![dD][89abAB])[0-9A-Fa-f]{4}|\\u[dD][89abAB][0-9A-Fa-f]{2}(?!' + _CUT + r"))*+",
    re.DOTALL,
)


def as_object(arguments: str) -> msgspec.Raw:
    """Return ``arguments`` as a JSON object; none are the empty one, and a text that is no object is its ``input``."""
    text = arguments.strip()
    if not text:
        return msgspec.Raw(b"{}")
    if is_object(text):
        return msgspec.Raw(text.encode("utf-8", "replace"))
    if text.startswith("{") and is_object(closed := _closed(text)):
        return msgspec.Raw(closed.encode("utf-8", "replace"))
    return msgspec.Raw(b'{"input":' + msgspec.json.encode(text.encode("utf-8", "replace").decode()) + b"}")


def is_object(text: str) -> bool:
    """Return whether ``text`` is the JSON of an object, and whole."""
    try:
        _OBJECT.decode(text.encode("utf-8", "replace"))
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def _closed(text: str) -> str:
    """Return the object that a cut ``text`` had become, up to the last point at which it can be closed.

    The text is built once, at the end: it has as many such points as words.
    """
    opened: list[str] = []  # the brackets that are to be closed
    whole = at = 0
    key = False  # whether the next string is a name
    while (found := _WORD.match(text, at)) and (kind := found.lastgroup or "") != "cut":
        word, at = found[kind], found.end()
        if word in _CLOSING:
            if len(opened) == _DEEPEST:
                return ""
            opened.append(_CLOSING[word])
            key = word == "{"
        elif word in {"}", "]"}:
            if opened[-1:] != [word]:
                break
            opened.pop()
            key = False
        elif word in {",", ":"}:
            key = word == "," and opened[-1:] == ["}"]
            continue
        elif key or (kind == "word" and at == len(text) and word not in _LITERALS):
            continue  # a name alone is no member; a number that is cut was another one
        whole = at
    end = ""
    if found and found.lastgroup == "cut" and not key:
        before = _BEFORE_CUT_ESCAPE.match(text, found.start("cut"))
        if before is None or not _CUT_ESCAPE.match(text, before.end()):
            return ""
        whole, end = before.end(), '"'
    return "".join((text[:whole], end, *reversed(opened)))
