r"""Where the ``model`` stands in a JSON body, so that it can be replaced and every other byte left alone.

PURE, and on the path of every generation request. Three ideas make it short and exact:

1. ``dict[Name, Raw]`` makes msgspec check the whole body and hand back the top-level entries in order, each value as
   a slice it has not looked into. A :class:`Name` equals nothing but itself, so no duplicate is lost, and the list
   of entries is the wire's. Their lengths then lead from value to value: only the names and the punctuation between
   them are read again, so a big ``messages`` is passed in one step.
2. What msgspec refuses though clients send it is *masked*: replaced by something harmless of the same length, in a
   copy that is only used to find offsets. Those are lone surrogates (``"\ud800"``, which JavaScript and Python produce
   from cut strings), a byte order mark, and Python's ``NaN`` and ``Infinity``. The body itself goes on as it came.
3. A duplicate ``model`` or ``stream`` is refused: which of the two counts depends on the parser (RFC 8259, section 4),
   so the upstream could see another one than we do.

msgspec skips what it hands back as ``Raw`` without checking its UTF-8 (RFC 8259, section 8.1), so that is done here.
"""

from __future__ import annotations

import json
import re

import msgspec

from hydrallm.errors import RequestError


class Located(msgspec.Struct, frozen=True, gc=False):
    """Where the top-level ``model`` of a body is or belongs, and what else the top level says.

    Attributes:
        start: the first byte of the model's value; where there is none, the byte after the opening brace.
        end: the byte after the value; equal to ``start`` where there is none.
        comma: an inserted member is followed by another one.
        stream: ``stream`` is literally ``true``.
        model: the client's name for the model, if it gave one and it is a string. Fit for a log: a lone surrogate in
            it is shown as a question mark.
    """

    start: int
    end: int
    comma: bool
    stream: bool
    model: str | None


class Name:
    """The name of a top-level member. Equal to nothing but itself, so that a dict keeps two members of one name."""

    __slots__ = ()


class _Model(Name):
    __slots__ = ()


class _Stream(Name):
    __slots__ = ()


_NAMES: dict[str, type[Name]] = {"model": _Model, "stream": _Stream}


def _name(_: type[Name], text: str) -> Name:
    return _NAMES.get(text, Name)()


_MEMBERS = msgspec.json.Decoder(dict[Name, msgspec.Raw], dec_hook=_name)

# From the end of one value (or the start of the body) to the start of the next.
_UP_TO_VALUE = re.compile(rb'[ \t\r\n]*+[{,][ \t\r\n]*+"(?:[^"\\]|\\.)*+"[ \t\r\n]*+:[ \t\r\n]*+')

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# The words lead and what stands before them is looked at afterwards: that lets the search skip to the word.
_CONSTANT = re.compile(rb"(?:NaN(?<=[ \t\r\n:,\[]NaN)|Infinity(?<=[ \t\r\n:,\[-]Infinity))(?=[ \t\r\n,\]}])")


def locate(body: bytes) -> Located:
    """Find the top-level ``model`` and ``stream`` of ``body``.

    Args:
        body: a whole request body, its content encoding undone.

    Returns:
        The offsets for :func:`splice`.

    Raises:
        RequestError: 400; the body is not a JSON object in UTF-8, is nested too deep (the interpreter's recursion
            limit, about 1,000 levels), or has two members called ``model`` or ``stream``.
    """
    members, readable = _members(body)
    model = stream = None
    end = 0
    for name, raw in members.items():
        match = _UP_TO_VALUE.match(readable, end)
        assert match is not None  # noqa: S101 - msgspec has just read a name and a colon there
        start = match.end()
        end = start + len(raw)
        if name.__class__ is Name:
            continue
        if name.__class__ is _Model:
            if model is not None:
                raise _duplicate("model")
            model = start, end
        else:
            if stream is not None:
                raise _duplicate("stream")
            stream = start, end
    streams = stream is not None and body[stream[0] : stream[1]] == b"true"
    if model is not None:
        start, end = model
        return Located(start, end, comma=False, stream=streams, model=_text(body[start:end]))
    after_brace = readable.index(b"{") + 1
    return Located(after_brace, after_brace, comma=bool(members), stream=streams, model=None)


def splice(body: bytes, located: Located, model_json: bytes) -> bytes:
    """Return ``body`` with its model replaced, or added as the first member where it has none.

    Args:
        body: the body that was given to :func:`locate`.
        located: what :func:`locate` returned.
        model_json: the model's name as a JSON value, its quotes included.
    """
    start, end = located.start, located.end
    view = memoryview(body)
    if start == end:
        model_json = b'"model":' + model_json + (b"," if located.comma else b"")
    return b"".join((view[:start], model_json, view[end:]))


def _members(body: bytes) -> tuple[dict[Name, msgspec.Raw], bytes]:
    """Return the top-level members, and the bytes that their lengths are true of: ``body``, or a mask of it."""
    if not body.isascii():
        try:
            body.decode()
        except UnicodeDecodeError as error:
            raise RequestError(
                400, f"the request body is not valid UTF-8 (byte {error.start}); send JSON in UTF-8"
            ) from None
    try:
        return _MEMBERS.decode(body), body
    except (msgspec.MsgspecError, RecursionError):
        body = _mask(body)
    try:
        return _MEMBERS.decode(body), body
    except msgspec.ValidationError:
        reason = "must be a JSON object; wrap it in {...}"
    except msgspec.DecodeError as error:
        detail = str(error).removeprefix("JSON is malformed: ")
        reason = f"is not valid JSON: {detail}" if body else "is empty; send a JSON object"
    except RecursionError:
        reason = "is nested too deep; send JSON with fewer levels of arrays and objects"
    raise RequestError(400, f"the request body {reason}")


def _mask(body: bytes) -> bytes:
    """Return ``body`` with what only msgspec minds replaced, at the same length and with the same structure.

    It does not matter that some of this is also found where it means something else, such as after an escaped
    backslash: there, too, it is inside a string and stays inside it.
    """
    if body.startswith(_BYTE_ORDER_MARK):
        body = b"   " + body[len(_BYTE_ORDER_MARK) :]
    # U+F000 to U+FFFF are no surrogates, and no name that matters here could be made of them.
    body = body.replace(rb"\ud", rb"\uF").replace(rb"\uD", rb"\uF")
    if b"NaN" in body or b"Infinity" in body:
        body = _CONSTANT.sub(lambda constant: b"1" * len(constant[0]), body)
    return body


def _text(value: bytes) -> str | None:
    """Return the string that ``value`` is in JSON, or None if it is something else."""
    if not value.startswith(b'"'):
        return None
    if b"\\" not in value:
        return value[1:-1].decode()
    text: str = json.loads(value)
    return text.encode("utf-8", "replace").decode()


def _duplicate(name: str) -> RequestError:
    return RequestError(400, f'the request body has more than one top-level "{name}"; send it once')
