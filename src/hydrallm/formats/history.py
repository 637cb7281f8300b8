"""Repairs of a conversation, made on a copy and only when a model has refused it as it was.

PURE.
"""

from __future__ import annotations

import msgspec

from hydrallm.formats.canonical import Request, Thinking


def without_thoughts(request: Request) -> Request | None:
    """Return ``request`` without what models have thought in it; None if there is nothing of the kind.

    A thought is signed, and whoever did not think it may refuse the signature. The words around it stay.
    """
    messages = []
    for message in request.messages:
        parts = tuple([part for part in message.parts if not isinstance(part, Thinking)])
        if len(parts) == len(message.parts):
            messages.append(message)
        elif parts:
            messages.append(msgspec.structs.replace(message, parts=parts))
    kept = sum(len(message.parts) for message in messages)
    if kept == sum(len(message.parts) for message in request.messages):
        return None
    return msgspec.structs.replace(request, messages=tuple(messages))
