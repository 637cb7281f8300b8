"""Answers that are compressed although they were asked for as they are."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import pytest

from hydrallm.faults.script import Answer, Raw
from hydrallm.policy.kinds import Kind

if TYPE_CHECKING:
    from tests.exchange.conftest import Provide, Serve


BODY = b'{"model": "client-model", "messages": [{"role": "user", "content": "hi"}]}'
STREAM_BODY = BODY[:-1] + b', "stream": true}'


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
@pytest.mark.parametrize("body", [BODY, STREAM_BODY])
async def test_an_answer_that_is_compressed_all_the_same_is_decoded(
    encoding: str, body: bytes, provide: Provide, serve: Serve
) -> None:
    upstream = await provide([Answer(text="done"), Answer(text="done", encoding=encoding)])  # type: ignore[arg-type]
    gateway = await serve(upstream)
    plain = await gateway.client.ask(body)
    reply = await gateway.client.ask(body, headers={"Accept-Encoding": "gzip, br, zstd"})
    assert "content-encoding" not in reply.headers
    assert reply.complete
    assert reply.body.count(b"done") == plain.body.count(b"done") == 1
    asked = dict(upstream.received[1].headers)
    assert asked[b"accept-encoding"] == b"identity"


def gzipped(content_type: str, *pieces: bytes) -> Raw:
    """Return an answer that is complete for HTTP; each piece is flushed, and the end of the gzip stream is missing."""
    coder = zlib.compressobj(wbits=31)
    coded = [coder.compress(piece) + coder.flush(zlib.Z_SYNC_FLUSH) for piece in pieces]
    body = "".join(f"{len(piece):x}\r\n{piece.decode('latin-1')}\r\n" for piece in coded)
    head = f"content-type: {content_type}\r\ncontent-encoding: gzip\r\ntransfer-encoding: chunked\r\n"
    return Raw(data=f"HTTP/1.1 200 OK\r\n{head}\r\n{body}0\r\n\r\n")


WORD = b'data: {"choices": [{"index": 0, "delta": {"content": "done"}}]}\n\n'
DONE = b"data: [DONE]\n\n"


async def test_a_compressed_stream_that_lacks_its_end_is_cut(provide: Provide, serve: Serve) -> None:
    gateway = await serve(await provide(gzipped("text/event-stream", WORD)))
    reply = await gateway.client.ask(STREAM_BODY)
    assert (reply.status, reply.complete) == (200, False)
    assert reply.body.startswith(WORD)
    assert b"[DONE]" not in reply.body
    assert (await gateway.journal.ended()).outcome == "cut"


async def test_a_compressed_stream_that_lacks_only_the_end_of_its_coding_is_complete(
    provide: Provide, serve: Serve
) -> None:
    gateway = await serve(await provide(gzipped("text/event-stream", WORD, DONE)))
    reply = await gateway.client.ask(STREAM_BODY)
    assert (reply.status, reply.body, reply.complete) == (200, WORD + DONE, True)
    assert (await gateway.journal.ended()).outcome == "answered"


async def test_compressed_json_that_lacks_its_end_is_asked_for_again(provide: Provide, serve: Serve) -> None:
    upstream = await provide([gzipped("application/json", b'{"a": 1}'), Answer(text="done")])
    gateway = await serve({"url": upstream.url, "attempts": 2})
    assert (await gateway.client.ask()).json["choices"][0]["message"]["content"] == "done"
    assert [attempt.kind for attempt in gateway.journal.failed] == [Kind.BAD_ANSWER]
