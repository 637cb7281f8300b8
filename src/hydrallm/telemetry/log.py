"""The log on stderr: one line for each failed attempt, one line for each exchange.

Lines are gathered and written together a little later, so that a busy gateway makes few system calls; warnings and
errors are written at once. ``console`` lines are for people (coloured on a terminal), ``json`` lines for machines;
``auto`` is ``console`` on a terminal and ``json`` elsewhere. Everything passes the mask.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import enum
import json
import os
from typing import TYPE_CHECKING

import msgspec

from hydrallm.policy.breaker import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from hydrallm.message import Request
    from hydrallm.telemetry.masking import Mask
    from hydrallm.telemetry.records import AttemptRecord, CredentialChange, ExchangeRecord, ModelChange, Shed
    from hydrallm.telemetry.writer import Stream

GATHER = 0.05
"""Seconds for which lines are gathered."""


class Level(enum.IntEnum):
    """How much a line matters."""

    DEBUG = 10
    INFO = 20
    WARN = 30
    ERROR = 40


LEVELS = {"debug": Level.DEBUG, "info": Level.INFO, "warn": Level.WARN, "error": Level.ERROR}

_COLOURS = {Level.DEBUG: "\x1b[2m", Level.INFO: "\x1b[32m", Level.WARN: "\x1b[33m", Level.ERROR: "\x1b[31m"}
_RESET = "\x1b[0m"

_CHANGES = {
    State.OPEN: (Level.WARN, "breaker open: this model is skipped while another is left"),
    State.HALF_OPEN: (Level.DEBUG, "breaker half open: one exchange probes this model"),
    State.CLOSED: (Level.INFO, "breaker closed: this model answers again"),
}


class Log:
    """A sink that writes lines.

    Args:
        stream: where to.
        level: what matters less is left out.
        style: ``auto``, ``console`` or ``json``.
        mask: takes secrets out.
        wants_bodies: whether upstream error bodies are written.
        worker: the number of this worker, which each line then tells; 0 where there is only one process.
        now: the time in UTC.
    """

    def __init__(
        self,
        stream: Stream,
        level: Level,
        style: str,
        mask: Mask,
        *,
        wants_bodies: bool = False,
        worker: int = 0,
        now: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.UTC),
    ) -> None:
        terminal = stream.isatty()
        self._stream = stream
        self._level = level
        self._json = style == "json" or (style == "auto" and not terminal)
        self._colour = terminal and not os.environ.get("NO_COLOR")
        self.mask = mask
        self.wants_bodies = wants_bodies
        self._always: dict[str, object] = {"worker": worker} if worker else {}
        self._now = now
        self._lines: list[str] = []
        self._timer: asyncio.TimerHandle | None = None

    def write(self, level: Level, message: str, **fields: object) -> None:
        """Write one line.

        Args:
            level: how much it matters.
            message: for a person.
            fields: beside it; empty ones (None, "", 0, False) are left out.
        """
        if level < self._level:
            return
        kept = {name: value for name, value in fields.items() if value}
        kept.update(self._always)
        self._lines.append(self._as_json(level, message, kept) if self._json else self._as_text(level, message, kept))
        if level >= Level.WARN:
            self.flush()
        elif self._timer is None:
            self._gather()

    @property
    def wants_requests(self) -> bool:
        """Whether what upstreams are sent is written: at debug level."""
        return self._level <= Level.DEBUG

    def attempt_begun(self, exchange: ExchangeRecord, attempt: AttemptRecord, request: Request) -> None:
        """Write what an upstream is sent, but for the body; no query and no header's value, which may be a key."""
        self.write(
            Level.DEBUG,
            f"attempt {attempt.number} begins: {request.method.decode()} {_path(request.target)}",
            id=exchange.id,
            endpoint=attempt.endpoint,
            model=attempt.model,
            headers=" ".join([name.decode("latin-1") for name, _ in request.headers]),
            body_bytes=len(request.body),
        )

    def attempt_failed(self, exchange: ExchangeRecord, attempt: AttemptRecord) -> None:
        """Write a failed attempt."""
        status = f" ({attempt.status})" if attempt.status else ""
        detail = f": {attempt.detail}" if attempt.detail else ""
        self.write(
            Level.ERROR if attempt.loud else Level.WARN,
            f"attempt {attempt.number} failed, {attempt.kind}{status}{detail}",
            id=exchange.id,
            endpoint=attempt.endpoint,
            model=attempt.model,
            waited=_seconds(attempt.waited),
            seconds=_seconds(attempt.seconds),
            body=attempt.body,
        )

    def exchange_ended(self, exchange: ExchangeRecord) -> None:
        """Write an ended exchange."""
        if self._level > Level.WARN or exchange.outcome == "shed":  # which has a line of its own, now and then
            return
        healthy = exchange.outcome in {"answered", "client_left"}
        if healthy and self._level > Level.INFO:
            return
        last = exchange.attempts[-1] if exchange.attempts else None
        asked = f"{exchange.method} {exchange.path} " if exchange.method else ""  # what was no HTTP asked for nothing
        outcome = "" if exchange.outcome == "answered" else f" {exchange.outcome}"
        detail = f": {exchange.detail}" if exchange.detail else ""
        self.write(
            Level.INFO if healthy else Level.WARN,
            f"{asked}{exchange.status}{outcome}{detail}",
            id=exchange.id,
            endpoint=last.endpoint if last else "",
            model=last.model if last else "",
            requested=exchange.requested,
            chain=exchange.chain,
            attempts=len(exchange.attempts),
            first_byte=_seconds(exchange.first_byte),
            seconds=_seconds(exchange.seconds),
            held=_seconds(exchange.held),
            bytes=exchange.sent,
            dropped_events=exchange.dropped_events,
            dropped=", ".join(last.dropped) if last else "",
            skipped="; ".join(
                [f"{skip.endpoint}/{skip.model}: {', '.join(skip.reasons)}" for skip in exchange.skipped]
            ),
            tried=self._tried(exchange.attempts),
        )

    def model_changed(self, change: ModelChange) -> None:
        """Write that a model's breaker has changed its state."""
        level, message = _CHANGES[change.state]
        self.write(
            level,
            message,
            endpoint=change.endpoint,
            model=change.model,
            cause=change.cause,
            retry_in=_seconds(change.retry_in),
        )

    def credential_changed(self, change: CredentialChange) -> None:
        """Write that refreshed credentials have come, or have begun to fail to."""
        if not change.failure:
            level, message = Level.INFO, "AWS credentials have come"
        elif change.source:
            level, message = Level.WARN, f"AWS credentials cannot be refreshed, the old ones are used: {change.failure}"
        else:
            level, message = Level.ERROR, f"no AWS credentials: {change.failure}"
        self.write(
            level,
            message,
            endpoints=", ".join(change.endpoints),
            source=change.source,
            expires_in=None if change.expires_in is None else round(change.expires_in),
        )

    def shed(self, shed: Shed) -> None:
        """Write that requests were turned away."""
        self.write(Level.WARN, f"overloaded: {shed.message}", limit=shed.limit, times=shed.count)

    def fault(self, text: str) -> None:
        """Write a fault of our own."""
        self.write(Level.ERROR, "a fault in HydraLLM itself; please report it", traceback=text)

    def flush(self) -> None:
        """Write what was gathered."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        lines, self._lines = self._lines, []
        if lines:
            try:
                self._stream.write(self.mask("".join(lines)))
                self._stream.flush()
            except (OSError, ValueError):
                return  # nobody reads stderr any more; traffic goes on

    def _tried(self, attempts: list[AttemptRecord]) -> object:
        """Return what each attempt came to, for lines and for machines; None where the rest of the line says it all."""
        if not attempts or (len(attempts) == 1 and attempts[0].kind is None):
            return None
        return [_as_object(attempt) for attempt in attempts] if self._json else "; ".join(map(_as_phrase, attempts))

    def _gather(self) -> None:
        try:
            self._timer = asyncio.get_running_loop().call_later(GATHER, self.flush)
        except RuntimeError:  # before the loop runs, or after
            self.flush()

    def _as_text(self, level: Level, message: str, fields: dict[str, object]) -> str:
        clock = self._now().astimezone().strftime("%H:%M:%S")
        name = f"{level.name:5}"
        if self._colour:
            name = f"{_COLOURS[level]}{name}{_RESET}"
        tail = "".join([f" {key}={_shown(value)}" for key, value in fields.items()])
        return f"{clock} {name} {_printable(message)}{tail}\n"

    def _as_json(self, level: Level, message: str, fields: dict[str, object]) -> str:
        time = self._now().isoformat(timespec="milliseconds")
        line = {"time": time, "level": level.name.lower(), "message": message, **fields}
        with contextlib.suppress(UnicodeEncodeError):  # a lone surrogate
            text = msgspec.json.encode(line, enc_hook=str).decode()
            if text.isprintable():
                return text + "\n"
        # JSON may hold what steers a terminal or ends a line (RFC 8259 section 7); in ASCII only DEL is left of that.
        return json.dumps(line, default=str).replace("\x7f", r"\u007f") + "\n"


def _seconds(value: float) -> float:
    return round(value, 3)


def _as_object(attempt: AttemptRecord) -> dict[str, object]:
    fields = {
        "endpoint": attempt.endpoint,
        "model": attempt.model,
        "kind": attempt.kind,
        "status": attempt.status,
        "waited": _seconds(attempt.waited),
        "seconds": _seconds(attempt.seconds),
    }
    return {name: value for name, value in fields.items() if value}


def _as_phrase(attempt: AttemptRecord) -> str:
    """Return an attempt as in ``after 0.5s: openai/gpt-4o overloaded 529 in 1.25s``."""
    words = [f"after {_seconds(attempt.waited):g}s:"] if _seconds(attempt.waited) else []
    words += [f"{attempt.endpoint}/{attempt.model}", str(attempt.kind or ""), str(attempt.status or "")]
    return " ".join([*filter(None, words), f"in {_seconds(attempt.seconds):g}s"])


def _shown(value: object) -> str:
    text = _printable(str(value))
    if " " in text or '"' in text or "=" in text:
        return '"' + text.replace('"', r"\"") + '"'
    return text


def _path(target: bytes) -> str:
    return target.partition(b"?")[0].decode("latin-1")


def _printable(text: str) -> str:
    """Return ``text`` on one line, without control characters: what the network sends must not steer a terminal."""
    if text.isprintable():
        return text
    return "".join([char if char.isprintable() else repr(char)[1:-1] for char in text])
