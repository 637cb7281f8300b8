"""What a wire format must be able to do so that others can be served by it, and it by others.

PURE. A codec is the second half of a wire format: the first half (:class:`~hydrallm.formats.base.WireFormat`) is what a
format needs when its bytes pass through. One file each, ``..._codec.py``; the list of them is in ``app.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

from hydrallm.formats.renaming import Renaming

if TYPE_CHECKING:
    from hydrallm.formats.canonical import Composed, Request, Target
    from hydrallm.formats.canonical_answer import Answer, Event
    from hydrallm.message import Headers


class Asked(msgspec.Struct, frozen=True):
    """What an answer must know of its request.

    Attributes:
        model: what the answer calls its model: the upstream's name for it.
        id: an id for the answer, where the format needs one of its own form; made of the exchange's.
        created: seconds since 1970, for the formats that tell the time.
        usage_in_stream: whether a stream tells the usage (Chat: only where the client asked).
        names: tool names to change back, as :class:`~hydrallm.formats.canonical.Composed` has them.
        ids: ids of tool calls to change back, likewise.
        custom: functions whose calls are calls of tools that take free text, likewise.
    """

    model: str
    id: str
    created: int
    usage_in_stream: bool = True
    names: dict[str, str] = {}
    ids: dict[str, str] = {}
    custom: tuple[str, ...] = ()

    def call_id(self, identity: str, allowed: str, limit: int) -> str:
        """Return the id by which the client knows a call; empty if the model gave none.

        The client sends it back in its next request, and that may go unaltered to a model of its own format. So it is
        one that this format takes, whatever another model's server has made up.

        Args:
            identity: the model's.
            allowed: the characters that the client's format takes, as for :class:`~hydrallm.formats.renaming.Renaming`.
            limit: how many.
        """
        if not identity:
            return ""
        return self.ids.get(identity) or Renaming(allowed, limit).of(identity)


class Reader(Protocol):
    """Reads a stream of one format."""

    def feed(self, events: bytes) -> list[Event]:
        """Return what whole events of the stream (as a :class:`~hydrallm.formats.base.Scan` passes them on) say."""

    def finish(self) -> list[Event]:
        """Return what is still owed at a clean end of the stream (``Scan.complete``): its :class:`Ended`, if not given.

        A stream may be complete before its last event: of Chat without ``[DONE]``, of Converse without ``metadata``.
        """


class Writer(Protocol):
    """Writes a stream of one format."""

    def feed(self, events: list[Event]) -> bytes:
        """Return the bytes that say ``events``; may be empty. After ``Ended`` the stream is complete.

        Raises:
            UntranslatableError: there is a call among them that cannot be run (:mod:`hydrallm.formats.calls`).
        """


class Codec(Protocol):
    """One wire format's requests and answers, to and from the canonical form."""

    @property
    def name(self) -> str:
        """That of the wire format."""

    def read_request(self, body: bytes, *, model: str, stream: bool) -> Request:
        """Return what a client asks.

        Args:
            body: its JSON.
            model: as the path names it; empty where the body does.
            stream: whether the path asks for a stream, where it says so; else the body says.

        Raises:
            UntranslatableError: it is not a request of this format.
        """

    def compose(self, request: Request, target: Target) -> Composed:
        """Return ``request`` as a body of this format for ``target``.

        Raises:
            UnservedError: it cannot be said, or the model cannot do it.
        """

    def address(self, request: Request, target: Target) -> tuple[bytes, Headers]:
        """Return the path, from the API's root and with its version, and the headers that a composed request needs."""

    def read_answer(self, body: bytes) -> Answer:
        """Return what a whole answer says.

        Raises:
            UntranslatableError: it is not an answer of this format.
        """

    def write_answer(self, answer: Answer, asked: Asked) -> bytes:
        """Return ``answer`` as a body of this format.

        Raises:
            UntranslatableError: it has a call that cannot be run (:mod:`hydrallm.formats.calls`).
        """

    def reader(self) -> Reader:
        """Return the reader of a new stream."""

    def writer(self, asked: Asked) -> Writer:
        """Return the writer of a new stream."""
