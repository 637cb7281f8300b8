"""What Converse has no member for, and passes on to the model in the words of its maker.

PURE. ``additionalModelRequestFields`` goes into the request that the model's own API sees. Thinking is there, top-k,
and whether tools may be called side by side. Which words a model knows follows from its maker, and that from its id.
An application inference profile hides it behind an ARN; then the facts tell: only Claude has forms of thinking.

Where Converse's own ``toolChoice`` and Claude's ``tool_choice`` are both there, Bedrock refuses the request: so where
Claude's has to be used, because of something that only it can say, it says all.

Sources: https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages.html and
https://docs.aws.amazon.com/nova/latest/userguide/complete-request-schema.html
"""

from __future__ import annotations

import enum
import re
from typing import TYPE_CHECKING, Any

import msgspec

from hydrallm.formats.bedrock_converse_blocks import MEMBERS
from hydrallm.formats.canonical import Choice, Reasoning, ToolChoice
from hydrallm.formats.strict_json import decoded

if TYPE_CHECKING:
    from collections.abc import Callable

    from hydrallm.formats.canonical import Target

FIELDS = "additionalModelRequestFields"


class Maker(enum.Enum):
    """Of a model, as far as its words differ."""

    ANTHROPIC = enum.auto()
    NOVA = enum.auto()
    OPENAI = enum.auto()
    OPEN_WEIGHTS = enum.auto()
    """Models that take OpenAI's ``reasoning_effort``."""
    OTHER = enum.auto()


# The first that is found in the id counts.
_MAKERS = (
    (re.compile(r"anthropic|claude"), Maker.ANTHROPIC),
    (re.compile(r"amazon\.nova"), Maker.NOVA),
    (re.compile(r"gpt-oss|moonshot"), Maker.OPEN_WEIGHTS),
    (re.compile(r"openai\.gpt"), Maker.OPENAI),
)


def maker_of(target: Target) -> Maker:
    """Return whose model the target is."""
    for pattern, maker in _MAKERS:
        if pattern.search(target.model):
            return maker
    return Maker.ANTHROPIC if target.facts.adaptive or target.facts.budget else Maker.OTHER


# ---- what a client says


class FieldsSaid(msgspec.Struct, frozen=True):
    """What a client's fields ask for."""

    reasoning: Reasoning | None = None
    top_k: int | None = None
    tool_choice: ToolChoice | None = None
    parallel: bool | None = None
    betas: tuple[str, ...] = ()


class _Thinking(msgspec.Struct, frozen=True):
    type: str
    budget_tokens: int | None = None
    display: str | None = None


class _Effort(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    effort: str


class _NovaReasoning(msgspec.Struct, frozen=True, rename="camel"):
    type: str
    max_reasoning_effort: str | None = None


class _NovaInference(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    top_k: int


class _ToolChoice(msgspec.Struct, frozen=True):
    type: str
    name: str = ""
    disable_parallel_tool_use: bool | None = None


_CHOICES = {"auto": Choice.AUTO, "any": Choice.REQUIRED, "tool": Choice.TOOL, "none": Choice.NONE}
_CHOICE_WORDS = {choice: word for word, choice in _CHOICES.items()}


def read_fields(raw: msgspec.Raw | None, extra: dict[str, msgspec.Raw]) -> FieldsSaid:
    """Return what a client's ``additionalModelRequestFields`` ask for.

    Args:
        raw: them.
        extra: takes those that are not understood, under ``additionalModelRequestFields.NAME``.

    Raises:
        UntranslatableError: they are no object.
    """
    said: dict[str, Any] = {}
    for name, value in (decoded(MEMBERS, raw, FIELDS) if raw is not None else {}).items():
        decoder, reading = _READINGS.get(name, (None, None))
        try:
            found = reading(decoder.decode(value)) if decoder and reading else None
        except (msgspec.DecodeError, RecursionError):
            found = None
        if found is None:
            extra[f"{FIELDS}.{name}"] = value
        elif reasoning := found.pop("reasoning", None):
            said["reasoning"] = _joined(said.get("reasoning", Reasoning()), reasoning)
        said |= found or {}
    return FieldsSaid(**said)


def _joined(reasoning: Reasoning, more: dict[str, Any]) -> Reasoning:
    return msgspec.structs.replace(reasoning, **more)


def _read_thinking(said: _Thinking) -> dict[str, Any] | None:
    if said.type not in {"enabled", "adaptive", "disabled"}:
        return None
    enabled = said.type != "disabled"
    return {
        "reasoning": {
            "enabled": enabled,
            "budget": said.budget_tokens if enabled else None,
            "adaptive": said.type == "adaptive",
            "display": said.display or "",
        }
    }


def _read_nova_reasoning(said: _NovaReasoning) -> dict[str, Any] | None:
    return {"reasoning": {"enabled": said.type == "enabled", "effort": said.max_reasoning_effort or ""}}


def _read_tool_choice(said: _ToolChoice) -> dict[str, Any] | None:
    if (choice := _CHOICES.get(said.type)) is None:
        return None
    parallel = None if said.disable_parallel_tool_use is None else not said.disable_parallel_tool_use
    return {"tool_choice": ToolChoice(choice, said.name), "parallel": parallel}


_READINGS: dict[str, tuple[msgspec.json.Decoder[Any], Callable[[Any], dict[str, Any] | None]]] = {
    "thinking": (msgspec.json.Decoder(_Thinking), _read_thinking),
    "output_config": (msgspec.json.Decoder(_Effort), lambda said: {"reasoning": {"effort": said.effort}}),
    "reasoning": (msgspec.json.Decoder(_Effort), lambda said: {"reasoning": {"effort": said.effort}}),
    "reasoning_effort": (msgspec.json.Decoder(str), lambda effort: {"reasoning": {"effort": effort}}),
    "reasoningConfig": (msgspec.json.Decoder(_NovaReasoning), _read_nova_reasoning),
    "top_k": (msgspec.json.Decoder(int), lambda top_k: {"top_k": top_k}),
    "inferenceConfig": (msgspec.json.Decoder(_NovaInference), lambda said: {"top_k": said.top_k}),
    "tool_choice": (msgspec.json.Decoder(_ToolChoice), _read_tool_choice),
    "anthropic_beta": (msgspec.json.Decoder(list[str]), lambda betas: {"betas": tuple(betas)}),
}


# ---- what is said to a model


def claude_choice(choice: ToolChoice | None, name: str, *, parallel: bool | None) -> dict[str, Any]:
    """Return Claude's ``tool_choice``.

    Args:
        choice: what the client asks.
        name: of the tool that must be called, as the model knows it.
        parallel: False if only one tool may be called at once.
    """
    word = _CHOICE_WORDS[choice.choice if choice else Choice.AUTO]
    said: dict[str, Any] = {"type": word}
    if word == "tool":
        said["name"] = name
    if parallel is False and word != "none":
        said["disable_parallel_tool_use"] = True
    return said


def top_k_field(maker: Maker, top_k: int) -> dict[str, Any] | None:
    """Return the field for top-k; None where no such is known."""
    match maker:
        case Maker.ANTHROPIC:
            return {"top_k": top_k}
        case Maker.NOVA:
            return {"inferenceConfig": {"topK": top_k}}
        case _:
            return None
