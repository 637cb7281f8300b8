"""The soak: mixed traffic with faults for as long as it is told, every answer checked. ``make soak MINUTES=60``.

A chain of three models, of all three API types, serves clients of all five wire formats: so most is translated. The
first two fail in many ways, the last is healthy and has time, so every request can be answered. Some clients leave at
any moment. Every ten seconds a line tells what was answered and what the process uses; at the end come the slopes and
a verdict.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import string
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from tests.soak import slope
from tests.soak.dialogue import ASKED, FORMATS, judge, request, words

from hydrallm.faults.provider import Provider, Received
from hydrallm.faults.script import Answer, Cut, Fail, Hang, Malformed, Stall, StreamError

if TYPE_CHECKING:
    from hydrallm.faults.script import Reply

INTERVAL = 10.0
LEAVES = 0.1
"""Share of the requests whose client does not wait for the end."""
FAULTY = 0.35
PATIENCE = 60.0
IDLE_TASKS = 3
"""Tasks of a gateway that does nothing: its own, and what is just ending."""

CONFIG = """
[log]
level = "error"
[retry]
default_interval = "1ms"
default_timeout = "3s"
first_token_timeout = "1s"
idle_timeout = "1s"
[endpoints.first]
url = "{0}/v1"
api_key = "key-of-the-first"
max_connections = 40
[endpoints.second]
url = "{1}"
api_key = "key-of-the-second"
[endpoints.third]
url = "{2}"
aws_region = "eu-central-1"
aws_access_key_id = "AKID"
aws_secret_access_key = "secret-of-the-third"
timeout = "50s"
first_token_timeout = "50s"
[[models]]
endpoint = "first"
model = "gpt"
attempts = 2
[[models]]
endpoint = "second"
type = "anthropic"
model = "claude"
[[models]]
endpoint = "third"
type = "bedrock"
model = "anthropic.claude-v1:0"
attempts = 2
"""


class Script:
    """What a provider answers: what the request asks for, or, to a share of them, a fault."""

    def __init__(self, dice: random.Random, faulty: float) -> None:
        self._dice = dice
        self._faulty = faulty

    def __call__(self, received: Received) -> Reply:
        dice = self._dice
        asked = ASKED.search(received.body)
        text = words(asked[1].decode(), int(asked[2])) if asked else "nothing"
        if dice.random() >= self._faulty:
            pause = dice.choice((0.0, 0.0, 0.0, 0.002, 0.01))
            ending = "drop" if dice.random() < 0.05 else "keep"
            return Answer(text=text, pause=pause, ending=ending)  # type: ignore[arg-type]
        return dice.choice(
            (
                Fail(cause="overloaded"),
                Fail(cause="rate_limited", headers={"retry-after": "0"}),
                Fail(status=200, body="{}"),
                Cut(at="before_headers", how="rst"),
                Cut(at="after_headers"),
                Cut(at="after_events", events="content", text=text),
                Cut(at="inside_event", events="content", how="rst", text=text),
                Stall(events="preamble", text=text),
                Stall(events="content", text=text),
                StreamError(events="preamble", cause="overloaded", text=text),
                StreamError(events="content", cause="server", text=text),
                Malformed(what="chunk_size", text=text),
                Hang(),
            )
        )


class Clients:
    """Clients that ask one thing after the other.

    Attributes:
        tally: how it went, by outcome.
        wrong: what was wrong with the first answers that were.
    """

    def __init__(self, port: int, dice: random.Random) -> None:
        self.tally: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._port = port
        self._dice = dice

    async def run(self, until: float) -> None:
        """Ask until then (of the monotonic clock), on one connection after the other."""
        while time.monotonic() < until:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            try:
                for _ in range(self._dice.randrange(1, 40)):
                    if time.monotonic() >= until or not await self._ask(reader, writer):
                        break
            finally:
                writer.close()
                with contextlib.suppress(ConnectionError):
                    await writer.wait_closed()

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Ask once; return whether the connection can be used again."""
        dice = self._dice
        format_name = dice.choice(list(FORMATS))
        form, stream = FORMATS[format_name], dice.random() < 0.6
        name = "".join(dice.choices(string.ascii_lowercase, k=6))
        count = dice.choice((1, 10, 10, 50, 400))
        writer.write(request(form, name, count, stream=stream))
        leaves = dice.random() < LEAVES
        try:
            async with asyncio.timeout(dice.random() * 0.2 if leaves else PATIENCE):
                status, headers, body, whole = await _reply(reader)
        except TimeoutError:
            self._note("left" if leaves else "hung", f"{format_name}: no end within {PATIENCE:g} s")
            return False
        except (ConnectionError, asyncio.IncompleteReadError) as error:
            self._note("cut", f"{format_name}: {error!r} before the head")
            return False
        if status == 200:
            outcome = judge(form, words(name, count), headers["content-type"], body, stream=stream, whole=whole)
        else:
            outcome = f"status {status}: {body[:300]!r}"
        self._note(outcome if outcome in {"right", "broken"} else "wrong", f"{format_name}: {outcome}")
        return whole and headers.get("connection") != "close"

    def _note(self, outcome: str, detail: str) -> None:
        self.tally[outcome] += 1
        if outcome not in {"right", "broken", "left"} and len(self.wrong) < 10:
            self.wrong.append(detail)

    @property
    def failed(self) -> int:
        """How many were answered wrongly, or not at all."""
        return self.tally["wrong"] + self.tally["hung"] + self.tally["cut"]


