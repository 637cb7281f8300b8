"""How long to wait between two tries of a model.

PURE. A fixed interval, or exponential backoff with *full jitter*: a random time between nothing and the doubled
interval. Full jitter spreads clients that failed together better than jitter around the doubled interval does, with
fewer calls (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
"""

from __future__ import annotations

CAP = 30.0
"""The longest backoff, in seconds."""


def backoff(interval: float, tries: int, *, exponential: bool, chance: float) -> float:
    """Return the seconds to wait before a model is tried again.

    Args:
        interval: the configured interval in seconds.
        tries: how often the model was tried in this exchange; at least 1.
        exponential: whether the interval doubles from try to try.
        chance: a random number from [0, 1).
    """
    if not exponential:
        return interval
    # 2**64 intervals are beyond any cap; the bound keeps the power small.
    return chance * min(max(CAP, interval), interval * 2.0 ** min(tries, 64))
