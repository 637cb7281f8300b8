"""What happened in an exchange and in each of its attempts.

Records are filled in while the exchange runs and handed to the sinks when it ends; sinks only read them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

from hydrallm.policy.breaker import State
from hydrallm.policy.kinds import Kind

if TYPE_CHECKING:
    from hydrallm.message import Request


class AttemptRecord(msgspec.Struct, gc=False):
    """One upstream try.

    Attributes:
        number: from 1.
        endpoint: its name in the config.
        model: the upstream's name for the model.
        waited: seconds waited before it.
        seconds: how long it took; for the one that answered, up to the commit.
        kind: how it failed; None for the one that answered.
        status: the upstream's status; 0 if there was none.
        detail: why, for a person; may hold secrets, which the sinks mask.
        body: the beginning of the upstream's error body, where it is to be logged.
        loud: whether a person should do something about it.
        wire_format: in which it was asked, where that is not the client's; empty otherwise.
        dropped: what of the request it could not be told, by the client's names for it.
    """

    number: int
    endpoint: str
    model: str
    waited: float = 0.0
    seconds: float = 0.0
    kind: Kind | None = None
    status: int = 0
    detail: str = ""
    body: str = ""
    loud: bool = False
    wire_format: str = ""
    dropped: tuple[str, ...] = ()


class Skip(msgspec.Struct, frozen=True, gc=False):
    """A model that was not asked, because it cannot be asked this.

    Attributes:
        endpoint: its name in the config.
        model: the upstream's name for the model.
        reasons: why, each in a few words.
        malformed: whether it is no request of the client's own format.
    """

    endpoint: str
    model: str
    reasons: tuple[str, ...]
    malformed: bool = False


class ExchangeRecord(msgspec.Struct):
    """One client request.

    Attributes:
        began: the event loop's time at its start.
        id: what the client is told as ``x-hydrallm-request-id``; sorts by time.
        method: the client's; empty if what it sent was no HTTP.
        path: the client's, without the query, which may hold keys; likewise.
        wire_format: of a generation request; empty for a relayed one.
        requested: the model the client named; empty if it named none.
        chain: the chain that this selected; empty for the default one.
        stream: whether the client asked for a stream.
        status: what the client was sent; 499 if it left before.
        outcome: ``answered``; ``refused`` (by this proxy); ``shed`` (likewise, as a limit was reached); the kind of the
            failure that the client was shown; ``cut`` or ``stalled`` after the commit; ``client_left``; ``stopped``
            with the server; ``fault`` (of our own).
        detail: why, where the outcome needs words.
        first_byte: seconds up to the commit.
        seconds: in all.
        sent: bytes of the answer's body.
        held: seconds between the first byte from the upstream that answered and the commit.
        dropped_events: malformed events that were left out of a stream.
        attempts: in order.
        skipped: the models that were not asked, in order.
    """

    began: float
    id: str
    method: str
    path: str
    wire_format: str = ""
    requested: str = ""
    chain: str = ""
    stream: bool = False
    status: int = 0
    outcome: str = "answered"
    detail: str = ""
    first_byte: float = 0.0
    seconds: float = 0.0
    sent: int = 0
    held: float = 0.0
    dropped_events: int = 0
    attempts: list[AttemptRecord] = msgspec.field(default_factory=list)
    skipped: list[Skip] = msgspec.field(default_factory=list)


class ModelChange(msgspec.Struct, frozen=True):
    """A model's breaker has opened, closed, or lets a probe through.

    Attributes:
        endpoint: its name in the config.
        model: the upstream's name for the model.
        state: what the breaker does from now on.
        cause: the failure that opened it; None once it is closed.
        retry_in: seconds until an exchange may probe it; while half open, until another one may; 0 once it is closed.
    """

    endpoint: str
    model: str
    state: State
    cause: Kind | None = None
    retry_in: float = 0.0


class CredentialChange(msgspec.Struct, frozen=True):
    """Credentials that are refreshed have come, or have failed to come.

    Attributes:
        endpoints: who is shown them; their names in the config.
        failure: why none have come; empty if they have.
        source: where those came from that are used now; empty if there are none.
        expires_in: seconds for which those are still good; None if nothing says so.
    """

    endpoints: tuple[str, ...]
    failure: str = ""
    source: str = ""
    expires_in: float | None = None


class Shed(msgspec.Struct, frozen=True):
    """Requests or clients were turned away, because a limit of this process is reached.

    Attributes:
        limit: the setting that says how much there may be, or what the system limits.
        message: how much that is, for a person.
        count: how often since the last note about this limit.
    """

    limit: str
    message: str
    count: int


class Sink(Protocol):
    """Something that wants to know. Called on the event loop: it must be quick and must not raise."""

    @property
    def wants_bodies(self) -> bool:
        """Whether the beginnings of upstream error bodies are wanted in the attempt records."""

    @property
    def wants_requests(self) -> bool:
        """Whether :meth:`attempt_begun` is to be called."""

    def attempt_begun(self, exchange: ExchangeRecord, attempt: AttemptRecord, request: Request) -> None:
        """Take note of what an upstream is about to be sent."""

    def attempt_failed(self, exchange: ExchangeRecord, attempt: AttemptRecord) -> None:
        """Take note of a failed attempt, at once."""

    def exchange_ended(self, exchange: ExchangeRecord) -> None:
        """Take note of an ended exchange."""

    def model_changed(self, change: ModelChange) -> None:
        """Take note that a model's breaker has changed its state."""

    def credential_changed(self, change: CredentialChange) -> None:
        """Take note that refreshed credentials have come, or have begun to fail to."""

    def shed(self, shed: Shed) -> None:
        """Take note that requests were turned away; told seldom, so that being overloaded is no load by itself."""

    def fault(self, text: str) -> None:
        """Take note of a fault of our own: a traceback."""
