"""The chains of a listener: the default one, those of the config, and one for each model alone.

They share their models, so that what one exchange finds out about a model counts for all chains that it is in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hydrallm.errors import RequestError
from hydrallm.exchange.chain import Chain
from hydrallm.policy.selection import DEFAULT, ONLY, Selection

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hydrallm.config.settings import ChainSettings
    from hydrallm.exchange.chain import Model
    from hydrallm.policy.plan import Plan

_SHOWN = 100
"""Characters of a client's word that an error repeats."""


class Chains:
    """What the requests of a listener can be served by.

    Args:
        models: those of the config, at least one, in order.
        listed: the chains of the config, in order.
        template: a plan whose candidates are filled in.
        remembers: whether what one exchange meets is remembered for the others.

    Attributes:
        models: all of them, once each.
        default: serves what names no other.
        named: by name, the default one first and then as in the config.
        pinned: by the id of the one model in it.
        configured: whether there is more to choose from than the default chain and its models.
        mixed: whether there are models of several API types.
    """

    def __init__(
        self, models: Sequence[Model], listed: Iterable[ChainSettings], template: Plan, *, remembers: bool = True
    ) -> None:
        def chain(name: str, members: Iterable[Model], *, strict: bool = False) -> Chain:
            return Chain(members, template, name=name, strict=strict, remembers=remembers)

        self.models = tuple(models)
        listed = tuple(listed)
        self.named = {DEFAULT: chain(DEFAULT, self.models)}
        for one in listed:
            self.named[one.name] = chain(one.name, [self.models[place] for place in one.models], strict=one.strict)
        self.default = self.named[DEFAULT]
        self.pinned: dict[str, Chain] = {}
        for model in self.models:  # of models that are alike, the first
            self.pinned.setdefault(model.id, chain(ONLY + model.id, [model]))
        self._aliases = {model.alias: self.pinned[model.id] for model in reversed(self.models)} | self.pinned
        self.mixed = len({model.api.api_type for model in self.models}) > 1
        self.configured = any(one.name != DEFAULT or one.match for one in listed)
        patterns = [(pattern, self.named[one.name]) for one in listed for pattern in one.match]
        self._selection = Selection(self.default, self.named, patterns, self._aliases)

    def select(self, name: str) -> Chain:
        """Return the chain that a client means when it calls its model ``name``.

        Raises:
            RequestError: 404; it pins a model that does not exist.
        """
        chain = self._selection.select(name)
        if chain is None:
            raise self._unknown(name)
        return chain

    def find(self, name: str) -> Chain:
        """Return the chain that is called ``name``, and not one that would serve it all the same.

        Raises:
            RequestError: 404; none is.
        """
        chain = self._aliases.get(name[len(ONLY) :]) if name.startswith(ONLY) else self.named.get(name)
        if chain is None:
            raise self._unknown(name)
        return chain

    def _unknown(self, name: str) -> RequestError:
        offered = ", ".join(chain.name for chain in (*self.named.values(), *self.pinned.values()))
        return RequestError(404, f'no model is called "{name[:_SHOWN]}" here; there are {offered}')
