"""Who may ask: by itself against made-up requests, and through a real gateway."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

import pytest

from hydrallm.errors import RequestError
from hydrallm.exchange.access import Access
from hydrallm.secret import Secret

if TYPE_CHECKING:
    from tests.conftest import Scorecard
    from tests.exchange.conftest import Provide, Serve

    from hydrallm.http.server_stream import ServerStream
    from hydrallm.message import Headers

OURS = [
    "127.0.0.1",
    "127.0.0.1:8080",
    "localhost",
    "LOCALHOST:1",
    "localhost.",
    "app.localhost:3000",
    "a.b.localhost",
    "[::1]",
    "[::1]:8080",
    "[2001:db8::1]:8080",
    "0.0.0.0:8080",
    "192.168.1.7",
    "10.0.0.1:80",
    "",
]
FOREIGN = [
    "evil.example",
    "evil.example:8080",
    "localhost.evil.example",
    "localhost.evil.example:8080",
    "127.0.0.1.evil.example",
    "127.0.0.1.nip.io",
    "evillocalhost",
    "evil.example.",
    "2130706433",
    "0x7f000001",
    "127.1",
    "0177.0.0.1",
    "evil.example:80@127.0.0.1",
    "evil.example#localhost",
    "evil.example/localhost",
    "\xe9vil.example",
    "[localhost.evil.example]",
    "[::1].evil.example",
    "[::1",
]
OUR_ORIGINS = [
    "http://localhost",
    "http://localhost:3000",
    "https://LOCALHOST:3000",
    "http://app.localhost",
    "http://127.0.0.1:8080",
    "http://127.9.9.9",
    "http://[::1]:3000",
    "http://[::ffff:127.0.0.1]",
]
FOREIGN_ORIGINS = [
    "null",
    "",
    "file://",
    "https://evil.example",
    "http://evil.example:8080",
    "http://localhost.evil.example",
    "http://evil.example/localhost",
    "http://evil.example#localhost",
    "http://evil.example?localhost",
    "http://localhost@evil.example",
    "http://127.0.0.1.nip.io",
    "http://192.168.1.7",
    "http://[::1",
    "chrome-extension://abcdef",
    "localhost",
]


class Asked(NamedTuple):
    """What the rules look at of a request."""

    host: bytes = b"localhost"
    headers: Headers = []  # noqa: RUF012 - never changed
    peer: str = "127.0.0.1"


def verdict(
    access: Access, *, host: str = "localhost", origin: str | None = None, peer: str = "127.0.0.1", site: str = ""
) -> int:
    headers = [] if origin is None else [(b"origin", origin.encode("latin-1"))]
    if site:
        headers.append((b"sec-fetch-site", site.encode()))
    try:
        access.check_place(cast("ServerStream", Asked(host.encode("latin-1"), headers, peer)))
    except RequestError as error:
        return error.status
    return 200


@pytest.mark.parametrize("host", OURS)
def test_a_host_of_ours_may_be_asked(host: str) -> None:
    assert verdict(Access(), host=host) == 200


@pytest.mark.parametrize("host", FOREIGN)
def test_a_foreign_host_is_misdirected(host: str) -> None:
    access = Access()  # remembers what is good, and only that
    assert [verdict(access, host=host) for _ in range(2)] == [421, 421]


def test_names_that_the_config_allows_are_ours() -> None:
    access = Access(hosts=["Proxy.Example.", "box"])
    assert [verdict(access, host=name) for name in ("proxy.example:80", "PROXY.example", "box", "box.")] == [200] * 4
    assert verdict(access, host="not.proxy.example") == 421


@pytest.mark.parametrize("origin", OUR_ORIGINS)
def test_pages_of_this_machine_may_ask(origin: str) -> None:
    assert verdict(Access(), origin=origin) == 200


@pytest.mark.parametrize("origin", FOREIGN_ORIGINS)
def test_pages_from_elsewhere_may_not(origin: str) -> None:
    assert verdict(Access(), origin=origin) == 403


def test_pages_that_the_config_allows_may_ask() -> None:
    access = Access(origins=["https://app.example", "chrome-extension://abcdef"])
    assert verdict(access, origin="https://APP.example/") == 200
    assert verdict(access, origin="chrome-extension://abcdef") == 200
    assert verdict(access, origin="http://app.example") == 403
    assert verdict(access, origin="https://app.example:444") == 403


def test_an_image_on_a_page_from_elsewhere_may_not_be_fetched_from_here() -> None:
    """A cross-site GET in mode no-cors, such as an <img>'s, carries no Origin (Fetch Standard)."""
    assert verdict(Access(), site="cross-site") == 403
    assert [verdict(Access(), site=site) for site in ("same-origin", "same-site", "none")] == [200] * 3
    allowing = Access(origins=["https://app.example"])
    assert verdict(allowing, origin="https://app.example", site="cross-site") == 200
    assert verdict(allowing, site="cross-site") == 403
    assert verdict(Access([Secret("key-1")]), site="cross-site") == 200


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.3.2.1", "::1", "::ffff:127.0.0.1", ""])
def test_this_machine_may_ask(peer: str) -> None:
    assert verdict(Access(), peer=peer) == 200


@pytest.mark.parametrize("peer", ["192.168.1.7", "8.8.8.8", "fe80::1%eth0", "::ffff:8.8.8.8", "2001:db8::1"])
def test_other_machines_may_ask_only_if_the_config_says_so(peer: str) -> None:
    assert verdict(Access(), peer=peer) == 403
    assert verdict(Access(allow_remote=True), peer=peer) == 200
    assert verdict(Access([Secret("key-1")]), peer=peer) == 200
    assert verdict(Access(allow_remote=True), peer=peer, host="evil.example") == 421