async def _reply(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes, bool]:
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:] if line)}
    status = int(lines[0].split()[1])
    body = bytearray()
    try:
        if "content-length" in headers:
            body += await reader.readexactly(int(headers["content-length"]))
        else:
            while size := int(await reader.readuntil(b"\r\n"), 16):
                body += (await reader.readexactly(size + 2))[:-2]
            await reader.readexactly(2)
    except (asyncio.IncompleteReadError, ConnectionError):
        return status, headers, bytes(body), False
    return status, headers, bytes(body), True


async def _sample(process: asyncio.subprocess.Process, began: float) -> slope.Sample:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"\n")
    told = json.loads(await asyncio.wait_for(process.stdout.readline(), PATIENCE))
    folder = Path("/proc") / str(process.pid)
    rss = int((folder / "status").read_text("ascii").split("VmRSS:")[1].split()[0]) * 1024 / 1e6
    links = []
    for link in (folder / "fd").iterdir():
        try:
            links.append(str(link.readlink()))
        except OSError:  # closed meanwhile
            continue
    sockets = sum(link.startswith("socket:") for link in links)
    return slope.Sample(time.monotonic() - began, rss, len(links), sockets, told["tasks"], told["objects"])


async def soak(seconds: float, clients: int, seed: int, interval: float) -> bool:
    """Run for ``seconds``; return whether all went well."""
    dice = random.Random(seed)
    print(f"soak of {seconds / 60:g} minutes, {clients} clients, seed {seed}")
    async with (
        Provider(Script(dice, FAULTY)) as first,
        Provider(Script(dice, FAULTY)) as second,
        Provider(Script(dice, 0.0)) as third,
    ):
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
            file.write(CONFIG.format(first.url, second.url, third.url))
            file.flush()
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.soak.gateway", file.name),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
            assert process.stdout is not None
            port = int(await process.stdout.readline())
        asking = Clients(port, dice)
        began = time.monotonic()
        running = asyncio.gather(*(asking.run(began + seconds) for _ in range(clients)))
        samples = []
        while not running.done():
            await asyncio.wait({running}, timeout=interval)
            for provider in (first, second, third):
                provider.received.clear()
            samples.append(await _sample(process, began))
            _tell(samples[-1], asking)
        await running
        assert process.stdin is not None
        process.stdin.close()
        code = await asyncio.wait_for(process.wait(), PATIENCE)
    return report(asking, [sample for sample in samples if sample.at < seconds] or samples, samples[-1], code)


def _tell(sample: slope.Sample, asking: Clients) -> None:
    tally = ", ".join(f"{count} {outcome}" for outcome, count in sorted(asking.tally.items()))
    print(
        f"{sample.at:7.0f} s  rss {sample.rss:6.1f} MB  files {sample.files:4}  sockets {sample.sockets:4}  "
        f"tasks {sample.tasks:4}  objects {sample.objects:7}  {tally}",
        flush=True,
    )


def report(asking: Clients, samples: list[slope.Sample], last: slope.Sample, code: int) -> bool:
    """Print the verdict.

    Args:
        asking: how the answers were.
        samples: what the gateway used under load.
        last: what it used when nobody asked any more.
        code: its exit code.

    Returns:
        Whether all went well.
    """
    found = slope.leaks(samples)
    for what in slope.ALLOWED:
        rise = slope.rise(slope.settled(samples), what)
        print(f"{what}: {rise:+.1f} over the last three quarters {'LEAK' if what in found else 'ok'}")
    for detail in asking.wrong:
        print(f"wrong: {detail}")
    answered = asking.tally["right"]
    print(f"tasks when nobody asks: {last.tasks} {'ok' if last.tasks <= IDLE_TASKS else 'LEAK'}")
    well = not found and not asking.failed and answered > 0 and code == 0 and last.tasks <= IDLE_TASKS
    print(f"{'ok' if well else 'FAILED'}: {answered} right, {asking.failed} wrong, exit {code}")
    return well


def main() -> int:
    """Run as the command line says; return the exit code."""
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--clients", type=int, default=24)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 16))
    parser.add_argument("--interval", type=float, default=INTERVAL, help="seconds between two lines")
    options = parser.parse_args()
    return 0 if asyncio.run(soak(options.minutes * 60, options.clients, options.seed, options.interval)) else 1


if __name__ == "__main__":
    sys.exit(main())
