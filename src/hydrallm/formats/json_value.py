"""JSON as the programs at both ends read it.

PURE. msgspec is fast and strict. Providers are written in many languages, and some of what they send is refused by it
and read by their clients: ``NaN``, half of a surrogate pair, a byte order mark, numbers out of range. So what msgspec
refuses is given to Python's own parser before it is called broken.
"""

from __future__ import annotations

import json
import re

import msgspec


class AnyObject(msgspec.Struct, frozen=True, gc=False):
    """A JSON object of which nothing but that is known; its members are skipped."""


_VALUE = msgspec.json.Decoder()
_OBJECT = msgspec.json.Decoder(AnyObject)

_SHALLOW = 256 * 1024
"""Bytes that are looked at of a value that no parser reads."""

# What tells where a member ends. A string may be cut: looked for behind each of its quotes, its end would take long.
_MARK = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[{}\[\],]', re.DOTALL)
_NAME = re.compile(rb'\s*+("(?:[^"\\]|\\.)*+")\s*+:', re.DOTALL)

_LABELS = frozenset({"type", "id", "role", "status"})


def read_json(data: bytes) -> object:
    """Return the value that ``data`` is in JSON.

    Raises:
        ValueError: it is not JSON.
        RecursionError: it is nested deeper than the interpreter's recursion limit.
    """
    try:
        return _VALUE.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return json.loads(data, parse_int=_integer)


def is_json(data: bytes) -> bool:
    """Return whether ``data`` is JSON, or nested too deep to tell."""
    try:
        read_json(data)
    except RecursionError:
        return True
    except ValueError:
        return False
    return True


def read_shallow(data: bytes) -> dict[str, object]:
    """Return the members of a JSON object that is nested too deep for :func:`read_json`; the work is bounded.

    A value that is itself too deep is replaced by a text that says so, and what is no JSON is left out.
    """
    members: dict[str, object] = {}
    depth = start = 0
    end = min(len(data), _SHALLOW)
    for mark in _MARK.finditer(data, 0, end):
        sign = mark[0]
        if sign in b"[{":
            depth += 1
            start = mark.end() if depth == 1 else start
        elif sign in b"]}":
            depth -= 1
        if depth == 0 or (depth == 1 and sign == b","):
            members |= _member(data[start : mark.start()])
            start = mark.end()
        if depth == 0:
            return members
    return members | _member(data[start:end])


def _member(text: bytes) -> dict[str, object]:
    """Return the one member that ``text`` is; none, if it is no JSON."""
    try:
        value = read_json(b"{%b}" % text)
    except ValueError:
        return {}
    except RecursionError:
        name = _NAME.match(text)
        return {str(json.loads(name[1], strict=False)): "(nested too deep to read)"} if name else {}
    return value if isinstance(value, dict) else {}


def is_object(data: bytes) -> bool:
    """Return whether the first, cheap look finds a JSON object; where it does not, :func:`read_json` has to tell."""
    try:
        _OBJECT.decode(data)
    except (msgspec.DecodeError, RecursionError):
        return False
    return is_utf8(data)


def is_utf8(data: bytes) -> bool:
    """Return whether ``data`` is valid UTF-8. A decoder of msgspec does not look at that in what it skips."""
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def says(value: object) -> bool:
    """Return whether a part of an answer says anything.

    It does if anywhere in it is more than labels (``type``, ``id``, ``role``, ``status``) and what is empty, null, zero
    or false. So do a word, a signature and the name of a tool; an empty block of text, just opened, does not.
    """
    rest = [value]
    while rest:
        part = rest.pop()
        if isinstance(part, dict):
            rest.extend(inner for name, inner in part.items() if name not in _LABELS)
        elif isinstance(part, list):
            rest.extend(part)
        elif part:
            return True
    return False


def _integer(digits: str) -> int | float:
    # Python refuses integers of more than 4,300 digits; others read long ones as a float.
    return int(digits) if len(digits) < 20 else float(digits)
