from __future__ import annotations

import contextlib
import socket
import sys
from typing import TYPE_CHECKING

import pytest

from hydrallm.errors import StartError
from hydrallm.http.listening import SPREADS, bind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@contextlib.contextmanager
def closing(sets: Iterable[Iterable[socket.socket]]) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for sockets in sets:
            for sock in sockets:
                stack.enter_context(sock)
        yield


def waiting(sock: socket.socket) -> int:
    """Return how many connections wait at ``sock``; none does afterwards."""
    for count in range(1000):
        try:
            sock.accept()[0].close()
        except BlockingIOError:
            return count
    raise AssertionError


@pytest.mark.platform("linux")
def test_the_kernel_spreads_connections_over_the_sockets_of_a_port() -> None:
    sets = bind("127.0.0.1", 0, 3)
    with closing(sets), contextlib.ExitStack() as stack:
        ((address, *others),) = [{sock.getsockname() for sockets in sets for sock in sockets}]
        assert not others
        for _ in range(150):
            stack.enter_context(socket.create_connection(address))
        counts = [waiting(sock) for (sock,) in sets]
        assert sum(counts) == 150
        assert min(counts) > 0


def test_where_the_kernel_does_not_all_share_one() -> None:
    sets = bind("127.0.0.1", 0, 3, spreads=False)
    with closing(sets):
        assert len({sock for sockets in sets for sock in sockets}) == 1
        assert sys.platform == "linux" or not SPREADS


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("others", [1, 3])
def test_a_port_has_one_owner_however_many_sockets_either_has(count: int, others: int) -> None:
    sets = bind("127.0.0.1", 0, count)
    with closing(sets):
        port = sets[0][0].getsockname()[1]
        with pytest.raises(StartError, match=rf"^cannot listen on 127\.0\.0\.1:{port}: the port is in use; [^\n]+$"):
            bind("127.0.0.1", port, others)
    with closing(bind("127.0.0.1", port, others)):
        pass  # it is free again, whatever waits in TIME_WAIT


def test_a_name_with_two_addresses_has_sockets_for_both() -> None:
    found = {info[4][0] for info in socket.getaddrinfo("localhost", 0, type=socket.SOCK_STREAM)}
    sets = bind("localhost", 0, 2)
    with closing(sets):
        for sockets in sets:
            assert {sock.getsockname()[0] for sock in sockets} <= found
            assert len(sockets) == len({sock.family for sock in sockets}) >= 1


@pytest.mark.parametrize(
    ("host", "why"),
    [("192.0.2.1", "this machine has no such address"), ("no-such-host.invalid", "the host name does not resolve")],
)
def test_an_address_that_cannot_be_bound_is_one_clear_line(host: str, why: str) -> None:
    with pytest.raises(StartError, match=rf"^cannot listen on {host}:8080: {why}[^\n]+$"):
        bind(host, 8080, 2)
