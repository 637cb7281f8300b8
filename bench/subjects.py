"""What is measured: each a proxy, how it is started in front of an upstream, and what its clients and upstream speak.

All of them run with one worker and write no access log, unless the subject is about that, keep connections to the
upstream open, and may use one core. Two workers share it, too: the CPU per request tells what the second one costs.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from bench.errors import BenchError
from bench.traffic import CHAT, KEY, MESSAGES, MODEL, Form
from bench.upstream import temporary, user

ROOT: Final = Path(__file__).parents[1]
_NODE: Final = ROOT / "bench" / "requirements" / "node_modules"


class Place(msgspec.Struct, frozen=True):
    """Where a subject is started.

    Attributes:
        folder: its own, for its configuration and what it writes.
        port: where it is to listen on 127.0.0.1.
        upstream: the port of its upstream on 127.0.0.1.
    """

    folder: Path
    port: int
    upstream: int

    def write(self, name: str, text: str) -> Path:
        """Write a file into the folder, readable by nobody else; return its path."""
        path = self.folder / name
        path.touch(0o600)
        path.write_text(text)
        return path


Command = Callable[[Place], list[str]]
"""Writes what the proxy needs into its folder and returns its command line."""

Variables = Callable[[Place], dict[str, str]]


class Subject(msgspec.Struct, frozen=True):
    """A proxy to measure.

    Attributes:
        name: what ``--only`` calls it.
        title: what tables call it.
        command: makes its command line.
        needs: the files without which it cannot run, by name or path, each with what to do about it.
        form: what its clients speak.
        environ: environment variables of its process.
        headers: headers that its clients send besides.
        streams: how many streams its chunks are measured on; fewer where more would be more than one core can do.
        slow: how many times longer whole requests are measured, and on no more than 32 connections: what is under way
            at the end of a run has cost CPU and is not counted, which would show where few are answered.
        peer: whether it is measured only if asked for with ``--peers``.
    """

    name: str
    title: str
    command: Command
    needs: dict[str, str]
    form: Form = CHAT
    environ: Variables = lambda _: {}
    headers: Callable[[Place], dict[str, str]] = lambda _: {}
    streams: int = 50
    slow: int = 1
    peer: bool = False


def lacking(needs: dict[str, str]) -> list[str]:
    """Return those of ``needs``, programs or files and how each is had, that are not there."""
    return [
        f"{name} is missing: {advice}"
        for name, advice in needs.items()
        if not (Path(name).exists() if "/" in name else shutil.which(name))
    ]


_NGINX = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
{user}
events {{ worker_connections 16000; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  client_max_body_size 0;
  client_body_buffer_size 8m;
  {temporary}
  upstream mock {{ server 127.0.0.1:{upstream}; keepalive 512; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass http://mock;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
      proxy_read_timeout 300s;
    }}
  }}
}}
"""

_HAPROXY = """\
global
  maxconn 8000
  nbthread 1
  tune.bufsize 16384
defaults
  mode http
  timeout connect 5s
  timeout client 300s
  timeout server 300s
  http-reuse always
frontend f
  bind 127.0.0.1:{port} backlog 4096
  default_backend b
backend b
  server mock 127.0.0.1:{upstream} pool-max-conn 512
"""

_HYDRALLM = """\
[server]
port = {port}
{server}

[log]
level = "{level}"

[endpoints.mock]
url = "http://127.0.0.1:{upstream}/v1"
api_key = "{key}"
proxy = "none"
{endpoint}

[[models]]
endpoint = "mock"
type = "{api}"
model = "{model}"
attempts = 2
"""

_LIMITED: Final = f"""\
client_keys = ["{KEY}"]
max_connections = 4000
max_exchanges = 4000
max_buffered = "512MB"
"""

_LITELLM = """\
model_list:
  - model_name: {model}
    litellm_params:
      model: openai/{model}
      api_base: http://127.0.0.1:{upstream}/v1
      api_key: {key}
general_settings:
  dangerously_permit_weak_or_unset_master_key: true
litellm_settings:
  telemetry: false
"""


def _nginx(place: Place) -> list[str]:
    text = _NGINX.format(**_places(place), user=user(), temporary=temporary(place.folder))
    return ["nginx", "-e", "stderr", "-c", str(place.write("nginx.conf", text))]


def _haproxy(place: Place) -> list[str]:
    return ["haproxy", "-db", "-f", str(place.write("haproxy.cfg", _HAPROXY.format(**_places(place))))]


