"""JSON for a typed decoder, from senders that are not strict.

PURE. A decoder of msgspec both reads and checks, and it refuses some of what clients and providers really send: half of
a surrogate pair, a byte order mark, ``NaN``. What passes through is not touched for that; what is translated has to be
written anew anyway, and then half a character becomes a question mark. All else stays as it was written, byte by byte,
for there are arguments of calls among it: long integers, decimals, names that are there twice. Only where a number is
none, and the type has no place for that, has the whole to be read and written by Python's parser.
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, TypeVar

import msgspec

from hydrallm.formats.canonical import UntranslatableError
from hydrallm.formats.json_value import is_utf8
from hydrallm.formats.sse import BYTE_ORDER_MARK

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

# Up to the escape of half a surrogate pair, or to the end.
_PAIRED = re.compile(
    rb"(?:[^\\]++|\\[^u]|\\u(?![dD][89a-fA-F])|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})*+", re.DOTALL
)
_HALF = len(rb"\ud83d")


def read_strictly(data: bytes, decode: Callable[[bytes], T], what: str) -> T:
    """Return what a client sent. A number that is none (``NaN``, ``1e400``) is refused, for one would have to guess.

    Args:
        data: JSON.
        decode: of a typed decoder.
        what: that it is to be, for the error: such as ``a chat request``.

    Raises:
        UntranslatableError: it is not JSON, or not of the type.
    """
    return _read(data, decode, what, float)


def read_tolerantly(data: bytes, decode: Callable[[bytes], T], what: str) -> T:
    """Return what a provider sent; see :func:`read_strictly`. A number that is none is null."""
    return _read(data, decode, what, _finite)


def decoded(decoder: msgspec.json.Decoder[T], raw: bytes | msgspec.Raw, where: str) -> T:
    """Return what ``raw``, a part of a body that has been read, is by ``decoder``.

    Args:
        decoder: of what is expected.
        raw: JSON.
        where: it stands, for the message.

    Raises:
        UntranslatableError: it is something else.
    """
    try:
        return decoder.decode(raw)
    except msgspec.DecodeError as error:
        said, _, place = str(error).partition(" - at `$")
        raise UntranslatableError(f"{where}{place.rstrip('`')}: {said[:1].lower()}{said[1:]}") from None
    except RecursionError:
        raise UntranslatableError(f"{where}: it is nested too deep") from None


def _read(data: bytes, decode: Callable[[bytes], T], what: str, number: Callable[[str], float | None]) -> T:
    if not is_utf8(data):  # a decoder does not look at that in what it skips
        raise UntranslatableError(f"this is not {what}: the body is not UTF-8")
    try:
        try:
            return decode(data)
        except msgspec.DecodeError:  # also where a number is out of range, or the type is another one
            return _decode_mended(_mended(data), decode, number)
    except msgspec.ValidationError as error:
        raise UntranslatableError(f"this is not {what}: {_located(str(error))}") from None
    except ValueError as error:
        raise UntranslatableError(f"this is not {what}: the body is no JSON: {error}") from None
    except RecursionError:
        raise UntranslatableError(f"this is not {what}: the JSON is nested too deep") from None


def _decode_mended(data: bytes, decode: Callable[[bytes], T], number: Callable[[str], float | None]) -> T:
    try:
        return decode(data)
    except msgspec.DecodeError:
        return decode(_rewritten(data, number))


def _mended(data: bytes) -> bytes:
    """Return JSON without a byte order mark, and with a question mark for each half of a surrogate pair."""
    data = data.removeprefix(BYTE_ORDER_MARK)
    pieces: list[bytes] = []
    start = 0
    while (found := _PAIRED.match(data, start)) and (end := found.end()) < len(data):
        pieces += (data[start:end], b"?")
        start = end + _HALF
    return b"".join((*pieces, data[start:])) if pieces else data


def _rewritten(data: bytes, number: Callable[[str], float | None]) -> bytes:
    """Return the JSON ``data`` as Python writes it, with ``number`` called for what may be none."""

    def integer(digits: str) -> float | None:
        return int(digits) if len(digits) < 20 else number(digits)  # Python refuses more than 4,300 digits

    value = json.loads(data, parse_float=number, parse_constant=number, parse_int=integer)
    # Infinity and NaN are written as they are read, and refused by the decoder.
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _finite(text: str) -> float | None:
    return value if math.isfinite(value := float(text)) else None


def _located(message: str) -> str:
    """Return msgspec's message with the place first: ``messages[0].role: expected `str`, got `int```."""
    said, found, place = message.partition(" - at `$")
    place = place.rstrip("`").removeprefix(".")
    return f"{place}: {said[:1].lower()}{said[1:]}" if found and place else said[:1].lower() + said[1:]
