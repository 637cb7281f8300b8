"""``hydrallm demo``: retry and fallback to look at, without a key and without the internet.

Everything is real but the providers: a config file, the gateway on a loopback port, requests over HTTP. Two simulated
providers stand behind it. *Shaky* answers 429, then is overloaded (as a stream it says so only behind its 200), then
dies before its first token, and recovers at last; *steady* is healthy. What is printed comes from where it would come
from in earnest: the attempts from the gateway's own records, the answers and their ``x-hydrallm-*`` headers from the
wire.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.markup import escape

from hydrallm.app import App, loop_factory
from hydrallm.config.load import load
from hydrallm.errors import UpstreamError
from hydrallm.faults.provider import Provider
from hydrallm.faults.script import Answer, Cut, Fail, Reply, StreamError
from hydrallm.http.client import Client
from hydrallm.http.dial import Route
from hydrallm.message import Headers, Request, header

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from hydrallm.faults.provider import Received
    from hydrallm.http.client_stream import ClientStream
    from hydrallm.telemetry.records import AttemptRecord, CredentialChange, ExchangeRecord, ModelChange, Shed

CONFIG = """\
[retry]
default_interval = "250ms"

[endpoints.shaky]
url = "{shaky}/v1"
api_key = "demo-key-of-shaky"

[endpoints.steady]
url = "{steady}/v1"
api_key = "demo-key-of-steady"

[[models]]                 # tried first, up to three times
endpoint = "shaky"
model = "shaky-large"
attempts = 3

[[models]]                 # then this one
endpoint = "steady"
model = "steady-small"
"""

SHAKY: tuple[Reply, ...] = (
    Fail(status=429, headers={"retry-after": "1"}, message="Slow down, please."),
    StreamError(events="preamble", cause="overloaded"),
    Cut(at="after_headers"),
)
TEXT = "The first model failed three times, and you never noticed."
RECOVERED = "The first model is well again, so it is the one that answers."
PATIENCE = 30.0
"""Seconds after which a request of the demo counts as not answered."""


@click.command("demo")
@click.option("--once", is_flag=True, help="End after the show, even on a terminal.")
@click.option("--port", "-p", type=click.IntRange(0, 65535), default=0, help="Listen on this port; any free one if 0.")
@click.pass_context
def command(ctx: click.Context, *, once: bool, port: int) -> None:
    """Show retry and fallback with simulated providers; needs no key and no internet.

    On a terminal it then goes on serving, so that you can try it with curl.
    """
    stay = not once and sys.stdout.isatty() and sys.stdin.isatty()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # to end as by Ctrl-C: tidily
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        answered = runner.run(_demo(port, stay=stay))
    ctx.exit(0 if answered else 1)


async def _demo(port: int, *, stay: bool) -> bool:
    """Run the show; return whether every request was answered."""
    console = Console(highlight=False, soft_wrap=True)
    shaky_says: list[Reply] = [*SHAKY, *SHAKY, Answer(text=RECOVERED, pause=0.03)]
    afterwards = itertools.cycle([*SHAKY, Answer(text=RECOVERED, pause=0.03)])

    def play(_: Received) -> Reply:
        return shaky_says.pop(0) if shaky_says else next(afterwards)

    with tempfile.TemporaryDirectory(prefix="hydrallm-demo-") as folder:
        async with Provider(play) as shaky, Provider(Answer(text=TEXT, pause=0.06)) as steady:
            path = _write_config(folder, shaky.url, steady.url)
            narrator = Narrator(console)
            app = App(load(path, {}, port=port), narrator, {})
            try:
                (_, bound), *_ = await app.listen()
                _introduce(console, path, bound)
                answered = await Show(console, narrator, bound).run()
                if stay:
                    with contextlib.suppress(asyncio.CancelledError):  # Ctrl-C is how this ends
                        await _stay(console, narrator, bound)
            finally:
                await app.stop()
    return answered


def _write_config(folder: str, shaky: str, steady: str) -> Path:
    path = Path(folder, "config.toml")
    path.write_text(CONFIG.format(shaky=shaky, steady=steady), encoding="utf-8")
    return path


def _introduce(console: Console, path: Path, port: int) -> None:
    console.print(f"[bold]HydraLLM[/] listens on http://127.0.0.1:{port}")
    console.print(f"It is configured by {escape(str(path))}:")
    console.print("  1. [cyan]shaky/shaky-large[/]    3 attempts; says 429, is overloaded, dies, later recovers")
    console.print("  2. [cyan]steady/steady-small[/]  healthy")


async def _stay(console: Console, narrator: Narrator, port: int) -> None:
    body = '{"model": "any", "stream": true, "messages": [{"role": "user", "content": "Hello"}]}'
    url = f"http://127.0.0.1:{port}/v1/chat/completions"
    console.print("\nStill serving; every fourth attempt at shaky succeeds. Try it, and stop it with Ctrl-C:\n")
    console.print(f"  curl -N {url} -H 'content-type: application/json' -d '{body}'\n", markup=False)
    while True:
        console.print(await narrator.ends.get())


class Narrator:
    """A sink that tells a person what happens, as it happens.

    Attributes:
        ends: a line for each exchange that has ended, for whoever prints the answers to print after them.
    """

    wants_bodies = False
    wants_requests = False

    def __init__(self, console: Console) -> None:
        self._console = console
        self.ends: asyncio.Queue[str] = asyncio.Queue()

    def attempt_begun(self, exchange: ExchangeRecord, attempt: AttemptRecord, request: Request) -> None:
        """Say nothing: what is sent is not the show."""

    def attempt_failed(self, exchange: ExchangeRecord, attempt: AttemptRecord) -> None:  # noqa: ARG002 - a sink's
        """Print a failed attempt."""
        why = f"{attempt.status} {attempt.kind}" if attempt.status >= 400 else str(attempt.kind)
        detail = f"  [dim]{escape(attempt.detail)}[/]" if attempt.detail else ""
        self._console.print(f"{_line(attempt)}[red]{why}[/]{detail}")

    def exchange_ended(self, exchange: ExchangeRecord) -> None:
        """Say how it ended."""
        last = exchange.attempts[-1] if exchange.attempts else None
        who = f" by {last.endpoint}/{last.model}" if last and last.kind is None else ""
        colour = "green" if exchange.outcome == "answered" else "red"
        self.ends.put_nowait(
            f"  [{colour}]{exchange.outcome}[/]{who} with status {exchange.status}; "
            f"first byte after {exchange.first_byte:.2f} s, all after {exchange.seconds:.2f} s"
        )

    def model_changed(self, change: ModelChange) -> None:
        """Print how a model's breaker stands."""
        self._console.print(f"  {change.endpoint}/{change.model} is {change.state}", markup=False)

    def credential_changed(self, change: CredentialChange) -> None:
        """Say nothing: the demo's endpoints have keys of their own."""

    def shed(self, shed: Shed) -> None:
        """Print that requests were turned away."""
        self._console.print(f"  overloaded: {shed.message}", markup=False)

    def fault(self, text: str) -> None:
        """Print a fault of our own."""
        self._console.print(text, markup=False)


