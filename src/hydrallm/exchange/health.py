"""What ``/_hydra/health`` tells: how each model of a listener fares.

The answer comes from what exchanges have met; nobody is asked for it. A model of which nothing bad is known is
``closed``, as is one that was never tried. ``cooling`` is a closed breaker while the upstream's own Retry-After runs.

A *degraded* gateway still answers: with other models, and with the same ones once nothing else is left; so does one
whose models are all *down*, as soon as one is not. So the status of the response is always 200, and a supervisor that
goes by it does not restart a process that is not to blame.

Where several processes serve the listener, each has met something else, and the one that is asked tells it for all: of
a model the worst that one of them knows, and in which states it is with how many. A model is down only if it is closed
for none of them.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from hydrallm.policy.breaker import State

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hydrallm.exchange.chain import Model

COOLING = "cooling"

_WORSE = [State.CLOSED.value, COOLING, State.HALF_OPEN.value, State.OPEN.value]


class ModelHealth(msgspec.Struct, frozen=True):
    """How a model fares, as one process knows it.

    Attributes:
        id: what chains and clients call it.
        endpoint: its name in the config.
        model: the upstream's name for it.
        type: the API type.
        state: of its breaker, or ``cooling``.
        cause: the failure behind that; None where there is none.
        retry_in: seconds until it may be asked again.
    """

    id: str
    endpoint: str
    model: str
    type: str
    state: str
    cause: str | None
    retry_in: float


class Share(msgspec.Struct, frozen=True):
    """What one of several processes knows.

    Attributes:
        uptime: seconds since it began.
        exchanges: how many have begun in it.
        connections: clients that are connected to it.
        models: in the order of the config.
    """

    uptime: float
    exchanges: int
    connections: int
    models: tuple[ModelHealth, ...]


class Witness(msgspec.Struct, frozen=True):
    """One of several processes, and what it has told.

    Attributes:
        worker: its number.
        pid: its process; 0 if there is none now.
        state: ``ready``; or why it has told nothing: ``silent``, ``starting``, ``dead``.
        share: what it has told.
    """

    worker: int
    pid: int
    state: str
    share: Share | None


def report(version: str, listener: str, models: Iterable[Model], at: float) -> dict[str, object]:
    """Return what is known of the models, ready for JSON.

    Args:
        version: of HydraLLM.
        listener: the address it is bound to.
        models: in the order of the config.
        at: the time, in seconds of the clock that the breakers go by.
    """
    told = model_health(models, at)
    closed = sum(model.state == State.CLOSED for model in told)
    return {"status": _status(closed, closed, len(told)), "version": version, "listener": listener, "models": told}


def joint_report(version: str, listener: str, witnesses: Sequence[Witness]) -> dict[str, object]:
    """Return what several processes know, ready for JSON.

    Args:
        version: of HydraLLM.
        listener: the address they share.
        witnesses: all of them; one at least has told something.
    """
    shares = [witness.share for witness in witnesses if witness.share is not None]
    views = [*zip(*[share.models for share in shares], strict=True)]
    closed = [[model.state == State.CLOSED for model in view] for view in views]
    everywhere, somewhere = sum(map(all, closed)), sum(map(any, closed))
    silent = len(shares) < len(witnesses)
    return {
        "status": "degraded" if silent and somewhere else _status(everywhere, somewhere, len(views)),
        "version": version,
        "listener": listener,
        "models": [_joint(view) for view in views],
        "workers": [_worker(witness) for witness in witnesses],
    }


def model_health(models: Iterable[Model], at: float) -> tuple[ModelHealth, ...]:
    """Return how each model fares.

    Args:
        models: in order.
        at: the time, in seconds of the clock that the breakers go by.
    """
    return tuple([_told(model, at) for model in models])


def _status(everywhere: int, somewhere: int, count: int) -> str:
    """Return the status of ``count`` models, so many of which are closed for all processes, or for some."""
    return "ok" if everywhere == count else "degraded" if somewhere else "down"


def _told(model: Model, at: float) -> ModelHealth:
    breaker = model.breaker
    closed = breaker.state is State.CLOSED
    cooling = breaker.cools_until > at
    probed = breaker.until if breaker.state is State.OPEN else at
    return ModelHealth(
        id=model.id,
        endpoint=model.endpoint.name,
        model=model.name,
        type=model.api.api_type.value,
        state=COOLING if closed and cooling else breaker.state.value,
        cause=breaker.cause if cooling or not closed else None,
        retry_in=round(max(0.0, probed - at, breaker.cools_until - at), 1),
    )


def _joint(views: Sequence[ModelHealth]) -> dict[str, object]:
    worst = max(views, key=lambda view: (_WORSE.index(view.state), view.retry_in))
    states = Counter([view.state for view in views])
    return msgspec.structs.asdict(worst) | {"states": {state: states[state] for state in _WORSE if states[state]}}


def _worker(witness: Witness) -> dict[str, object]:
    told: dict[str, object] = {"worker": witness.worker, "pid": witness.pid or None, "state": witness.state}
    if witness.share is not None:
        share = witness.share
        told |= {"uptime": round(share.uptime, 1), "exchanges": share.exchanges, "connections": share.connections}
    return told
