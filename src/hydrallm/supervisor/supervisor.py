"""The supervisor's loop. What it is for, and why it is as it is, stands in the docstring of the package."""

from __future__ import annotations

import contextlib
import functools
import gc
import os
import selectors
import signal
import socket
import time
import traceback
from typing import TYPE_CHECKING, NoReturn

from hydrallm.app import DRAIN
from hydrallm.errors import StartError
from hydrallm.supervisor import messages
from hydrallm.supervisor.messages import Answer, Notice, Question
from hydrallm.supervisor.slot import YOUNG, Link, Place, Slot, Worker
from hydrallm.supervisor.survey import Surveys
from hydrallm.telemetry.log import Level

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from hydrallm.telemetry.log import Log

LATE = 3.0
"""Seconds that a worker may take longer for its end than it was given before it is killed."""


class Supervisor:
    """Keeps a number of workers alive until it is told to end.

    Args:
        sockets: for each worker those to accept from. They listen already, and are the supervisor's from now on.
        work: what a worker does; called in its process, returns the exit code.
        log: written without a thread.
        ready: called when a worker has come up in each place for the first time.
    """

    def __init__(
        self,
        sockets: Sequence[Sequence[socket.socket]],
        work: Callable[[Place], int],
        log: Log,
        ready: Callable[[], None],
    ) -> None:
        self._slots = [Slot(number, accepting) for number, accepting in enumerate(sockets, 1)]
        self._work = work
        self._log = log
        self._ready: Callable[[], None] | None = ready
        self._workers: dict[int, Worker] = {}
        """By process: those in a slot, and those that are leaving."""
        self._failure = ""
        self._order = ""
        """What the workers were told last: to drain, or to stop."""
        self._kill_at: float | None = None
        self._surveys = Surveys()
        self._selector = selectors.DefaultSelector()
        self._news, self._wake = socket.socketpair()

    def run(self) -> None:
        """Run until SIGINT or SIGTERM and the end of all workers.

        Raises:
            StartError: not even one could start.
        """
        gc.collect()
        gc.freeze()  # or the workers' collectors would write to every page, and none would be shared
        with self._signals():
            while self._workers or not self._order:
                self._tick(time.monotonic())
                for key, _ in self._selector.select(self._patience()):
                    key.data()
        self._close_sockets()
        if self._failure:
            raise StartError(self._failure)
        self._log.write(Level.INFO, "stopped")

    # -- time --------------------------------------------------------------------------------------------------------

    def _tick(self, now: float) -> None:
        """Do what is due."""
        self._surveys.expire(now)
        for slot in self._slots:
            if slot.worker is None and slot.due <= now and not self._order:
                self._start(slot)
        if self._kill_at is not None and self._kill_at <= now:
            self._kill_at = None
            for worker in self._workers.values():
                self._log.write(
                    Level.ERROR, "a worker does not end and is killed", worker=worker.slot.number, pid=worker.pid
                )
                os.kill(worker.pid, signal.SIGKILL)

    def _patience(self) -> float | None:
        """Return how long nothing is due; None: for ever."""
        due = [slot.due for slot in self._slots if slot.worker is None and not self._order]
        due += [at for at in (self._surveys.due, self._kill_at) if at is not None]
        return max(0.0, min(due) - time.monotonic()) if due else None

    # -- starting ----------------------------------------------------------------------------------------------------

    def _start(self, slot: Slot) -> None:
        ours, theirs = socket.socketpair()
        # What comes between the fork and the worker's own handlers must neither be lost nor take the supervisor's way.
        signal.pthread_sigmask(signal.SIG_BLOCK, _watched())
        try:
            pid = os.fork()
            if pid == 0:
                self._become_worker(slot, ours, theirs)
        except OSError as error:  # no memory, or too many processes
            ours.close()
            self._lost(slot, f"could not be forked ({error.strerror or error})", young=True)
            return
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _watched())
            theirs.close()
        worker = Worker(pid, slot, Link(ours))
        slot.worker = self._workers[pid] = worker
        self._selector.register(ours, selectors.EVENT_READ, functools.partial(self._hear, worker))

    def _become_worker(self, slot: Slot, ours: socket.socket, control: socket.socket) -> NoReturn:
        """Go on as a worker: let go of what is the supervisor's, or others' sockets would never close."""
        code = os.EX_SOFTWARE
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _watched() - {signal.SIGTERM})  # that one, the worker itself
            self._selector.close()
            for sock in (ours, self._news, self._wake):
                sock.close()
            for worker in self._workers.values():
                worker.link.close()
            for sock in {sock for other in self._slots for sock in other.sockets} - set(slot.sockets):
                sock.close()
            code = self._work(Place(slot.number, slot.sockets, control))
        except BaseException:  # noqa: BLE001 - nothing of the supervisor's stack may run here
            traceback.print_exc()
        finally:
            os._exit(code)

    # -- what workers say --------------------------------------------------------------------------------------------

    def _hear(self, worker: Worker) -> None:
        if worker.link.closed:
            return
        worker.link.flush()
        said = worker.link.receive()
        if said is None:  # its SIGCHLD is on the way
            self._selector.unregister(worker.link.sock)
            worker.link.close()
        for message in said or ():
            match message:
                case Question():
                    self._surveys.begin(worker.link, message, self._slots, time.monotonic())
                case Answer():
                    self._surveys.take(message)
                case Notice():
                    self._notice(worker, message)
        self._watch()

    def _watch(self) -> None:
        """Wait until those can take more who could not."""
        for worker in self._workers.values():
            if not worker.link.closed:
                wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if worker.link.full else 0)
                key = self._selector.get_key(worker.link.sock)
                if key.events != wanted:
                    self._selector.modify(worker.link.sock, wanted, key.data)

    def _notice(self, worker: Worker, notice: Notice) -> None:
        slot = worker.slot
        match notice.topic:
            case messages.READY:
                worker.ready_at = time.monotonic()
                level = Level.INFO if self._ready is None else Level.DEBUG
                self._log.write(level, "a worker has come up", worker=slot.number, pid=worker.pid)
                slot.came_up = True
                if self._ready is not None and all(one.came_up for one in self._slots):
                    self._ready()
                    self._ready = None
            case messages.FAILED:
                worker.failure = notice.text
            case messages.LEAVING:
                worker.leaving = True
                if slot.worker is worker and not self._order:  # of its own accord: somebody else takes its place
                    slot.vacate(time.monotonic(), young=False)
            case _:
                pass  # nothing that concerns the supervisor

    # -- their end ---------------------------------------------------------------------------------------------------

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):  # none is left
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                if pid in self._workers:  # process 1 of a container has others' children as well
                    self._died(self._workers[pid], os.waitstatus_to_exitcode(status))

    def _died(self, worker: Worker, code: int) -> None:
        self._hear(worker)  # its last words
        del self._workers[worker.pid]
        if not worker.link.closed:
            self._selector.unregister(worker.link.sock)
            worker.link.close()
        if worker.slot.worker is not worker or self._order:
            return
        young = worker.ready_at is None or time.monotonic() - worker.ready_at < YOUNG
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        self._lost(worker.slot, how, young=young, worker=worker)

    def _lost(self, slot: Slot, how: str, *, young: bool, worker: Worker | None = None) -> None:
        """Take note that a slot has lost its worker, or has not got one."""
        failure = worker.failure if worker else ""
        if not any(one.came_up for one in self._slots):
            self._failure = failure or f"no worker can start: the first one {how}"
            self._tell_all(messages.STOP)
            return
        pause = slot.vacate(time.monotonic(), young=young)
        again = f", {slot.failures} in a row" if slot.failures > 1 else ""
        self._log.write(
            Level.ERROR if failure or again else Level.WARN,
            (failure or f"a worker {how}{again}") + "; another takes its place" + (f" in {pause:g} s" if pause else ""),
            worker=slot.number,
            pid=worker.pid if worker else 0,
        )

    def _tell_all(self, order: str) -> None:
        """Have all workers end."""
        self._order = order
        self._kill_at = time.monotonic() + LATE + (DRAIN if order == messages.DRAIN else 0.0)
        self._close_sockets()
        for worker in self._workers.values():
            worker.link.send(Notice(order))
        self._watch()

    def _close_sockets(self) -> None:
        for slot in self._slots:
            for sock in slot.sockets:
                sock.close()

    # -- signals -----------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """Have signals arrive as bytes on a socket, so that they are waited for like everything else."""
        for sock in (self._news, self._wake):
            sock.setblocking(False)  # noqa: FBT003 - the standard library's signature
        self._selector.register(self._news, selectors.EVENT_READ, self._on_signals)
        previous = {number: signal.signal(number, lambda *_: None) for number in _watched()}
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(-1)
            for number, handler in previous.items():
                signal.signal(number, handler)
            self._selector.close()
            self._news.close()
            self._wake.close()

    def _on_signals(self) -> None:
        for number in self._news.recv(4096):
            if number == signal.SIGCHLD:
                continue
            if self._order:
                self._tell_all(messages.STOP)
                continue
            name = signal.Signals(number).name
            self._log.write(Level.INFO, f"{name}: no new connections; running exchanges have {DRAIN:g} s to end")
            self._tell_all(messages.DRAIN)
        self._reap()


def _watched() -> set[signal.Signals]:
    """Return the signals that the supervisor acts on; there is none called SIGCHLD on Windows."""
    return {signal.SIGCHLD, signal.SIGINT, signal.SIGTERM}
