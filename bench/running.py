"""A subject that runs, in front of a mock that runs."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from bench.service import Service, free_port
from bench.subjects import Place, Subject
from bench.traffic import Form
from bench.upstream import start_upstream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bench.cores import Cores


class Started(msgspec.Struct, frozen=True):
    """A subject that runs.

    Attributes:
        subject: which one.
        service: its process.
        form: what its clients send.
        folder: for files of its load.
        took: seconds from its start to its first answer.
    """

    subject: Subject
    service: Service
    form: Form
    folder: Path
    took: float

    def request(self, *, stream: bool) -> bytes:
        """Return a small request for it."""
        return self.form.request(self.form.body(300, stream=stream), self.service.port)


@contextlib.asynccontextmanager
async def started(subject: Subject, upstream: int, cores: Cores) -> AsyncIterator[Started]:
    """Run ``subject`` in front of port ``upstream``; in the block it has answered its first request."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        place = Place(Path(name), free_port(), upstream)
        form = subject.form.with_headers(subject.headers(place))
        service = await Service.start(
            subject.title,
            subject.command(place),
            port=place.port,
            folder=place.folder,
            core=cores.subject,
            environ=subject.environ(place),
        )
        try:
            took = await service.answers(form.request(form.body(300), place.port))
            yield Started(subject, service, form, place.folder, took)
        finally:
            await service.stop()


@contextlib.asynccontextmanager
async def upstream(cores: Cores) -> AsyncIterator[Service]:
    """Run the mock of whole answers during the block."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        service = await start_upstream(Path(name), cores.load)
        try:
            yield service
        finally:
            await service.stop()
