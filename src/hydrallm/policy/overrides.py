"""What the config changes in the table of failures: ``[retry.on]``, where a kind of failure leads to.

PURE. An override says where the exchange goes. What does not depend on that stays as the kind has it: how it is logged,
how useful it is to the client, whether it counts for the breaker, and whether time heals it, so that the model is asked
again in a later cycle. What does depend on it:

* ``same``: the model may use all its attempts, whatever ``retries`` says (a ``transient`` failure has one), and at
  once: they are not put off until no other model is left. Nor does one such failure open the breaker, which would keep
  them from being used; it merely counts.
* ``next``: the next model at once. Where the table says so already, nothing changes.
* ``return``: the upstream's error is the client's answer. Where the upstream sent none, the exchange is given up.

A failure that the table *returns* lies in the request, so the same model will say the same in a later cycle: whatever
is put in the place of ``return``, the model is not walked to again.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import msgspec

from hydrallm.policy.kinds import Kind, Next

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hydrallm.policy.kinds import Rule

FIXED = frozenset({Kind.STALLED, Kind.REPHRASED, Kind.UNSERVED})
"""Kinds that cannot be overridden: after the commit nothing is asked again, what is asked in other words is not the
same, and who cannot be asked cannot be asked again."""


def overridden(rules: Mapping[Kind, Rule], on: Mapping[Kind, Next]) -> Mapping[Kind, Rule]:
    """Return ``rules`` with the overrides ``on`` applied.

    Args:
        rules: what each kind of failure leads to.
        on: where the exchange goes after some kinds of failure, instead of where the rules say.
    """
    return MappingProxyType({kind: _overridden(rule, on[kind]) if kind in on else rule for kind, rule in rules.items()})


def _overridden(rule: Rule, goes: Next) -> Rule:
    replace = msgspec.structs.replace
    returns = rule.returns and rule.next is not Next.RETURN
    if goes is Next.SAME:
        return replace(rule, next=goes, retries=None, put_off=False, opens=0.0, returns=returns)
    if goes is rule.next:
        return rule
    return replace(rule, next=goes, retries=None, put_off=False, returns=returns)
