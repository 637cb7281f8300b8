"""The models of one chain, and those of one API type among them.

A generation is served by all models of its chain, in order, whatever their API types are. What is relayed goes to
models of its own type; this selection is a *lane*. That type is a guess, so where the chain has no lane of it, the
first model's lane serves it. A chain of one type serves every request with it, whatever its path looks like: providers
offer each other's paths, and only they know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from hydrallm.policy.breaker import Breaker
from hydrallm.policy.kinds import RULES, UNSAFE_RULES
from hydrallm.policy.selection import DEFAULT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hydrallm.credentials.refresh import Supply
    from hydrallm.endpoints.base import Api, Endpoint
    from hydrallm.exchange.dialect import Speech
    from hydrallm.formats.base import ApiType
    from hydrallm.formats.canonical import Target
    from hydrallm.http.client import Client
    from hydrallm.message import Headers
    from hydrallm.policy.plan import Candidate, Plan

_LIST_SIZE = 1024
"""Bytes of a header's value that lists what a client has named."""


class Model:
    """One entry of the chain, with all that is needed to ask it.

    Args:
        target: what requests that are composed for it have to know.
        endpoint: where it is.
        api: how it is addressed.
        speech: the wire formats that it understands.
        client: the connections to it.
        candidate: how the policy sees it.
        breaker: what is remembered of it.
        supply: gives the endpoint with the keys of the moment, where they change.
        identity: what the config calls it, if it has an ``id``.

    Attributes:
        name: the upstream's name for it.
        id: what chains and clients call it.
        alias: its endpoint and its name, by which it can be called as well.
    """

    __slots__ = (
        "alias", "api", "breaker", "candidate", "client", "endpoint", "headers", "id", "json", "name", "speech",
        "supply", "target",
    )  # fmt: skip

    def __init__(  # noqa: PLR0913, PLR0917 - made in one place, from what stands there
        self,
        target: Target,
        endpoint: Endpoint,
        api: Api,
        speech: Speech,
        client: Client,
        candidate: Candidate,
        breaker: Breaker,
        supply: Supply | None = None,
        identity: str = "",
    ) -> None:
        self.name = name = target.model
        self.target = target
        self.speech = speech
        self.endpoint = endpoint
        self.api = api
        self.client = client
        self.candidate = candidate
        self.breaker = breaker
        self.supply = supply
        self.alias = f"{endpoint.name}/{name}"
        self.id = identity or self.alias
        self.json = msgspec.json.encode(name)
        self.headers: Headers = [
            (b"x-hydrallm-model", field_value(name)),
            (b"x-hydrallm-endpoint", field_value(endpoint.name)),
        ]
        """What the client is told about who answered."""


class Lane:
    """The models of a chain that can serve one kind of request.

    Args:
        models: at least one, in order.
        template: a plan whose candidates are filled in.
        remembers: whether what one exchange meets is remembered for the others.

    Attributes:
        models: in order.
        plan: the policy's view of a generation.
        unsafe: of a request that goes through the chain but may not be made twice.
        safe_relay: of a relayed request that may be made twice (GET, HEAD).
        unsafe_relay: of any other relayed request.
    """

    __slots__ = ("_remembered", "models", "plan", "safe_relay", "unsafe", "unsafe_relay")

    def __init__(self, models: tuple[Model, ...], template: Plan, *, remembers: bool) -> None:
        self.models = models
        self._remembered = tuple([model.breaker for model in models]) if remembers else None
        self.plan = msgspec.structs.replace(template, candidates=tuple([model.candidate for model in models]))
        self.unsafe = msgspec.structs.replace(self.plan, rules=UNSAFE_RULES)
        first = msgspec.structs.replace(template, candidates=(models[0].candidate,))
        self.safe_relay = msgspec.structs.replace(first, rules=RULES)
        self.unsafe_relay = msgspec.structs.replace(first, rules=UNSAFE_RULES)

    @property
    def breakers(self) -> tuple[Breaker, ...]:
        """The models' breakers; where nothing is to be remembered between exchanges, new ones."""
        return self._remembered or tuple([Breaker() for _ in self.models])


class Chain:
    """The ordered models that serve a request.

    Args:
        models: at least one, in order.
        template: a plan whose candidates are filled in.
        name: what a client calls it.
        strict: whether a model that cannot be told all of a request is passed over.
        remembers: whether what one exchange meets is remembered for the others.

    Attributes:
        name: what a client calls it.
        strict: likewise.
        models: all of them, in order.
        whole: the lane of all of them.
        first: the lane of those of the first one's type.
    """

    def __init__(
        self,
        models: Iterable[Model],
        template: Plan,
        *,
        name: str = DEFAULT,
        strict: bool = False,
        remembers: bool = True,
    ) -> None:
        self.name = name
        self.strict = strict
        self.models = tuple(models)
        self.whole = Lane(self.models, template, remembers=remembers)
        by_type: dict[ApiType, list[Model]] = {}
        for model in self.models:
            by_type.setdefault(model.api.api_type, []).append(model)
        self._lanes = {
            api_type: Lane(tuple(members), template, remembers=remembers) for api_type, members in by_type.items()
        }
        self._only = self.whole if len(by_type) == 1 else None
        self.first = self._only or next(iter(self._lanes.values()))

    def lane(self, api_type: ApiType) -> Lane | None:
        """Return the models for a relayed request of ``api_type``; None if the chain has none."""
        return self._only or self._lanes.get(api_type)


def field_value(text: str) -> bytes:
    """Return ``text`` as a header's value: visible ASCII, the rest percent-encoded as in a URI (RFC 3986)."""
    return b"".join([byte if b"!" <= byte <= b"~" else b"%%%02X" % byte[0] for byte in _bytes(text)])


def listed(names: Iterable[str]) -> bytes:
    """Return ``names`` as a header's value; of many, as many as fit into one of a reasonable size, and a count."""
    told: list[bytes] = []
    size = 0
    rest = [field_value(name) for name in names]
    while rest and (size := size + len(rest[0]) + 2) <= _LIST_SIZE:
        told.append(rest.pop(0))
    return b", ".join([*told, b"and %d more" % len(rest)] if rest else told)


def _bytes(text: str) -> list[bytes]:
    return [bytes([value]) for value in text.encode()]
