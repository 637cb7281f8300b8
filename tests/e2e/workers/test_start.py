"""How several workers start, and how they say that they cannot."""

from __future__ import annotations

import asyncio
import socket
import sys
from typing import TYPE_CHECKING

import pytest
from tests.e2e.conftest import Client, toml
from tests.e2e.workers.conftest import config

from hydrallm.faults.provider import Provider

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.workers.conftest import Muster

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.platform("linux", "darwin")]

GARBAGE = "-----BEGIN CERTIFICATE-----\nbm90IG9uZQ==\n-----END CERTIFICATE-----\n"


def write(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o600)


async def hydrallm(path: Path, text: str, port: int = 0) -> tuple[int | None, list[str]]:
    """Run a gateway that is expected to end by itself; return its exit code and the lines it wrote."""
    write(path, text)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "hydrallm", "serve", "--config", str(path), "--port", str(port)),
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await asyncio.wait_for(process.communicate(), 20)
    return process.returncode, errors.decode().splitlines()


async def test_workers_that_cannot_start_say_why_once_and_that_is_all(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text(GARBAGE)
    table = {
        "server": {"workers": 3},
        "endpoints": {"up": {"url": "https://127.0.0.1:9/v1", "api_key": "k", "ca_file": "ca.pem"}},
        "models": [{"endpoint": "up", "model": "m"}],
    }
    code, lines = await hydrallm(tmp_path / "config.toml", toml(table))
    assert code == 1
    (line,) = lines
    assert line.startswith("error: endpoints.up.ca_file: ")
    assert "cannot be used" in line


async def test_a_port_in_use_is_one_clear_line(tmp_path: Path) -> None:
    async with Provider() as provider:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            code, lines = await hydrallm(tmp_path / "config.toml", toml(config(provider)), port)
    where = f"cannot listen on 127.0.0.1:{port}"
    what = "the port is in use; stop what uses it, or choose another with --port or server.port"
    assert (code, lines) == (1, [f"error: {where}: {what}"])


@pytest.mark.parametrize("workers", [1, 2])
async def test_another_gateway_gets_no_part_of_its_connections(tmp_path: Path, muster: Muster, workers: int) -> None:
    async with Provider() as provider:
        crew = await muster(config(provider))
        code, lines = await hydrallm(tmp_path / "config.toml", toml(config(provider, workers)), crew.port)
    assert code == 1
    assert "the port is in use" in lines[-1]


async def test_auto_is_a_worker_for_each_cpu(muster: Muster) -> None:
    async with Provider() as provider:
        crew = await muster(config(provider, workers="auto"))
        async with await Client.connect(crew.port) as client:
            assert (await client.ask(b'{"model":"m","messages":[]}')).status == 200
