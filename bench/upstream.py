"""The upstream mock of whole answers: nginx, which answers from its configuration and so is never what is waited for.

A short request is answered by ``return``. That would answer a long one before all of it is there, which no provider
does and which spares a proxy its work; so those go through nginx's own proxy module, which reads a whole body first,
to a second server that is not sent it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from bench.service import Service, free_port
from bench.traffic import CHAT, FORMS

if TYPE_CHECKING:
    from pathlib import Path

_CONF = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
{user}
events {{ worker_connections 4096; }}
http {{
  access_log off;
  default_type application/json;
  keepalive_requests 1000000000;
  client_max_body_size 0;
  client_body_buffer_size 8m;
  {temporary}
  map $content_length $long {{ "~^[0-9]{{5,}}$" 1; default 0; }}
  upstream whole {{ server unix:{folder}/whole.sock; keepalive 512; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    if ($long) {{ rewrite ^ /whole$uri last; }}
    {answers}
    location /whole/ {{
      internal;
      proxy_pass http://whole/;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Content-Length "";
      proxy_pass_request_body off;
    }}
  }}
  server {{
    listen unix:{folder}/whole.sock backlog=4096;
    {answers}
  }}
}}
"""


def temporary(folder: Path) -> str:
    """Return nginx's directives that keep its temporary files in ``folder``."""
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    return " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)


def user() -> str:
    """Return nginx's directive that lets its workers read and write what we can."""
    return "user root;" if os.geteuid() == 0 else ""


async def start_upstream(folder: Path, core: int) -> Service:
    """Start the mock on ``core``; return it when it answers.

    Raises:
        BenchError: it did not start.
    """
    port = free_port()
    answers = "\n    ".join(f"location = {form.path} {{ return 200 '{form.answer.decode()}'; }}" for form in FORMS)
    config = folder / "nginx.conf"
    config.write_text(_CONF.format(folder=folder, user=user(), temporary=temporary(folder), port=port, answers=answers))
    command = ("nginx", "-e", "stderr", "-c", str(config))
    service = await Service.start("the upstream mock", command, port=port, folder=folder, core=core, environ={})
    await service.answers(CHAT.request(CHAT.body(300), port))
    return service
