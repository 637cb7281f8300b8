"""The gateway of a soak: a process that also tells what only it knows. ``python -m tests.soak.gateway CONFIG``.

It prints its port. For each line on standard input it prints how many tasks and connections it has, as JSON; when the
input ends it drains and ends.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
from pathlib import Path

from hydrallm.app import App, loop_factory, make_log
from hydrallm.config.load import load
from hydrallm.telemetry.writer import BackgroundWriter


async def main(config: Path, writer: BackgroundWriter) -> None:
    settings = load(config, {}, port=0)
    log = make_log(settings, writer)
    app = App(settings, log, {}, log.mask)
    ((_, port),) = await app.listen()
    loop = asyncio.get_running_loop()
    print(port, flush=True)
    while await loop.run_in_executor(None, sys.stdin.readline):
        gc.collect()  # what a collection would free is no leak
        told = {"tasks": len(asyncio.all_tasks()), "objects": len(gc.get_objects())}
        print(json.dumps(told), flush=True)
    await app.drain()


if __name__ == "__main__":
    output = BackgroundWriter(os.dup(2))
    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(main(Path(sys.argv[1]), output))
    finally:
        output.close()
