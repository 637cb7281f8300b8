"""Connections through a proxy: tunnels for TLS, the absolute form for plain HTTP."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import TYPE_CHECKING

import pytest
import trustme

from hydrallm.errors import ConnectError
from hydrallm.http.dial import Proxy, Route, proxy_authorization, tls_context
from hydrallm.message import Request

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.http.conftest import Call, StartUpstream

    from hydrallm.http.client import Client

    MakeClient = Callable[[Route], Client]

GET = Request(b"GET", b"/path?q=1", [(b"accept", b"*/*")])
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


async def answer(call: Call) -> None:
    while True:
        await call.head()
        await call.send(OK)


async def fetch(client: Client, connect_timeout: float = 5.0) -> bytes:
    expires = asyncio.get_running_loop().time() + 10
    stream = await client.request(GET, expires=expires, connect_timeout=connect_timeout)
    body = b""
    while data := await stream.chunk():
        body += data
    stream.close()
    return body


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


@pytest.fixture
def route(ca_file: Path) -> Callable[..., Route]:
    """Makes routes to an https origin behind the proxy at a port."""

    def through(port: int, authorization: bytes = b"", host: str = "name.example") -> Route:
        return Route(host, 443, host.encode(), tls_context(ca_file), Proxy("127.0.0.1", port, authorization))

    return through


async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)


async def tunnel(call: Call, target_port: int, reply: bytes) -> None:
    """Make the tunnel that was asked for, whatever its name, to ``target_port``."""
    await call.head()
    await call.send(reply)
    reader, writer = await asyncio.open_connection("127.0.0.1", target_port)
    there, back = asyncio.ensure_future(relay(call.reader, writer)), asyncio.ensure_future(relay(reader, call.writer))
    try:
        await asyncio.wait((there, back), return_when=asyncio.FIRST_COMPLETED)
    finally:
        there.cancel()
        back.cancel()
        writer.close()


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 Connection established\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nProxy-Agent: x\r\nX: y\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
    ],
    ids=["usual", "headers", "other-2xx"],
)
@pytest.mark.parametrize("credentials", [None, ("me", "se cret:")], ids=["open", "password"])
async def test_a_tunnel_through_a_proxy(
    reply: bytes,
    credentials: tuple[str, str] | None,
    authority: trustme.CA,
    route: Callable[..., Route],
    start_upstream: StartUpstream,
    client_of: MakeClient,
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("name.example").configure_cert(context)
    origin = await start_upstream(answer, ssl=context)
    proxy = await start_upstream(lambda call: tunnel(call, origin.port, reply))
    client = client_of(route(proxy.port, proxy_authorization(*credentials) if credentials else b""))
    for _ in range(3):
        assert await fetch(client) == b"hello"
    assert proxy.accepted == 1
    expected = b"CONNECT name.example:443 HTTP/1.1\r\nHost: name.example:443\r\n"
    if credentials:
        expected += b"Proxy-Authorization: Basic bWU6c2UgY3JldDo=\r\n"
    assert proxy.heads == [expected + b"\r\n"]
    assert b"roxy" not in origin.heads[0], "the origin does not hear of the proxy"
    assert origin.heads[0].startswith(b"GET /path?q=1 HTTP/1.1\r\nhost: name.example\r\n")


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", "refused a tunnel .* 407 Proxy"),
        (b"HTTP/1.1 403 Forbidden\r\n\r\nno", "refused a tunnel to name.example:443: HTTP/1.1 403 Forbidden"),
        (b"HTTP/1.1 2000 Odd\r\n\r\n", "refused a tunnel"),
        (b"", "closed the connection instead of making a tunnel"),
        (b"HTTP/1.1 200 OK\r\n", "closed the connection instead of making a tunnel"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 20_000 + b"\r\n\r\n", "instead of making a tunnel"),
        (b"HTTP/1.1 200 OK\r\n\r\nearly data", "sent data before the tunnel was used"),
        (b"\x05\x00", "instead of making a tunnel"),
    ],
    ids=["407", "403", "odd-status", "nothing", "half-a-head", "long-head", "early-data", "socks"],
)
async def test_a_tunnel_that_is_refused(
    reply: bytes,
    message: str,
    route: Callable[..., Route],
    start_upstream: StartUpstream,
    client_of: MakeClient,
) -> None:
    async def script(call: Call) -> None:
        await call.head()
        call.writer.write(reply)

    proxy = await start_upstream(script)
    with pytest.raises(ConnectError, match=message) as caught:
        await fetch(client_of(route(proxy.port)))
    assert f"the proxy 127.0.0.1:{proxy.port}" in str(caught.value)


@pytest.mark.parametrize("how", ["silent", "reset"])
async def test_a_proxy_that_does_not_answer(
    how: str, route: Callable[..., Route], start_upstream: StartUpstream, client_of: MakeClient
) -> None:
    async def script(call: Call) -> None:
        await call.head()
        if how == "reset":
            call.reset()
        await call.gone()

    proxy = await start_upstream(script)
    with pytest.raises(ConnectError, match=rf"name\.example:443 through the proxy 127\.0\.0\.1:{proxy.port}"):
        await fetch(client_of(route(proxy.port)), connect_timeout=0.3)


async def test_a_proxy_that_is_not_there(route: Callable[..., Route], client_of: MakeClient) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    with pytest.raises(ConnectError, match=f"cannot connect to 127.0.0.1:{port}: Connection refused"):
        await fetch(client_of(route(port)))


async def test_an_ipv6_origin_is_asked_for_in_brackets(
    route: Callable[..., Route], start_upstream: StartUpstream, client_of: MakeClient
) -> None:
    async def script(call: Call) -> None:
        await call.head()

    proxy = await start_upstream(script)
    with pytest.raises(ConnectError):
        await fetch(client_of(route(proxy.port, host="2001:db8::1")))
    assert proxy.heads == [b"CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: [2001:db8::1]:443\r\n\r\n"]


async def test_plain_http_is_asked_for_in_absolute_form(start_upstream: StartUpstream, client_of: MakeClient) -> None:
    proxy = await start_upstream(answer)
    via = Proxy("127.0.0.1", proxy.port, proxy_authorization("me", "x"))
    client = client_of(Route("name.example", 8000, b"name.example:8000", None, via))
    for _ in range(2):
        assert await fetch(client) == b"hello"
    assert proxy.accepted == 1
    assert proxy.heads[0] == (
        b"GET http://name.example:8000/path?q=1 HTTP/1.1\r\nhost: name.example:8000\r\n"
        b"proxy-authorization: Basic bWU6eA==\r\naccept: */*\r\n\r\n"
    )
