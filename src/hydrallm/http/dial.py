"""How a connection is made: names, the race of addresses, proxies, TLS.

Addresses are raced as RFC 8305 ("happy eyeballs") has it: families alternate, a new attempt starts every 250 ms or as
soon as one has failed, the first that connects wins. A host with one address, the usual case of a local server, skips
all that.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ipaddress
import os
import re
import socket
import ssl
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from hydrallm.errors import ConnectError, SaturatedError, TlsError
from hydrallm.http.capacity import NO_FILES, files_exhausted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    AddressInfo = tuple[int, tuple[Any, ...]]

T = TypeVar("T", bound=asyncio.Protocol)

RACE_DELAY = 0.25
"""RFC 8305 section 8: the Connection Attempt Delay."""

_MAX_CONNECT_ANSWER = 16 * 1024

_NO_FILES = "this process cannot open another connection: raise its limit on open files (ulimit -n)"


class Proxy(msgspec.Struct, frozen=True):
    """An HTTP proxy on the way to an origin."""

    host: str
    port: int
    authorization: bytes = b""
    """The value of Proxy-Authorization; empty for none."""


class Route(msgspec.Struct, frozen=True):
    """Where connections go.

    Attributes:
        host: of the origin.
        port: of the origin.
        authority: the value of Host.
        tls: the context to verify the origin with; None for plain HTTP.
        proxy: the proxy in between, if any.
    """

    host: str
    port: int
    authority: bytes
    tls: ssl.SSLContext | None = None
    proxy: Proxy | None = None

    def __str__(self) -> str:
        through = f" through the proxy {self.proxy.host}:{self.proxy.port}" if self.proxy else ""
        return f"{self.host}:{self.port}{through}"


def proxy_authorization(user: str, password: str) -> bytes:
    """Return the value of Proxy-Authorization for a proxy's user name and password (RFC 7617)."""
    return b"Basic " + base64.b64encode(f"{user}:{password}".encode())


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Return a context that verifies servers by the system's roots, or by those of ``ca_file`` (PEM) instead.

    Raises:
        OSError: if the file cannot be read or holds no certificate.
    """
    if ca_file is not None:
        context = ssl.create_default_context(cafile=ca_file)
    else:
        import truststore  # noqa: PLC0415 - 10 ms and 2 MB that a gateway of plain-HTTP endpoints does not need

        context = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["http/1.1"])
    return context


async def dial(route: Route, factory: Callable[[], T]) -> T:
    """Connect to ``route``.

    Args:
        route: where to.
        factory: makes the protocol object of the new connection.

    Raises:
        SaturatedError: this side has no file left to open.
        ConnectError: no connection was made; the message says where and why.
        TlsError: the handshake or the verification of the certificate failed.
    """
    loop = asyncio.get_running_loop()
    near_host, near_port = (route.proxy.host, route.proxy.port) if route.proxy else (route.host, route.port)
    sock = await _connect(near_host, near_port)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if route.proxy is not None and route.tls is not None:
            await _tunnel(sock, route, route.proxy)
        server_hostname = route.host if route.tls is not None else None
        _, protocol = await loop.create_connection(factory, sock=sock, ssl=route.tls, server_hostname=server_hostname)
    except BaseException as error:
        sock.close()
        if isinstance(error, ssl.SSLError | ssl.CertificateError):
            raise TlsError(f"TLS with {route} failed: {_ssl_reason(error)}") from error
        if isinstance(error, OSError):
            during = "the TLS handshake" if route.tls is not None else "connecting"
            raise _failure(f"{route} failed during {during}: {_reason(error)}", error) from error
        raise
    return protocol


async def _connect(host: str, port: int) -> socket.socket:
    addresses = await _resolve(host, port)
    if len(addresses) == 1:
        try:
            return await _connect_one(addresses[0])
        except OSError as error:
            raise _failure(f"cannot connect to {host}:{port}: {_reason(error)}", error) from error
    return await _race(host, port, addresses)


async def _resolve(host: str, port: int) -> list[AddressInfo]:
    with contextlib.suppress(ValueError):  # an IP literal needs no resolver and no thread
        family = socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else socket.AF_INET
        return [(family, (host, port))]
    loop = asyncio.get_running_loop()
    try:
        infos = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        if files_exhausted():  # which is not among the reasons that a resolver knows
            raise SaturatedError(_NO_FILES) from error
        raise ConnectError(f"the host name {host!r} does not resolve: {error.strerror or error}") from error
    first = [(info[0], info[4]) for info in infos if info[0] == infos[0][0]]
    other = [(info[0], info[4]) for info in infos if info[0] != infos[0][0]]
    mixed: list[AddressInfo] = []
    while first or other:
        mixed += first[:1] + other[:1]
        del first[:1], other[:1]
    return list(dict.fromkeys(mixed))


async def _connect_one(address: AddressInfo) -> socket.socket:
    family, where = address
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)  # noqa: FBT003 - its only parameter, positional by its C signature
        await asyncio.get_running_loop().sock_connect(sock, where)
    except BaseException:
        sock.close()
        raise
    return sock


async def _race(host: str, port: int, addresses: Sequence[AddressInfo]) -> socket.socket:
    errors: list[BaseException] = []
    racing: set[asyncio.Task[socket.socket]] = set()
    left = list(addresses)
    winner: socket.socket | None = None
    try:
        while winner is None and (left or racing):
            if left:
                racing.add(asyncio.ensure_future(_connect_one(left.pop(0))))
            done, racing = await asyncio.wait(
                racing, timeout=RACE_DELAY if left else None, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                if (error := task.exception()) is not None:
                    errors.append(error)
                elif winner is None:
                    winner = task.result()
                else:
                    task.result().close()
    finally:
        for task in racing:
            task.cancel()
            task.add_done_callback(_close_late)
    if winner is None:
        reasons = [_reason(error) if isinstance(error, OSError) else str(error) for error in errors]
        raise _failure(f"cannot connect to {host}:{port}: {'; '.join(dict.fromkeys(reasons))}", *errors)
    return winner


def _close_late(task: asyncio.Task[socket.socket]) -> None:
    """Close the socket of a racer that connected after all."""
    if not task.cancelled() and task.exception() is None:
        task.result().close()


async def _tunnel(sock: socket.socket, route: Route, proxy: Proxy) -> None:
    """Ask ``proxy`` for a tunnel to the origin (RFC 9110 section 9.3.6)."""
    loop = asyncio.get_running_loop()
    host = f"[{route.host}]" if ":" in route.host else route.host
    target = f"{host}:{route.port}".encode("ascii")
    request = b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n" % (target, target)
    if proxy.authorization:
        request += b"Proxy-Authorization: %b\r\n" % proxy.authorization
    await loop.sock_sendall(sock, request + b"\r\n")
    answer = b""
    while b"\r\n\r\n" not in answer:
        data = await loop.sock_recv(sock, 4096)
        answer += data
        if not data or len(answer) > _MAX_CONNECT_ANSWER:
            raise ConnectError(f"the proxy {proxy.host}:{proxy.port} closed the connection instead of making a tunnel")
    status = answer.partition(b"\r\n")[0].decode("latin-1")
    if not re.match(r"HTTP/1\.[01] 2\d\d( |$)", status):
        raise ConnectError(f"the proxy {proxy.host}:{proxy.port} refused a tunnel to {target.decode()}: {status}")
    if not answer.endswith(b"\r\n\r\n"):
        raise ConnectError(f"the proxy {proxy.host}:{proxy.port} sent data before the tunnel was used")


def _failure(message: str, *errors: BaseException) -> ConnectError:
    """Return what failed, with ``message`` where it is not this side that has nothing left to connect with."""
    saturated = any(isinstance(error, OSError) and error.errno in NO_FILES for error in errors)
    return SaturatedError(_NO_FILES) if saturated else ConnectError(message)


def _reason(error: OSError) -> str:
    """Return why a connection failed, in the system's words; asyncio replaces them by the address."""
    if error.errno and error.errno > 0:  # a resolver's codes are negative and not the system's
        return os.strerror(error.errno)
    return error.strerror or str(error)


def _ssl_reason(error: ssl.SSLError | ssl.CertificateError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate verification failed: {error.verify_message}"
    return error.reason or str(error)
