"""Bedrock's CountTokens.

PURE. https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_CountTokens.html. The input is a request of
InvokeModel or of Converse, in an envelope. It costs nothing.

Only some models are counted for (https://docs.aws.amazon.com/bedrock/latest/userguide/count-tokens.html): Claude up to
Opus 4.6. They are named by their own ids. The ids of inference profiles, through which newer models have to be asked
for answers, are refused with a 400, "The provided model doesn't support counting tokens"; as a profile counts as its
model does, the model is named in its place. Only AWS knows which model an application's own profile, or provisioned
throughput, stands for; there the question is not asked.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Annotated

import msgspec

from hydrallm.formats.bedrock_converse_codec import BedrockConverseCodec
from hydrallm.formats.bedrock_invoke_codec import BedrockInvokeCodec
from hydrallm.formats.bedrock_path import model_path
from hydrallm.formats.canonical import UnservedError
from hydrallm.formats.strict_json import read_tolerantly
from hydrallm.formats.token_count import Counting

if TYPE_CHECKING:
    from hydrallm.formats.canonical import Request, Target

# The kinds of resources that name a model, and what comes before their id.
_ARN = re.compile(r"\Aarn:[^:]*:bedrock:[^:]*:[^:]*:(?:foundation-model|inference-profile)/", re.ASCII)

# `us.`, `us-gov.`, `apac.`, `global.`: where a profile leads to. No maker's name is of two letters.
_REGION = re.compile(r"\A(?:[a-z]{2}(?:-gov)?|apac|global)\.", re.ASCII)

_COUNTED = ("messages", "system", "toolConfig", "additionalModelRequestFields")
"""The members of Converse that are counted."""


class _Count(msgspec.Struct, frozen=True, gc=False):
    tokens: Annotated[int, msgspec.Meta(ge=0)] = msgspec.field(name="inputTokens")


_COUNT = msgspec.json.Decoder(_Count)
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])


class InvokeCounter:
    """Asks a Claude model on Bedrock about a body of InvokeModel; see :class:`hydrallm.formats.token_count.Counter`."""

    def __init__(self) -> None:
        self._codec = BedrockInvokeCodec()

    def compose(self, request: Request, target: Target) -> Counting:
        """Return the question. The body in it is whole, for it is checked: it must have ``max_tokens``."""
        body = base64.b64encode(self._codec.compose(request, target).body).decode()
        return _counting(target, {"invokeModel": {"body": body}})

    def read(self, body: bytes) -> int:
        """Return the tokens that the answer tells."""
        return _read(body)


class ConverseCounter:
    """Asks a model on Bedrock about a request of Converse; see :class:`hydrallm.formats.token_count.Counter`."""

    def __init__(self) -> None:
        self._codec = BedrockConverseCodec()

    def compose(self, request: Request, target: Target) -> Counting:
        """Return the question."""
        members = _MEMBERS.decode(self._codec.compose(request, target).body)
        return _counting(target, {"converse": {name: members[name] for name in _COUNTED if name in members}})

    def read(self, body: bytes) -> int:
        """Return the tokens that the answer tells."""
        return _read(body)


def counted_model(name: str) -> str:
    """Return the id by which CountTokens knows a model.

    Args:
        name: its id, that of an inference profile for it, or the ARN of either.

    Raises:
        UnservedError: the name is that of something else, and does not say which model is behind it.
    """
    plain = _ARN.sub("", name)
    if plain.startswith("arn:"):
        raise UnservedError(("CountTokens takes the id of a model, and this ARN does not tell it",))
    return _REGION.sub("", plain)


def _counting(target: Target, asked: dict[str, object]) -> Counting:
    path = model_path(counted_model(target.model), "count-tokens")
    return Counting(path, [], msgspec.json.encode({"input": asked}))


def _read(body: bytes) -> int:
    return read_tolerantly(body, _COUNT.decode, "an answer of CountTokens").tokens
