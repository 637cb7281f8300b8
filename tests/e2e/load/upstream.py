"""A provider that costs next to nothing: a process of its own with thousands of streams at once.

``python upstream.py HOLD PAUSE`` prints its port. A request for a stream gets a first word at once, then one every
PAUSE seconds for HOLD seconds, and the end; any other request gets a whole answer. The words are numbered, so that
whoever reads them can tell that none is missing.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from typing import cast

WHOLE = json.dumps(
    {
        "id": "c",
        "object": "chat.completion",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "word1"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }
).encode()
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def chunk(delta: dict[str, str], finish: str | None = None) -> bytes:
    event = {"id": "c", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta}]}
    event["choices"][0]["finish_reason"] = finish  # type: ignore[index]
    data = b"data: %b\n\n" % json.dumps(event).encode()
    return b"%x\r\n%b\r\n" % (len(data), data)


ROLE = chunk({"role": "assistant", "content": ""})
END = chunk({}, "stop") + b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"


class Connection(asyncio.Protocol):
    def __init__(self, hold: float, pause: float) -> None:
        self.hold, self.pause = hold, pause
        self.data = b""
        self.timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if self.timer is not None:
            self.timer.cancel()

    def data_received(self, data: bytes) -> None:
        self.data += data
        head, separator, body = self.data.partition(b"\r\n\r\n")
        length = next((int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"content-length:")), 0)
        if not separator or len(body) < length:
            return
        self.data = body[length:]
        if b'"stream":true' in body.replace(b" ", b""):
            self.transport.write(HEAD + ROLE)
            self.word(1, asyncio.get_running_loop().time() + self.hold)
        else:
            head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(WHOLE)
            self.transport.write(head + WHOLE)

    def word(self, number: int, until: float) -> None:
        loop = asyncio.get_running_loop()
        self.transport.write(chunk({"content": f"word{number} "}))
        if loop.time() + self.pause > until:
            self.transport.write(END)
        else:
            self.timer = loop.call_later(self.pause, self.word, number + 1, until)


async def main(hold: float, pause: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(hold, pause), "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)  # whoever started it has ended
    server.close()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(float(sys.argv[1]), float(sys.argv[2])))
