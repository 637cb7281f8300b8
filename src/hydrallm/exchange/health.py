"""What ``/_hydra/health`` tells: how each model of a listener fares.

The answer comes from what exchanges have met; nobody is asked for it. A model of which nothing bad is known is
``closed``, as is one that was never tried. ``cooling`` is a closed breaker while the upstream's own Retry-After runs.

A *degraded* gateway still answers: with other models, and with the same ones once nothing else is left; so does one
whose models are all *down*, as soon as one is not. So the status of the response is always 200, and a supervisor that
goes by it does not restart a process that is not to blame.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hydrallm.policy.breaker import State

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hydrallm.exchange.chain import Model

COOLING = "cooling"


def report(version: str, listener: str, models: Iterable[Model], at: float) -> dict[str, object]:
    """Return what is known of the models, ready for JSON.

    Args:
        version: of HydraLLM.
        listener: the address it is bound to.
        models: in the order of the config.
        at: the time, in seconds of the clock that the breakers go by.
    """
    told = [_told(model, at) for model in models]
    closed = sum(model["state"] == State.CLOSED for model in told)
    status = "ok" if closed == len(told) else "degraded" if closed else "down"
    return {"status": status, "version": version, "listener": listener, "models": told}


def _told(model: Model, at: float) -> dict[str, object]:
    breaker = model.breaker
    closed = breaker.state is State.CLOSED
    cooling = breaker.cools_until > at
    probed = breaker.until if breaker.state is State.OPEN else at
    return {
        "id": model.id,
        "endpoint": model.endpoint.name,
        "model": model.name,
        "type": model.api.api_type.value,
        "state": COOLING if closed and cooling else breaker.state.value,
        "cause": breaker.cause if cooling or not closed else None,
        "retry_in": round(max(0.0, probed - at, breaker.cools_until - at), 1),
    }
