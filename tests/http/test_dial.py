"""Making connections: the race of addresses, proxies, TLS."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from hydrallm.errors import ConnectError, SilenceError, TlsError, UpstreamError
from hydrallm.http.dial import RACE_DELAY, Route, dial, tls_context
from hydrallm.message import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.http.conftest import Call, StartUpstream

    from hydrallm.http.client import Client

    MakeClient = Callable[[Route], Client]

GET = Request(b"GET", b"/path?q=1", [(b"accept", b"*/*")])
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
SLOW = RACE_DELAY + 0.7
"""Seconds within which the second racer has won, on two shared cores."""


async def answer(call: Call) -> None:
    while True:
        await call.head()
        await call.send(OK)


async def fetch(client: Client, seconds: float = 10.0, connect_timeout: float = 5.0) -> bytes:
    expires = asyncio.get_running_loop().time() + seconds
    stream = await client.request(GET, expires=expires, connect_timeout=connect_timeout)
    body = b""
    while data := await stream.chunk():
        body += data
    stream.close()
    return body


def resolve_to(*hosts: str) -> None:
    """Make the running loop's resolver give these addresses for ``name.example``."""
    loop = asyncio.get_running_loop()
    real = loop.getaddrinfo

    async def getaddrinfo(host: str, port: int, **options: Any) -> list[Any]:  # noqa: ANN401 - the loop's own
        if host != "name.example":
            return await real(host, port, **options)
        if not hosts:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        families = [socket.AF_INET6 if ":" in host else socket.AF_INET for host in hosts]
        wheres = [(host, port, 0, 0) if ":" in host else (host, port) for host in hosts]
        return [(family, socket.SOCK_STREAM, 6, "", where) for family, where in zip(families, wheres, strict=True)]

    loop.getaddrinfo = getaddrinfo  # type: ignore[method-assign, assignment]


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@pytest.fixture
def black_hole() -> Iterator[int]:
    """A port of 127.0.0.1 that answers no SYN: its listener's queue is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(8):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


class Nothing(asyncio.Protocol):
    """Takes a connection and does nothing with it."""

    transport: asyncio.BaseTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport


async def connects_to(port: int) -> tuple[str, float]:
    """Dial a name; return the address that won, and the seconds it took."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    protocol = await dial(Route("name.example", port, b""), Nothing)
    seconds = loop.time() - began
    peer = protocol.transport.get_extra_info("peername")[0]
    protocol.transport.close()
    return peer, seconds


# -- the race of addresses -------------------------------------------------------------------------------------------


@pytest.mark.platform("linux")
async def test_a_silent_first_address_costs_the_race_delay(black_hole: int, start_upstream: StartUpstream) -> None:
    await start_upstream(answer, host="127.0.0.2", port=black_hole)
    resolve_to("127.0.0.1", "127.0.0.2")
    address, seconds = await connects_to(black_hole)
    assert address == "127.0.0.2"
    assert RACE_DELAY * 0.9 < seconds < SLOW


@pytest.mark.platform("linux")
async def test_a_first_address_that_refuses_costs_nothing(start_upstream: StartUpstream) -> None:
    upstream = await start_upstream(answer, host="127.0.0.2")
    resolve_to("127.0.0.1", "127.0.0.2")
    address, seconds = await connects_to(upstream.port)
    assert address == "127.0.0.2"
    assert seconds < RACE_DELAY * 0.9


@pytest.mark.platform("linux")
async def test_families_alternate(black_hole: int, start_upstream: StartUpstream) -> None:
    """The second attempt goes to the other family, though the resolver gave it last."""
    await start_upstream(answer, host="127.0.0.2", port=black_hole)
    await start_upstream(answer, host="::1", port=black_hole)
    resolve_to("127.0.0.1", "127.0.0.2", "::1")
    address, seconds = await connects_to(black_hole)
    assert address == "::1"
    assert seconds < SLOW


async def test_all_reasons_are_named_once() -> None:
    resolve_to("127.0.0.1", "::1", "127.0.0.1")
    port = free_port()
    with pytest.raises(ConnectError) as caught:
        await connects_to(port)
    assert str(caught.value).startswith(f"cannot connect to name.example:{port}: ")
    assert str(caught.value).count("Connection refused") == 1


async def test_a_refusal_of_the_only_address_says_so() -> None:
    port = free_port()
    with pytest.raises(ConnectError, match=f"cannot connect to 127.0.0.1:{port}: Connection refused"):
        await dial(Route("127.0.0.1", port, b""), Nothing)


