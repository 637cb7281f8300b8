"""``hydrallm serve``: run the proxy."""

from __future__ import annotations

import asyncio
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
    from hydrallm import app
    from hydrallm.config.load import load
    from hydrallm.telemetry.writer import BackgroundWriter

    settings = load(options.config, os.environ, host=host, port=port)
    descriptor = os.open(os.devnull, os.O_WRONLY) if sys.stderr is None else sys.stderr.fileno()
    writer = BackgroundWriter(descriptor)
    log = app.make_log(settings, writer, options.log_level)
    try:
        with asyncio.Runner(loop_factory=app.loop_factory()) as runner:
            runner.run(app.serve(settings, log, os.environ))
    finally:
        writer.close()
