"""Whole answers of OpenAI's Responses.

PURE. https://platform.openai.com/docs/api-reference/responses/object. An answer is a list of items: a thought, a
message, a call. A message has one or more texts, which are parts of the canonical form; written are as many items as
there are parts, for the texts of an answer may have calls between them.

Nothing in an answer says in one word why it ended. It is ``incomplete``, and has a reason; or it is complete, and what
it consists of tells whether tools are called or the model said no.

A thought of another maker is sealed with a mark (:mod:`hydrallm.formats.foreign_thought`), by which it is known when it
comes back. OpenAI would look for an item without any seal in its own store.

An item of another type is of a hosted tool, which no translated request asks for; it is passed over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_never

import msgspec

from hydrallm.formats.calls import check_calls
from hydrallm.formats.canonical import Text, Thinking, ToolUse, UntranslatableError
from hydrallm.formats.canonical_answer import CUT, Answer, Stop, Usage
from hydrallm.formats.custom_tools import restored
from hydrallm.formats.figures import figure, figures_of, word
from hydrallm.formats.foreign_thought import seal
from hydrallm.formats.json_value import read_json
from hydrallm.formats.namespaces import joined, split
from hydrallm.formats.openai_responses_input import ID_CHARACTERS, LONGEST_ID
from hydrallm.formats.openai_responses_items import MAKER, ReasoningItem, citations, decode, type_of
from hydrallm.formats.strict_json import read_tolerantly

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hydrallm.formats.codec import Asked

_INCOMPLETE = {"max_output_tokens": Stop.LENGTH, "content_filter": Stop.REFUSAL}
"""Why an answer is incomplete. Other reasons end it where a message ends."""

_REASONS = {Stop.LENGTH: "max_output_tokens", Stop.CONTEXT: "max_output_tokens", Stop.REFUSAL: "content_filter"}

_ANNOTATIONS = frozenset({"file_citation", "url_citation", "container_file_citation", "file_path"})
"""Types of citations that are of this format."""

TIERS = frozenset({"auto", "default", "flex", "scale", "priority", "fast", "ultrafast"})


# ---- reading


class ResponseMember(msgspec.Struct, frozen=True):
    """A response, whole or as the events of a stream carry it. What is of no weight may be of any type."""

    id: object = None
    model: object = None
    status: object = None
    output: msgspec.Raw = msgspec.Raw()
    incomplete_details: object = None
    usage: msgspec.Raw = msgspec.Raw()
    service_tier: object = None

    def items(self) -> list[msgspec.Raw] | None:
        """Return its output; None where there is none.

        Raises:
            UntranslatableError: it is no list.
        """
        return None if bytes(self.output) in {b"", b"null"} else decode(_ITEM_LIST, self.output, "output")

    def figures(self) -> Usage | None:
        """Return its tokens, the input without what a cache gave or took; None where nothing is told."""
        told = figures_of(self.usage)
        if not told:
            return None
        whole, details = figure(told, "input_tokens"), told.get("input_tokens_details")
        read, written = figure(details, "cached_tokens"), figure(details, "cache_write_tokens")
        return Usage(
            input=None if whole is None else max(0, whole - (read or 0) - (written or 0)),
            cache_read=read,
            cache_write=written,
            output=figure(told, "output_tokens"),
            reasoning=figure(told, "output_tokens_details", "reasoning_tokens"),
        )

    def stop(self, *, calls: bool, refuses: bool) -> Stop:
        """Return why it ended.

        Args:
            calls: whether it calls tools.
            refuses: whether the model says no in it.
        """
        reason = word(self.incomplete_details.get("reason")) if isinstance(self.incomplete_details, dict) else ""
        if reason or self.status == "incomplete":
            return _INCOMPLETE.get(reason, Stop.END)
        return Stop.TOOL_USE if calls else Stop.REFUSAL if refuses else Stop.END


class _Content(msgspec.Struct, frozen=True):
    type: str
    text: str | None = None
    refusal: str | None = None
    annotations: list[msgspec.Raw] | None = None


class MessageItem(msgspec.Struct, frozen=True):
    """A ``message``."""

    id: str | None = None
    content: list[_Content] | None = None

    def texts(self) -> Iterator[tuple[int, Text]]:
        """Yield its texts, each with its place; empty ones say nothing and are left out."""
        for index, part in enumerate(self.content or ()):
            if part.type == "output_text" and (part.text or part.annotations):
                yield index, Text(part.text or "", citations=citations(part.annotations))
            elif part.type == "refusal" and part.refusal:
                yield index, Text(part.refusal, refusal=True)


class CallItem(msgspec.Struct, frozen=True):
    """A ``function_call`` or ``custom_tool_call``."""

    call_id: str | None = None
    name: str | None = None
    namespace: str | None = None
    id: str | None = None
    arguments: str | None = None
    input: str | None = None

    def call(self, *, custom: bool) -> ToolUse:
        """Return it as the canonical form has it. Some servers give but one of the two ids."""
        said = self.input or "" if custom else self.arguments or "{}"
        return ToolUse(self.call_id or self.id or "", joined(self.namespace or "", self.name or ""), said, custom)


_RESPONSE = msgspec.json.Decoder(ResponseMember)
_ITEM_LIST = msgspec.json.Decoder(list[msgspec.Raw])
ITEMS: dict[str, msgspec.json.Decoder[Any]] = {
    "message": msgspec.json.Decoder(MessageItem),
    "reasoning": msgspec.json.Decoder(ReasoningItem),
    "function_call": msgspec.json.Decoder(CallItem),
    "custom_tool_call": msgspec.json.Decoder(CallItem),
}


def read_answer(body: bytes) -> Answer:
    """Return what a whole answer says.

    Raises:
        UntranslatableError: it is not an answer of Responses, or a failed one.
    """
    response = read_tolerantly(body, _RESPONSE.decode, "a response")
    if (output := response.items()) is None:
        raise UntranslatableError("this is not a response: it has no `output`")
    if (status := word(response.status)) in {"failed", "cancelled"}:
        raise UntranslatableError(f"this response has the status {status!r}")
    parts = tuple(part for index, raw in enumerate(output) for part in _parts(raw, f"output[{index}]"))
    return Answer(
        id=word(response.id),
        model=word(response.model),
        parts=parts,
        stop=response.stop(calls=any(isinstance(part, ToolUse) for part in parts), refuses=_refuses(parts)),
        usage=response.figures() or Usage(),
        tier=word(response.service_tier),
    )


def _refuses(parts: Iterable[Text | Thinking | ToolUse]) -> bool:
    return any(isinstance(part, Text) and part.refusal for part in parts)


def _parts(raw: msgspec.Raw, where: str) -> Iterator[Text | Thinking | ToolUse]:
    kind = type_of(raw, where)
    if kind not in ITEMS:
        return
    item = decode(ITEMS[kind], raw, where)
    match item:
        case MessageItem():
            yield from (text for _, text in item.texts())
        case ReasoningItem():
            thought = item.thought()
            if thought.text or thought.signature:
                yield thought
        case CallItem():
            yield item.call(custom=kind == "custom_tool_call")
        case _:
            assert_never(item)


# ---- writing


def write_answer(answer: Answer, asked: Asked) -> bytes:
    """Return ``answer`` as a body of Responses."""
    check_calls(answer, asked.custom)
    answer = restored(answer, asked.custom)
    cut = answer.stop in CUT
    last = len(answer.parts) - 1
    taken: set[str] = set()
    output = []
    for index, part in enumerate(answer.parts):
        known = identified(part, asked, index, taken)
        status = "incomplete" if cut and index == last else "completed"
        output.append(item_of(known, item_id(known, asked, index), status))
    response = response_of(asked, answer.model, output, answer.stop, answer.usage)
    return msgspec.json.encode(response | {"service_tier": answer.tier if answer.tier in TIERS else None})


def identified(part: Text | Thinking | ToolUse, asked: Asked, index: int, taken: set[str]) -> Text | Thinking | ToolUse:
    """Return ``part`` as the client knows it: the tool by its own name for it, and a call by an id of its own.

    Some servers give their calls no id, or all the same one; the client could not tell the results apart.

    Args:
        part: of the answer.
        asked: what is known of the request.
        index: of the part in the answer.
        taken: the ids that are taken; this one's is added.
    """
    known: Thinking | ToolUse
    match part:
        case Text():
            return part
        case Thinking():
            identity = part.id if part.maker == MAKER and part.id not in taken else ""
            known = msgspec.structs.replace(part, id=identity or f"rs_{asked.id}_{index}")
        case ToolUse():
            identity = asked.call_id(part.id, ID_CHARACTERS, LONGEST_ID)
            if not identity or identity in taken:
                identity = f"call_{asked.id}_{index}"
            name = asked.names.get(part.name, part.name)
            known = msgspec.structs.replace(part, id=identity, name=name)
        case _:
            assert_never(part)
    taken.add(known.id)
    return known


def item_id(part: Text | Thinking | ToolUse, asked: Asked, index: int) -> str:
    """Return the id of the item that says an identified ``part``, at ``index`` of the output."""
    match part:
        case Text():
            return f"msg_{asked.id}_{index}"
        case Thinking():
            return part.id
        case ToolUse():
            return f"{'ctc' if part.custom else 'fc'}_{asked.id}_{index}"
        case _:
            assert_never(part)


def item_of(part: Text | Thinking | ToolUse, identity: str, status: str) -> dict[str, Any]:
    """Return the item that says an identified ``part``, with an ``identity`` of its own."""
    said: dict[str, Any]
    match part:
        case Text():
            said = {"type": "message", "role": "assistant", "content": [content_of(part)]}
        case Thinking():
            summary = [{"type": "summary_text", "text": part.text}] if part.text else []
            sealed = part.signature if part.maker == MAKER else seal(msgspec.structs.replace(part, id=""))
            said = {"type": "reasoning", "summary": summary, "encrypted_content": sealed or None}
        case ToolUse(custom=True):
            called = {"call_id": part.id, **_tool_name(part), "input": part.arguments}
            return {"type": "custom_tool_call", "id": identity, **called}  # it has no status
        case ToolUse():
            called = {"call_id": part.id, **_tool_name(part), "arguments": part.arguments or "{}"}
            said = {"type": "function_call", **called}
        case _:
            assert_never(part)
    return {"id": identity, **said, "status": status}


def _tool_name(call: ToolUse) -> dict[str, str]:
    namespace, name = split(call.name)
    return {"name": name, "namespace": namespace} if namespace else {"name": name}


def content_of(text: Text) -> dict[str, Any]:
    """Return the content part that says ``text``."""
    if text.refusal:
        return {"type": "refusal", "refusal": text.text}
    return {"type": "output_text", "text": text.text, "annotations": annotations_of(text.citations), "logprobs": []}


def annotations_of(found: msgspec.Raw | None) -> list[Any]:
    """Return those citations that this format has; ``found`` is a list of citations of any format."""
    if found is None:
        return []
    try:
        listed = read_json(bytes(found))
    except (ValueError, RecursionError):
        return []
    kinds = ((citation, word(citation.get("type"))) for citation in _dicts(listed))
    return [citation for citation, kind in kinds if kind in _ANNOTATIONS]


def _dicts(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def response_of(
    asked: Asked, model: str, output: list[dict[str, Any]], stop: Stop | None, usage: Usage
) -> dict[str, Any]:
    """Return a response object.

    The SDKs demand the members that repeat the request; what was asked is not known here, so they are the defaults.

    Args:
        asked: what is known of the request.
        model: as the upstream names it.
        output: the items.
        stop: why it ended; None while it goes on.
        usage: tokens.
    """
    reason = None if stop is None else _REASONS.get(stop)
    if stop is Stop.REFUSAL and any(part["type"] == "refusal" for item in output for part in item.get("content", ())):
        reason = None  # the model's own refusal is a complete answer
    completed = stop is not None and reason is None
    return {
        "id": f"resp_{asked.id}",
        "object": "response",
        "created_at": asked.created,
        "completed_at": asked.created if completed else None,
        "status": "completed" if completed else "in_progress" if stop is None else "incomplete",
        "background": False,
        "error": None,
        "incomplete_details": None if reason is None else {"reason": reason},
        "instructions": None,
        "max_output_tokens": None,
        "metadata": {},
        "model": asked.model or model,
        "output": output,
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "service_tier": None,
        "store": False,
        "temperature": None,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": None,
        "truncation": "disabled",
        "usage": None if stop is None else _usage(usage),
    }


def _usage(usage: Usage) -> dict[str, Any] | None:
    if usage.input is None and usage.output is None:
        return None
    read, written, output = usage.cache_read or 0, usage.cache_write or 0, usage.output or 0
    whole = (usage.input or 0) + read + written
    return {
        "input_tokens": whole,
        "input_tokens_details": {"cached_tokens": read, "cache_write_tokens": written},
        "output_tokens": output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning or 0},
        "total_tokens": whole + output,
    }
