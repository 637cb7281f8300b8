"""``hydrallm serve``: run the proxy."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from hydrallm.cli import GlobalOptions


@click.command("serve")
@click.option("--host", help="Listen on this address instead of server.host.")
@click.option("--port", "-p", type=click.IntRange(0, 65535), help="Listen on this port instead of server.port; 0: any.")
@click.pass_obj
def command(options: GlobalOptions, host: str | None, port: int | None) -> None:
    """Start the proxy and run until it is stopped (Ctrl-C or SIGTERM)."""
    from hydrallm.config.load import load
    from hydrallm.supervisor.serving import run

    settings = load(options.config, os.environ, host=host, port=port)
    descriptor = os.open(os.devnull, os.O_WRONLY) if sys.stderr is None else sys.stderr.fileno()
    run(settings, os.environ, descriptor, options.log_level)
