"""The arguments of a call, as the object that some formats want.

PURE. Arguments are a text in Chat Completions and Responses, which may be anything, and an object in Messages and
Converse. Whatever is an object is passed on as it was written. What an answer cut short left behind is an object up to
where it was cut: its open strings and brackets are closed, and a member that has no value yet is left out.
"""

from __future__ import annotations

import re

import msgspec

from hydrallm.formats.json_value import AnyObject

_OBJECT = msgspec.json.Decoder(AnyObject)
_LITERALS = frozenset({"true", "false", "null"})
_CLOSING = {"{": "}", "[": "]"}
# Up to the next thing that matters: a whole string, a bracket, a comma, a colon, a word; or a string that is cut.
_WORD = re.compile(r'\s*("(?:[^"\\]|\\.)*+"|[{}\[\],:]|[^\s{}\[\],:"]++|"(?:[^"\\]|\\.)*+)', re.DOTALL)
_CUT_ESCAPE = re.compile(r"\\(?:u[0-9A-Fa-f]{0,3})?\Z")


def as_object(arguments: str) -> msgspec.Raw:
    """Return ``arguments`` as a JSON object; none are the empty one, and a text that is no object is its ``input``."""
    text = arguments.strip()
    if not text:
        return msgspec.Raw(b"{}")
    if _is_object(text):
        return msgspec.Raw(text.encode("utf-8", "replace"))
    if text.startswith("{") and _is_object(closed := _closed(text)):
        return msgspec.Raw(closed.encode("utf-8", "replace"))
    return msgspec.Raw(b'{"input":' + msgspec.json.encode(text.encode("utf-8", "replace").decode()) + b"}")


def _is_object(text: str) -> bool:
    try:
        _OBJECT.decode(text.encode("utf-8", "replace"))
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def _closed(text: str) -> str:
    """Return the object that a cut ``text`` had become, up to the last point at which it can be closed."""
    opened: list[str] = []  # the brackets that are to be closed
    whole = ""
    at = 0
    key = False  # whether the next string is a name
    while found := _WORD.match(text, at):
        word, at = found[1], found.end()
        if word in _CLOSING:
            opened.append(_CLOSING[word])
            key = word == "{"
        elif word in {"}", "]"}:
            if not opened or opened.pop() != word:
                break
            key = False
        elif word in {",", ":"}:
            key = word == "," and opened[-1:] == ["}"]
            continue
        elif key:
            continue  # a name alone is no member
        elif word.startswith('"'):
            if not _is_string(word):  # it is cut, so it is the last
                text = _CUT_ESCAPE.sub("", text[:at]) + '"'
                at = len(text)
        elif at == len(text) and word not in _LITERALS:
            break  # a number that is cut was another one
        whole = text[:at] + "".join(reversed(opened))
    return whole


def _is_string(word: str) -> bool:
    try:
        msgspec.json.decode(word.encode("utf-8", "replace"), type=str)
    except msgspec.DecodeError:
        return False
    return True