async def test_a_name_that_does_not_resolve_says_so() -> None:
    resolve_to()
    with pytest.raises(
        ConnectError, match=r"the host name 'name\.example' does not resolve: Name or service not known"
    ):
        await connects_to(1)


@pytest.mark.platform("linux")
@pytest.mark.parametrize("addresses", [1, 2])
async def test_a_connection_that_takes_too_long_is_given_up(
    addresses: int, black_hole: int, client_of: MakeClient
) -> None:
    resolve_to(*["127.0.0.1"] * addresses)
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - descriptors are no paths
    client = client_of(Route("name.example", black_hole, b"x"))
    with pytest.raises(ConnectError, match=rf"no connection to name\.example:{black_hole} within 0\.1 s"):
        await fetch(client, connect_timeout=0.1)
    with pytest.raises(SilenceError, match="the time for this attempt ran out before a connection was made"):
        await fetch(client, seconds=0.1)
    await asyncio.sleep(0)
    assert len(os.listdir("/proc/self/fd")) == before, "no socket is left"  # noqa: PTH208 - as above


# -- TLS -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


def server_context(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


async def test_a_verified_connection_carries_requests(
    authority: trustme.CA, ca_file: Path, start_upstream: StartUpstream, client_of: MakeClient
) -> None:
    protocols = []

    async def script(call: Call) -> None:
        protocols.append(call.writer.get_extra_info("ssl_object").selected_alpn_protocol())
        await answer(call)

    upstream = await start_upstream(script, ssl=server_context(authority, "name.example"))
    resolve_to("127.0.0.1")
    client = client_of(Route("name.example", upstream.port, b"name.example", tls_context(ca_file)))
    for _ in range(3):
        assert await fetch(client) == b"hello"
    assert upstream.accepted == 1
    assert protocols == ["http/1.1"], "HTTP/2 is not spoken, so it is not offered"


@pytest.mark.parametrize("wrong", ["name", "authority", "protocol", "hangs-up"])
async def test_what_is_not_verified_is_not_used(
    wrong: str, authority: trustme.CA, ca_file: Path, start_upstream: StartUpstream, client_of: MakeClient
) -> None:
    received: list[bytes] = []

    async def script(call: Call) -> None:
        if wrong == "hangs-up":
            return
        if wrong == "protocol":
            await call.reader.read(1)
            await call.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            await call.gone()
        received.append(await call.head())

    context = {
        "name": server_context(authority, "other.example"),
        "authority": server_context(trustme.CA(), "name.example"),
    }.get(wrong)
    message = {
        "name": "certificate verification failed: Hostname mismatch, certificate is not valid for 'name.example'",
        "authority": "certificate verification failed: ",
        "protocol": "(?i)wrong.version.number|record layer failure",
        "hangs-up": "during the TLS handshake",
    }[wrong]
    upstream = await start_upstream(script, **({"ssl": context} if context else {}))
    resolve_to("127.0.0.1")
    client = client_of(Route("name.example", upstream.port, b"name.example", tls_context(ca_file)))
    for _ in range(3):
        with pytest.raises(ConnectError if wrong == "hangs-up" else TlsError, match=message) as caught:
            await fetch(client)
        assert f"name.example:{upstream.port}" in str(caught.value)
    assert client.connections == set(), "a connection that never stood is in no book"
    assert received == [], "nothing is sent to whom is not known"


async def test_plain_http_to_a_tls_port_is_no_answer(
    authority: trustme.CA, start_upstream: StartUpstream, client_of: MakeClient
) -> None:
    upstream = await start_upstream(answer, ssl=server_context(authority, "name.example"))
    client = client_of(Route("127.0.0.1", upstream.port, b"x"))
    with pytest.raises(UpstreamError):
        await fetch(client)


async def test_a_handshake_that_hangs_is_given_up(
    ca_file: Path, start_upstream: StartUpstream, client_of: MakeClient
) -> None:
    gone = asyncio.Event()

    async def script(call: Call) -> None:
        await call.gone()
        gone.set()

    upstream = await start_upstream(script)
    client = client_of(Route("127.0.0.1", upstream.port, b"x", tls_context(ca_file)))
    with pytest.raises(ConnectError, match="within"):
        await fetch(client, connect_timeout=0.1)
    await asyncio.wait_for(gone.wait(), 5)
    assert client.connections == set()
