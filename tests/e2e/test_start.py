"""How the gateway starts, and how it says that it cannot."""

from __future__ import annotations

import asyncio
import socket
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Serve

pytestmark = pytest.mark.asyncio(loop_scope="session")

CONFIG: dict[str, Any] = {
    "endpoints": {"up": {"url": "http://127.0.0.1:9/v1"}},
    "models": [{"endpoint": "up", "model": "m"}],
}


async def hydrallm(*arguments: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "hydrallm", *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await asyncio.wait_for(process.communicate(), 20)
    return process.returncode, errors.decode()


async def test_port_0_is_any_free_port_and_not_the_default(serve: Serve) -> None:
    one, other = await serve(CONFIG), await serve(CONFIG)
    assert 8080 not in {one.port, other.port}
    assert one.port != other.port


async def test_a_port_in_use_is_one_clear_line(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(
        '[endpoints.up]\nurl = "http://127.0.0.1:9/v1"\napi_key = "k"\n[[models]]\nendpoint = "up"\nmodel = "m"\n'
    )
    config.chmod(0o600)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, errors = await hydrallm("serve", "--config", str(config), "--port", port)
    (line,) = [line for line in errors.splitlines() if line.startswith("error: ")]
    assert code == 1
    assert f"127.0.0.1:{port}" in line
    assert "in use" in line
    assert "Traceback" not in errors


async def test_no_config_names_the_commands_that_help(tmp_path: Path) -> None:
    code, errors = await hydrallm("--config", str(tmp_path / "none.toml"))
    assert code == 2
    assert "hydrallm init" in errors
    assert "hydrallm edit" in errors


async def test_every_problem_of_a_config_is_reported_before_a_port_opens(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(
        '[server]\nprot = 1\n[endpoints.up]\nurl = "ftp://x"\n[[models]]\nendpoint = "upp"\nmodel = "m"\n'
    )
    code, errors = await hydrallm("serve", "--config", str(config))
    assert code == 2
    for key in ("server.prot", "endpoints.up.url", "models[1].endpoint"):
        assert any(line.startswith(f"error: {config}: {key}: ") for line in errors.splitlines()), errors
