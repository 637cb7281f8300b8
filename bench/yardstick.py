"""A piece of Python of a proxy's kind, by whose cost the guard measures the proxy's.

How many instructions the same Python takes depends on who compiled the interpreter, and for which processor: 7 % lie
between Debian's Python 3.11 and one that was compiled with its defaults. It is much the same for this piece and for
the proxy, so that their ratio differs by 1 %. It touches nothing of HydraLLM, and must not be changed: all figures of
the guard are multiples of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_NAMES: Final = {b"x-header-%d" % number: number for number in range(20)}
_DROPPED: Final = frozenset({b"x-header-3", b"x-header-7"})


class _Pair:
    __slots__ = ("name", "value")

    def __init__(self, name: bytes, value: int) -> None:
        self.name = name
        self.value = value


async def _total(pairs: Iterable[_Pair]) -> int:
    total = 0
    for pair in pairs:
        if pair.name.startswith(b"x"):
            total += pair.value
    return total


async def _turn() -> int:
    kept = [(name, value) for name, value in _NAMES.items() if name not in _DROPPED]
    text = b"\r\n".join([b"%b: %d" % pair for pair in kept]).decode("latin-1")
    try:
        length = len(text) + _NAMES[b"host"]
    except KeyError:
        length = len(text)
    return await _total([_Pair(*pair) for pair in kept]) + length


def yardstick(turns: int) -> None:
    """Do it so many times."""
    for _ in range(turns):
        try:
            _turn().send(None)
        except StopIteration:
            continue
