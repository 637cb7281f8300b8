"""Paths that generate nothing, and upstreams that speak HTTP in unusual but legal ways."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

import anthropic
import openai
import pytest
import trustme

from hydrallm.faults.provider import Provider
from hydrallm.faults.script import TEXT, Answer, Fail

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Connect, Serve, Standing

pytestmark = pytest.mark.asyncio(loop_scope="session")

TURN: list[Any] = [{"role": "user", "content": "hi"}]
PLAIN = b'{"model":"m","messages":[]}'
STREAM = b'{"model":"m","messages":[],"stream":true}'

UNUSUAL = {
    "gzip": Answer(encoding="gzip"),
    "deflate": Answer(encoding="deflate"),
    "zstd": Answer(encoding="zstd"),
    "gzip-chunked-in-splinters": Answer(encoding="gzip", framing="chunked", write_size=3),
    "splinters": Answer(framing="chunked", write_size=1),
    "until-the-end-of-the-connection": Answer(framing="eof"),
    "http-1.0": Answer(version="1.0"),
    "interim-responses": Answer(interim=(100, 102, 103)),
    "announced-close": Answer(ending="close"),
}


@pytest.mark.parametrize("body", [PLAIN, STREAM], ids=["plain", "stream"])
@pytest.mark.parametrize("answer", UNUSUAL.values(), ids=UNUSUAL.keys())
async def test_the_client_sees_the_same_answer_whatever_http_the_upstream_speaks(
    answer: Answer, body: bytes, standing: Standing, connect: Connect
) -> None:
    standing.first.play([Answer(), answer])
    async with await connect(standing.gateway.port) as client:
        usual, unusual = await client.ask(body), await client.ask(body)
    assert (unusual.status, unusual.complete) == (200, True)
    # The second answer's ids end in 2 and not in 1; all else is the same.
    assert unusual.body.replace(b"0002", b"0001") == usual.body
    assert "content-encoding" not in unusual.headers
    assert dict(standing.first.received[-1].headers)[b"accept-encoding"] == b"identity"
    assert standing.second.received == []


async def test_embeddings_and_batches_go_to_the_first_endpoint_of_their_type(serve: Serve) -> None:
    async with Provider() as provider:
        types = {"openai-0": "openai", "anthropic-1": "anthropic", "anthropic-2": "anthropic"}
        gateway = await serve(
            {
                "endpoints": {name: {"url": provider.url, "api_key": f"key-{name}"} for name in types},
                "models": [{"endpoint": name, "type": kind, "model": "m"} for name, kind in types.items()],
            }
        )
        async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key="k", max_retries=0) as client:
            embedding = await client.embeddings.create(model="client-model", input="hi")
        async with anthropic.AsyncAnthropic(base_url=gateway.url, api_key="k", max_retries=0) as claude:
            await claude.messages.batches.with_raw_response.list()
    assert embedding.model == "client-model", "the body is the client's"
    keys = [dict(received.headers) for received in provider.received]
    assert [received.path for received in provider.received] == ["/v1/embeddings", "/v1/messages/batches"]
    assert keys[0][b"authorization"] == b"Bearer key-openai-0"
    assert keys[1][b"x-api-key"] == b"key-anthropic-1"


async def test_an_upload_arrives_whole(standing: Standing) -> None:
    content = bytes(range(256)) * 16_384  # 4 MB
    async with openai.AsyncOpenAI(base_url=f"{standing.gateway.url}/v1", api_key="k", max_retries=0) as client:
        await client.files.create(file=("data.bin", content), purpose="batch")
    (received,) = standing.first.received
    assert received.path == "/v1/files"
    assert content in received.body
    assert dict(received.headers)[b"content-type"].startswith(b"multipart/form-data; boundary=")


async def test_query_and_percent_encoding_stay_as_they_were_sent(standing: Standing, connect: Connect) -> None:
    async with await connect(standing.gateway.port) as client:
        client.send(b"", "/v1/files/a%2Fb%20c?x=%20y&z=1", method="GET")
        assert (await client.reply()).status == 200
    assert standing.first.received[0].target == b"/v1/files/a%2Fb%20c?x=%20y&z=1"


@pytest.mark.parametrize(
    ("method", "path", "status", "arrivals"), [("GET", "files", 200, 2), ("POST", "embeddings", 500, 1)]
)
async def test_what_generates_nothing_is_tried_again_only_where_that_is_safe(
    method: str, path: str, status: int, arrivals: int, serve: Serve, connect: Connect
) -> None:
    async with Provider([Fail(status=500), Answer()]) as provider:
        gateway = await serve(
            {
                "retry": {"default_interval": "1ms"},
                "endpoints": {"up": {"url": f"{provider.url}/v1", "api_key": "k"}},
                "models": [{"endpoint": "up", "model": "m", "attempts": 3}],
            }
        )
        async with await connect(gateway.port) as client:
            client.send(b"" if method == "GET" else PLAIN, f"/v1/{path}", method=method)
            assert (await client.reply()).status == status
        assert len(provider.received) == arrivals


async def test_an_upgrade_is_426_with_json(standing: Standing, connect: Connect) -> None:
    async with await connect(standing.gateway.port) as client:
        client.send(b"", "/v1/responses", method="GET", headers="Connection: Upgrade\r\nUpgrade: websocket\r\n")
        reply = await client.reply()
    assert (reply.status, reply.headers["content-type"]) == (426, "application/json")
    assert standing.first.received == []


@pytest.mark.parametrize("trusted", [True, False])
async def test_tls_upstreams_are_verified(trusted: bool, serve: Serve, tmp_path: Path) -> None:
    authority, server = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    (trustme.CA() if not trusted else authority).cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    async with Provider(tls=server) as secure, Provider() as fallback:
        gateway = await serve(
            {
                "endpoints": {
                    "secure": {"url": f"{secure.url}/v1", "api_key": "k", "ca_file": str(tmp_path / "ca.pem")},
                    "fallback": {"url": f"{fallback.url}/v1", "api_key": "k"},
                },
                "models": [{"endpoint": "secure", "model": "a"}, {"endpoint": "fallback", "model": "b"}],
            }
        )
        async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key="k", max_retries=0) as client:
            completion = await client.chat.completions.create(model="m", messages=TURN)
        assert completion.choices[0].message.content == TEXT
        assert (len(secure.received), len(fallback.received)) == ((1, 0) if trusted else (0, 1))
