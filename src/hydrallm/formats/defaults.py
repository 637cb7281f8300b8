"""Settings that ask for nothing, for every model does so anyway.

PURE. Many clients say all that they could say. What is the default of every API is not missed where it cannot be said:
it is neither dropped nor a reason to skip a model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hydrallm.formats.canonical import Request

_USUAL: Mapping[str, tuple[object, ...]] = {
    "temperature": (1,),
    "top_p": (1,),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "verbosity": ("", "medium"),
    "tier": ("", "auto", "default"),
    "cache_key": ("",),
    "metadata": ({},),
}


def asks(request: Request, field: str) -> bool:
    """Return whether a field of ``request`` asks for anything."""
    value = getattr(request, field)
    return value is not None and value not in _USUAL.get(field, ())
