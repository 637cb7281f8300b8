"""A subject: the proxy that one would write by hand, on uvicorn and aiohttp. It runs in an environment of its own.

It does the least that such a proxy must: parse the body, set the model, pass the headers on, relay the answer as it
comes. It does not retry, time out or look at an answer; and it does not notice that a client has left before it has
something to send to it.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import aiohttp

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Message = dict[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]

_UPSTREAM = os.environ.get("BENCH_UPSTREAM", "")
_KEY = os.environ.get("BENCH_KEY", "")
_HOP = {b"host", b"connection", b"content-length", b"transfer-encoding", b"accept-encoding", b"authorization"}
_state: dict[str, aiohttp.ClientSession] = {}


async def app(scope: Message, receive: Receive, send: Send) -> None:
    """Serve one connection's exchange, as ASGI has it."""
    if scope["type"] == "lifespan":
        await _live(receive, send)
        return
    body = json.loads(await _body(receive))
    body["model"] = "bench-model"
    headers = {name.decode(): value.decode() for name, value in scope["headers"] if name not in _HOP}
    async with _state["session"].post(
        _UPSTREAM + scope["path"], data=json.dumps(body), headers=headers | {"authorization": f"Bearer {_KEY}"}
    ) as answer:
        kept = [(name.lower(), value) for name, value in answer.raw_headers if name.lower() not in _HOP]
        await send({"type": "http.response.start", "status": answer.status, "headers": kept})
        async for chunk in answer.content.iter_any():
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


async def _live(receive: Receive, send: Send) -> None:
    await receive()
    timeout = aiohttp.ClientTimeout(total=None)
    connector = aiohttp.TCPConnector(limit=0)
    _state["session"] = aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False)
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await _state["session"].close()
    await send({"type": "lifespan.shutdown.complete"})


async def _body(receive: Receive) -> bytes:
    parts = []
    more = True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(parts)
