"""``hydrallm serve``, as a person would start and stop it."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONFIG = (
    '[endpoints.a]\nurl = "http://127.0.0.1:{port}/v1"\napi_key = "key-of-a"\n[[models]]\nendpoint = "a"\nmodel = "m"\n'
)


@pytest.fixture
def upstream() -> Iterator[socket.socket]:
    """A provider that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(20)
        yield listening


@pytest.fixture
def config(tmp_path: Path, upstream: socket.socket) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(CONFIG.format(port=upstream.getsockname()[1]))
    path.chmod(0o600)
    return path


def start(*arguments: str) -> subprocess.Popen[str]:
    environ = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    command = [sys.executable, "-m", "hydrallm", *arguments]
    return subprocess.Popen(
        command, env=environ, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def port_of(process: subprocess.Popen[str]) -> int:
    assert process.stderr is not None
    for line in process.stderr:
        if found := re.search(r"listening on http://127\.0\.0\.1:(\d+)", line):
            return int(found[1])
    raise AssertionError("it ended without listening")


def post(port: int) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port), timeout=20)
    client.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}")
    return client


@pytest.mark.parametrize("arguments", [("serve", "--port", "0"), ("--port", "0"), ("serve", "-p", "0")])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.platform("linux", "darwin")
def test_a_signal_ends_it_with_code_0(config: Path, number: signal.Signals, arguments: tuple[str, ...]) -> None:
    process = start("--config", str(config), *arguments)
    port_of(process)
    process.send_signal(number)
    _, log = process.communicate(timeout=20)
    assert process.returncode == 0
    assert number.name in log
    assert "Traceback" not in log


@pytest.mark.platform("linux", "darwin")
def test_a_second_signal_does_not_wait_for_running_exchanges(config: Path, upstream: socket.socket) -> None:
    process = start("--config", str(config), "serve", "--port", "0")
    with post(port_of(process)) as client:
        provider, _ = upstream.accept()  # the exchange is running, and its upstream silent
        with provider:
            process.send_signal(signal.SIGTERM)
            assert process.stderr is not None
            assert "30 s to end" in process.stderr.readline()
            process.send_signal(signal.SIGTERM)
            _, log = process.communicate(timeout=10)
            assert process.returncode == 0
            assert client.recv(100) == b""
    assert "POST /v1/chat/completions 0 stopped" in log, "the client did not leave, it was dropped"
    assert "Traceback" not in log


def test_a_port_in_use_is_one_clear_line_and_code_1(config: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = start("--config", str(config), "serve", "--port", str(port))
        _, log = process.communicate(timeout=20)
    assert process.returncode == 1
    assert re.search(
        rf"^error: cannot listen on 127\.0\.0\.1:{port}: the port is in use; stop what uses it", log, re.MULTILINE
    )
    assert "Traceback" not in log


def test_a_host_of_another_machine_is_one_clear_line_and_code_1(config: Path) -> None:
    process = start("--config", str(config), "serve", "--host", "192.0.2.1")
    _, log = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "error: cannot listen on 192.0.2.1:8080: this machine has no such address" in log


def test_without_a_config_it_names_init_and_edit_and_ends_with_2(tmp_path: Path) -> None:
    process = start("--config", str(tmp_path / "none.toml"))
    _, log = process.communicate(timeout=20)
    assert process.returncode == 2
    assert "hydrallm init" in log
    assert "hydrallm edit" in log


def test_a_broken_config_opens_no_port(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('[endpoints.a]\nurl = "ftp://x"\nkey = 1\n')
    process = start("--config", str(path), "serve", "--port", "0")
    _, log = process.communicate(timeout=20)
    assert process.returncode == 2
    assert "endpoints.a.url" in log
    assert "endpoints.a.key" in log
    assert "listening" not in log


@pytest.mark.platform("linux", "darwin")
def test_a_log_that_nobody_reads_holds_nothing_up(config: Path) -> None:
    process = start("--config", str(config), "serve", "--port", "0")
    port = port_of(process)  # and no line more
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        answers = client.makefile("rb")
        for number in range(2000):  # far more than a pipe holds
            client.sendall(b"GET /_hydra/health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert answers.readline() == b"HTTP/1.1 200 OK\r\n", number
            headers = dict(line.split(b": ") for line in iter(answers.readline, b"\r\n"))
            answers.read(int(headers[b"content-length"]))
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10) == 0
    process.communicate()


@pytest.mark.platform("linux", "darwin")
def test_it_serves_without_standard_error(config: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "hydrallm", "--config", str(config), "-p", str(port)]
    process = subprocess.Popen(["sh", "-c", 'exec "$@" 2>&-', "sh", *command], stdin=subprocess.DEVNULL)
    try:
        while process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=20).close()
                break
            except ConnectionRefusedError:
                continue  # it has not begun to listen
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
