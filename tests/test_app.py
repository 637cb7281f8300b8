"""The composition root: what a config turns into, and how it ends."""

from __future__ import annotations

import asyncio
import io
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from msgspec.structs import replace

from hydrallm.app import APIS, ERROR_FORMATS, FORMATS, App, loop_factory, make_log
from hydrallm.config.check import check
from hydrallm.errors import StartError
from hydrallm.formats.base import ApiType
from hydrallm.telemetry.log import Level, Log
from hydrallm.telemetry.masking import MASK, Mask

if TYPE_CHECKING:
    from hydrallm.config.settings import Settings


def settings(endpoint: dict[str, Any] | None = None, **server: object) -> Settings:
    document = {
        "server": server,
        "endpoints": {"e": {"url": "http://127.0.0.1:9/v1"} | (endpoint or {})},
        "models": [{"endpoint": "e", "model": "m", "type": "bedrock"}],
    }
    return check(document, Path("test.toml"), {})


def quiet() -> Log:
    return Log(io.StringIO(), Level.ERROR, "json", Mask([]))


def test_every_api_type_has_its_behaviour_and_its_errors() -> None:
    assert list(APIS) == list(ERROR_FORMATS) == list(ApiType)
    assert all(api.api_type is api_type for api_type, api in APIS.items())
    assert all(wire_format.api_type is api_type for api_type, wire_format in ERROR_FORMATS.items())
    assert set(ERROR_FORMATS.values()) <= set(FORMATS)


def test_the_names_of_the_formats_are_those_of_the_docs() -> None:
    names = [wire_format.name for wire_format in FORMATS]
    assert len(set(names)) == len(names)
    assert {"openai-chat", "openai-responses", "anthropic-messages", "bedrock-invoke", "bedrock-converse"} <= set(names)


@pytest.mark.platform("linux", "darwin")
def test_the_loop_is_uvloops() -> None:
    loop = loop_factory()()
    assert type(loop).__module__.startswith("uvloop")
    loop.close()


def test_every_secret_of_the_config_is_masked(capsys: pytest.CaptureFixture[str]) -> None:
    secrets = {
        "client": "canary-client/1",
        "aws": "canary+aws/secret",
        "token": "canary=token",
        "header": "canary-header",
        "query": "canary query&",
        "proxy": "canary:proxy",
    }
    endpoint = {
        "aws_region": "eu-central-1",
        "aws_access_key_id": "AKIDEXAMPLE",
        "aws_secret_access_key": secrets["aws"],
        "aws_session_token": secrets["token"],
        "headers": {"x-vendor-key": secrets["header"]},
        "query": {"api_key": secrets["query"]},
        "proxy": f"http://user:{secrets['proxy'].replace(':', '%3A')}@127.0.0.1:9",
    }
    one = make_log(settings(endpoint, client_keys=[secrets["client"]]), sys.stderr, "debug")
    for secret in secrets.values():
        one.write(Level.ERROR, f"it said {secret} and went on", body=secret)
    shown = capsys.readouterr().err
    assert not re.search("canary", shown)
    assert shown.count(MASK) == 2 * len(secrets)


def test_the_level_of_the_command_line_counts(capsys: pytest.CaptureFixture[str]) -> None:
    make_log(settings(), sys.stderr, "error").write(Level.WARN, "nobody sees it")
    make_log(settings(), sys.stderr).write(Level.WARN, "somebody does")
    assert "nobody" not in (shown := capsys.readouterr().err)
    assert "somebody" in shown


async def test_a_port_in_use_is_one_clear_line() -> None:
    taken = await asyncio.start_server(lambda *_: None, "127.0.0.1")
    async with taken:
        port = taken.sockets[0].getsockname()[1]
        app = App(settings(port=port), quiet(), {})
        with pytest.raises(StartError, match=rf"^cannot listen on 127\.0\.0\.1:{port}: the port is in use; [^\n]+$"):
            await app.listen()
        await app.stop()


async def test_a_ca_file_that_is_gone_when_the_gateway_starts_is_one_clear_line(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(path))
    checked = settings({"url": "https://127.0.0.1:9", "ca_file": str(path)})
    await App(checked, quiet(), {}).stop()
    path.unlink()
    with pytest.raises(StartError, match=r"^endpoints\.e\.ca_file: [^\n]*ca\.pem cannot be used: [^\n]+$"):
        App(checked, quiet(), {})


async def test_an_idle_gateway_drains_at_once() -> None:
    one = settings()
    any_port = replace(one, server=replace(one.server, port=0))
    app = App(any_port, quiet(), {})
    ((host, port),) = await app.listen()
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(b"GET /_hydra/health HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    assert await asyncio.wait_for(app.drain(), 5) == 0
    assert (await reader.read()).endswith(b"}")
    writer.close()
    with pytest.raises(OSError, match=r"refused|Connect call failed"):
        await asyncio.open_connection(host, port)