def hydrallm_config(port: int, upstream: int, api: str, level: str, *, server: str = "", endpoint: str = "") -> str:
    """Return a config of HydraLLM with one model.

    Args:
        port: where it is to listen.
        upstream: the port of the model's endpoint on 127.0.0.1.
        api: the model's type.
        level: of the log.
        server: further lines of ``[server]``.
        endpoint: further lines of the endpoint's.
    """
    return _HYDRALLM.format(
        port=port, upstream=upstream, api=api, level=level, server=server, endpoint=endpoint, key=KEY, model=MODEL
    )


def _hydrallm(api: str = "openai", level: str = "warn", *, server: str = "", endpoint: str = "") -> Command:
    def command(place: Place) -> list[str]:
        text = hydrallm_config(place.port, place.upstream, api, level, server=server, endpoint=endpoint)
        return [sys.executable, "-m", "hydrallm", "serve", "--config", str(place.write("config.toml", text))]

    return command


def _relay(place: Place) -> list[str]:
    return [sys.executable, str(ROOT / "bench" / "relay.py"), str(place.port), str(place.upstream)]


def _handwritten(place: Place) -> list[str]:
    options = ("--app-dir", str(ROOT), "--loop", "uvloop", "--http", "httptools", "--log-level", "warning")
    return [_BASELINE, "-m", "uvicorn", "bench.handwritten:app", *options, "--port", str(place.port)]


def _litellm(place: Place) -> list[str]:
    config = place.write("config.yaml", _LITELLM.format(**_places(place), key=KEY, model=MODEL))
    return [_LITELLM_PROGRAM, "--config", str(config), "--host", "127.0.0.1", "--port", str(place.port)]


def _portkey(place: Place) -> list[str]:
    return ["node", _PORTKEY, f"--port={place.port}", "--headless"]


def _places(place: Place) -> dict[str, object]:
    return {"folder": place.folder, "port": place.port, "upstream": place.upstream}


_BASELINE: Final = str(ROOT / ".venv" / "baseline" / "bin" / "python")
_LITELLM_PROGRAM: Final = str(ROOT / ".venv" / "peers" / "bin" / "litellm")
_PORTKEY: Final = str(_NODE / "@portkey-ai" / "gateway" / "build" / "start-server.js")

NGINX: Final = Subject("nginx", "nginx proxy_pass", _nginx, {"nginx": "apt-get install nginx"})

SUBJECTS: Final = (
    NGINX,
    Subject("haproxy", "HAProxy", _haproxy, {"haproxy": "apt-get install haproxy"}),
    Subject("relay", "bare relay on uvloop", _relay, {}),
    Subject("passthrough", "HydraLLM, pass-through", _hydrallm(), {}),
    Subject("logged", "HydraLLM, each request logged", _hydrallm(level="info"), {}),
    Subject(
        "everything",
        "HydraLLM, everything on",
        _hydrallm(level="info", server=_LIMITED, endpoint="max_connections = 512"),
        {},
    ),
    Subject("workers", "HydraLLM, two workers", _hydrallm(server="workers = 2"), {}),
    Subject("messages-to-chat", "HydraLLM, Messages to Chat", _hydrallm(), {}, form=MESSAGES),
    Subject("chat-to-messages", "HydraLLM, Chat to Messages", _hydrallm("anthropic"), {}),
    Subject(
        "handwritten",
        "uvicorn + aiohttp",
        _handwritten,
        {_BASELINE: "make bench installs it"},
        environ=lambda place: {"BENCH_UPSTREAM": f"http://127.0.0.1:{place.upstream}", "BENCH_KEY": KEY},
    ),
    Subject(
        "litellm",
        "LiteLLM proxy",
        _litellm,
        {_LITELLM_PROGRAM: "make bench ARGS=--peers installs it"},
        # Without this it fetches its table of prices from the internet when it starts.
        environ=lambda _: {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"},
        streams=5,
        slow=4,
        peer=True,
    ),
    Subject(
        "portkey",
        "Portkey gateway",
        _portkey,
        {_PORTKEY: "make bench ARGS=--peers installs it", "node": "apt-get install nodejs npm"},
        headers=lambda place: {
            "x-portkey-provider": "openai",
            "x-portkey-custom-host": f"http://127.0.0.1:{place.upstream}/v1",
        },
        streams=15,
        slow=2,
        peer=True,
    ),
)
"""In the order of the tables. nginx is what the others are compared with."""


def chosen(names: list[str], *, peers: bool) -> list[Subject]:
    """Return the subjects with these names, or else all of them, the peers only if asked for.

    Raises:
        BenchError: there is no such subject.
    """
    known = {subject.name: subject for subject in SUBJECTS}
    if unknown := [name for name in names if name not in known]:
        raise BenchError(f"there is no subject {unknown[0]!r}; there are {', '.join(known)}")
    return [subject for subject in SUBJECTS if (subject.name in names if names else peers or not subject.peer)]
