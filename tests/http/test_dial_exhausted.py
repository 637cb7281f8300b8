"""Without a file left to open no connection can be made, and that is not the upstream's doing."""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import TYPE_CHECKING

import pytest

from hydrallm.errors import SaturatedError
from hydrallm.http.dial import Route, dial

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.platform("linux")


@contextlib.contextmanager
def exhausted() -> Iterator[None]:
    """A block in which this process cannot open a file."""
    import resource  # noqa: PLC0415 - not on Windows

    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)  # from here up all are free, or nearly
    held = [lowest]
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + 30, limits[1]))
    try:
        with contextlib.suppress(OSError):
            while True:
                held.append(os.dup(0))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for descriptor in held:
            os.close(descriptor)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "name.example"])
async def test_it_is_this_side_that_is_saturated(host: str) -> None:
    await asyncio.get_running_loop().getaddrinfo("localhost", 1)  # the resolver's thread stands, as in any gateway
    with exhausted(), pytest.raises(SaturatedError, match="ulimit -n"):
        await dial(Route(host, 9, b"x"), asyncio.Protocol)