def _line(attempt: AttemptRecord) -> str:
    waited = f"waited {attempt.waited:.2f} s" if attempt.waited else ""
    return f"  attempt {attempt.number}  [cyan]{attempt.endpoint + '/' + attempt.model:20}[/]  {waited:13}  "


class Show:
    """The requests of the demo.

    Args:
        console: where the answers appear.
        narrator: what the gateway tells.
        port: of the gateway.
    """

    def __init__(self, console: Console, narrator: Narrator, port: int) -> None:
        self._console = console
        self._narrator = narrator
        self._client = Client(Route("127.0.0.1", port, f"127.0.0.1:{port}".encode()))

    async def run(self) -> bool:
        """Send them all; return whether each was answered completely."""
        good = [
            await self._ask("A plain request", stream=False),
            await self._ask("A streaming request", stream=True),
            await self._ask("Another one, now that shaky has recovered", stream=True),
        ]
        self._client.close()
        unanswered = good.count(False)
        verdict = f"[red]{unanswered} not answered[/]" if unanswered else "[green]all answered[/]"
        self._console.print(f"\n{len(good)} requests, {verdict}.")
        return not unanswered

    async def _ask(self, title: str, *, stream: bool) -> bool:
        self._console.print(f"\n[bold]{title}[/]: POST /v1/chat/completions, model gpt-4o")
        body = {"model": "gpt-4o", "stream": stream, "messages": [{"role": "user", "content": "Are you there?"}]}
        headers: Headers = [(b"content-type", b"application/json")]
        request = Request(b"POST", b"/v1/chat/completions", headers, json.dumps(body).encode())
        expires = asyncio.get_running_loop().time() + PATIENCE
        try:
            answer = await self._client.request(request, expires=expires, connect_timeout=PATIENCE)
            try:
                shown = await self._show(answer)
            finally:
                answer.close()
            self._console.print(await self._narrator.ends.get())
        except UpstreamError as error:
            self._console.print(f"  [red]no answer[/]: {escape(str(error))}")
            return False
        return shown

    async def _show(self, answer: ClientStream) -> bool:
        """Print an answer as it comes; return whether it is one, and complete."""
        number, endpoint, model = (
            (header(answer.headers, name) or b"?").decode()
            for name in (b"x-hydrallm-attempts", b"x-hydrallm-endpoint", b"x-hydrallm-model")
        )
        self._console.print(f"  attempt {number}  [cyan]{endpoint + '/' + model:20}[/]  {'':13}  [green]answers[/]")
        self._console.print("  [dim]>[/] ", end="")
        ended = False
        if (header(answer.headers, b"content-type") or b"").startswith(b"text/event-stream"):
            async for event in _events(answer):
                ended = event == b"[DONE]"
                if not ended:
                    self._say((json.loads(event)["choices"] or [{}])[0].get("delta", {}).get("content"))
        else:
            whole = json.loads(await answer.gather(1_000_000))
            ended = answer.status == 200
            self._say(whole["choices"][0]["message"]["content"] if ended else json.dumps(whole))
        self._console.print()
        return ended

    def _say(self, text: str | None) -> None:
        if text:
            self._console.print(text, end="", markup=False)


async def _events(answer: ClientStream) -> AsyncIterator[bytes]:
    """Yield the data of each server-sent event; the simulated providers use one line for each."""
    buffer = b""
    while data := await answer.chunk():
        buffer += data
        *events, buffer = buffer.split(b"\n\n")
        for event in events:
            yield event.removeprefix(b"data:").strip()
