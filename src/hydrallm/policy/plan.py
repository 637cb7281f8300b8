"""What may be tried in one exchange: the candidates in order, and the bounds on trying them.

PURE. A plan is data. It is made once per chain from the config; :mod:`hydrallm.policy.attempts` walks it.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from hydrallm.policy.kinds import RULES, Kind, Rule


class Clocks(msgspec.Struct, frozen=True):
    """How long one attempt may take, in seconds.

    Attributes:
        connect: until the connection (TLS included) stands.
        total: a non-streaming attempt, up to its commit (``timeout`` in the config).
        first_token: a streaming attempt, up to its first content.
        idle: each silence after the commit.
    """

    connect: float
    total: float
    first_token: float
    idle: float


class Candidate(msgspec.Struct, frozen=True):
    """A model as the policy sees it.

    Attributes:
        attempts: how often it may be tried in one cycle; at least 1.
        interval: seconds between two tries of it.
        clocks: how long one try may take.
    """

    attempts: int
    interval: float
    clocks: Clocks


class Plan(msgspec.Struct, frozen=True):
    """The candidates of a chain in order, and the bounds on trying them.

    Attributes:
        candidates: in the order in which they are tried.
        max_cycles: how often the whole list may be walked.
        deadline: seconds from the start of the exchange to its commit, waits included.
        max_wait: the longest Retry-After, in seconds, that is waited for while another model is left.
        exponential_backoff: whether the interval doubles (with jitter and a cap) from try to try.
        rules: what each kind of failure leads to.
        hold_limit: seconds for which the beginning of a stream is held back before the client is told to wait.
    """

    candidates: tuple[Candidate, ...]
    max_cycles: int = 10
    deadline: float = 600.0
    max_wait: float = 5.0
    exponential_backoff: bool = False
    rules: Mapping[Kind, Rule] = RULES
    hold_limit: float = 30.0