@pytest.mark.parametrize("origin", ["null", "https://evil.example"])
def test_with_keys_neither_host_nor_origin_matters(origin: str) -> None:
    assert verdict(Access([Secret("key-1")]), host="evil.example", origin=origin) == 200


def test_hosts_are_remembered_up_to_a_bound() -> None:
    access = Access()
    for number in range(3000):
        assert verdict(access, host=f"a{number}.localhost") == 200
    assert len(access._good_hosts) <= 1024  # noqa: SLF001 - a bound that cannot be seen from outside


# -- keys --------------------------------------------------------------------------------------------------------------


def shown(access: Access, *headers: tuple[bytes, bytes]) -> bool:
    try:
        access.check_key(list(headers))
    except RequestError as error:
        return error.status != 401
    return True


@pytest.mark.parametrize("key", [b"key-1", b"key-2"])
@pytest.mark.parametrize(
    "header",
    [(b"authorization", b"Bearer %b"), (b"authorization", b"bearer  %b"), (b"x-api-key", b"%b"), (b"api-key", b"%b")],
)
def test_each_key_is_taken_in_each_header(key: bytes, header: tuple[bytes, bytes]) -> None:
    access = Access([Secret("key-1"), Secret("key-2")])
    assert access.has_keys
    assert shown(access, (header[0], header[1] % key))
    assert shown(access, (b"x-api-key", b"wrong"), (header[0], header[1] % key))


@pytest.mark.parametrize(
    "header",
    [
        (b"authorization", b"key-1"),
        (b"authorization", b"Basic key-1"),
        (b"authorization", b"Bearer"),
        (b"authorization", b"Bearer key-12"),
        (b"authorization", b"Bearer KEY-1"),
        (b"x-api-key", b""),
        (b"x-api-key", b"key-"),
        (b"x-api-key", b"***"),
        (b"cookie", b"key-1"),
    ],
)
def test_nothing_else_is_a_key(header: tuple[bytes, bytes]) -> None:
    assert not shown(Access([Secret("key-1")]), header)
    assert not shown(Access([Secret("key-1")]))


def test_without_keys_nothing_has_to_be_shown() -> None:
    assert not Access().has_keys
    assert shown(Access())


def test_keys_are_not_kept_in_the_clear() -> None:
    assert "key-12345" not in repr(vars(Access([Secret("key-12345")])))


# -- through a gateway -------------------------------------------------------------------------------------------------


async def test_scorecard_row_23(provide: Provide, serve: Serve, scorecard: Scorecard) -> None:
    """Row 23: foreign Host / Origin on the local port: 421 / 403, and no upstream hears of it."""
    upstream = await provide()
    gateway = await serve(upstream)
    hosts = [host for host in FOREIGN if host.isascii()]
    statuses = [(await gateway.ask(headers={"Host": host})).status for host in hosts]
    for origin in FOREIGN_ORIGINS:
        for path, method in (("/v1/chat/completions", "POST"), ("/v1/models", "GET"), ("/_hydra/health", "GET")):
            statuses.append((await gateway.ask(None, path, method, headers={"Origin": origin})).status)
    foreign_hosts, foreign_pages = statuses[: len(hosts)], statuses[len(hosts) :]
    refused = foreign_hosts.count(421), foreign_pages.count(403)
    figure = f"Host {refused[0]} of {len(hosts)} 421, Origin {refused[1]} of {len(foreign_pages)} 403"
    scorecard(23, "foreign Host / Origin on the local port", figure, "all", refused == (len(hosts), len(foreign_pages)))
    assert upstream.received == []
    assert {record.outcome for record in gateway.journal.exchanges} == {"refused"}
    for origin in OUR_ORIGINS:
        reply = await gateway.ask(headers={"Origin": origin, "Host": "localhost"})
        assert reply.status == 200
        assert not [name for name in reply.headers if name.startswith("access-control")]


async def test_a_refusal_says_what_to_do_in_the_shape_of_the_api(provide: Provide, serve: Serve) -> None:
    gateway = await serve(await provide())
    reply = await gateway.ask(target="/v1/messages", headers={"Host": "evil.example"})
    assert (reply.status, reply.json["type"]) == (421, "error")
    assert "server.allowed_hosts" in reply.json["error"]["message"]
    assert reply.headers["connection"] == "close"
    reply = await gateway.ask(headers={"Origin": "https://evil.example"})
    assert reply.json["error"]["code"] == "forbidden"
    assert "server.allowed_origins" in reply.json["error"]["message"]


async def test_client_keys_are_for_the_gateway_and_for_nobody_else(provide: Provide, serve: Serve) -> None:
    upstream = await provide()
    gateway = await serve(upstream, server={"client_keys": ["the-client-key"]})
    wrong = await gateway.ask(headers={"Authorization": "Bearer other-key"})
    assert (wrong.status, wrong.json["error"]["code"]) == (401, "invalid_client_key")
    assert b"other-key" not in wrong.body
    assert upstream.received == []
    for path in ("/v1/chat/completions", "/v1/embeddings"):
        for header in ({"Authorization": "Bearer the-client-key"}, {"x-api-key": "the-client-key"}):
            reply = await gateway.ask(target=path, headers=header | {"Host": "proxy.example", "Origin": "null"})
            assert reply.status == 200
    sent: list[Any] = [pair for received in upstream.received for pair in received.headers]
    assert not [value for _, value in sent if b"the-client-key" in value]
    assert (await gateway.ask(None, "/_hydra/health", "GET")).status == 200
