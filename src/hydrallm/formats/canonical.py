"""The hub between wire formats: what a request asks, whatever API it is said in.

PURE. Theory of operation
=========================

A request whose client and model speak the same format never comes here: its bytes pass through, spliced by
:mod:`hydrallm.formats.splice`. Otherwise it goes *client format -> canonical -> model's format*, and the answer goes
back the same way; so a format is one file that knows this one, and no file knows two formats.

The canonical form holds what at least two formats can say. What only one can say is kept in three ways:

* ``extra``: the members of the client's request that nobody here knows, by name. A format that does not know them
  either drops them and says so.
* ``bound``: what ties a request to its own format, so that no other can serve it (``n`` over 1, the id of a stored
  response): a model that speaks another format is skipped, and these are the reasons. A tool that a provider runs binds
  only if it has to be called; else it is among ``extra``, under its type.
* parts keep what identifies them (signatures, ids, cache marks); a format that cannot say them drops them from its
  copy.

JSON that nobody here needs to understand (schemas, arguments, citations) stays as bytes, so that it is never altered.

Answers are in :mod:`hydrallm.formats.canonical_answer`.

Every format is fair game for hostile input: decoders raise :class:`UntranslatableError`, and nothing else.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

import msgspec

from hydrallm.formats.facts import Facts

if TYPE_CHECKING:
    from collections.abc import Iterable


class Cache(msgspec.Struct, frozen=True, gc=False):
    """A mark after a part: what comes up to here may be cached.

    Attributes:
        ttl: ``5m`` or ``1h``; empty for the API's default.
    """

    ttl: str = ""


class Text(msgspec.Struct, frozen=True):
    """Words.

    Attributes:
        text: them.
        refusal: whether the model says no with them (OpenAI's ``refusal``).
        citations: the sources, as the JSON array of the format that said them.
        cache: the mark after it, if any.
    """

    text: str
    refusal: bool = False
    citations: msgspec.Raw | None = None
    cache: Cache | None = None


class Source(msgspec.Struct, frozen=True):
    """Where the bytes of an image or a document are; exactly one of the first three is set.

    Attributes:
        data: in base64.
        url: of the web; never a ``data:`` URL, which is ``data``.
        file: an id at the provider; it means nothing to another one.
        media_type: such as ``image/png``; empty where it is not known.
    """

    data: str = ""
    url: str = ""
    file: str = ""
    media_type: str = ""


class Image(msgspec.Struct, frozen=True):
    """A picture.

    Attributes:
        source: where it is.
        detail: OpenAI's ``low``, ``high`` or ``auto``; empty if not said.
        cache: the mark after it, if any.
    """

    source: Source
    detail: str = ""
    cache: Cache | None = None


class Document(msgspec.Struct, frozen=True):
    """A file to read, such as a PDF.

    Attributes:
        source: where it is; None where ``text`` is the document.
        text: of a plain text document.
        name: of the file, or its title; empty if it has none.
        context: what the client says about it.
        citations: whether the model is to cite it.
        cache: the mark after it, if any.
    """

    source: Source | None = None
    text: str = ""
    name: str = ""
    context: str = ""
    citations: bool = False
    cache: Cache | None = None


class Thinking(msgspec.Struct, frozen=True):
    """What a model thought before it spoke.

    Attributes:
        text: of the thought, or of its summary; may be empty beside a signature.
        signature: by which its maker knows it again (Anthropic's and Bedrock's), or OpenAI's encrypted content.
        redacted: the encrypted thought, in place of a text.
        maker: who can read ``signature`` and ``redacted``: ``anthropic``, ``openai``, or empty for nobody.
        id: of OpenAI's reasoning item.
    """

    text: str = ""
    signature: str = ""
    redacted: str = ""
    maker: str = ""
    id: str = ""


class ToolUse(msgspec.Struct, frozen=True):
    """A call of a tool by the model.

    Attributes:
        id: by which its result refers to it.
        name: of the tool.
        arguments: the text of a JSON object; ``{}`` for none. In an answer that was cut short it may be cut as well.
        custom: whether the tool takes free text, and ``arguments`` is that (OpenAI's custom tools).
        cache: the mark after it, if any.
    """

    id: str
    name: str
    arguments: str
    custom: bool = False
    cache: Cache | None = None


class ToolResult(msgspec.Struct, frozen=True):
    """What a tool said.

    Attributes:
        id: of the call.
        content: texts, images and documents, in order.
        is_error: whether the tool failed; None if the client did not say.
        cache: the mark after it, if any.
    """

    id: str
    content: tuple[Text | Image | Document, ...]
    is_error: bool | None = None
    cache: Cache | None = None


Part = Text | Image | Document | Thinking | ToolUse | ToolResult


class Role(enum.StrEnum):
    """Who speaks. Results of tools are the user's."""

    SYSTEM = "system"
    """Instructions in the middle of a conversation; those at its beginning are ``Request.system``."""
    USER = "user"
    ASSISTANT = "assistant"


class Message(msgspec.Struct, frozen=True):
    """A turn. Two of the same role may follow each other; formats that do not allow it join them."""

    role: Role
    parts: tuple[Part, ...]
    name: str = ""


# -- requests ----------------------------------------------------------------------------------------------------------


class Tool(msgspec.Struct, frozen=True):
    """A function that the model may call, or a tool that its maker has defined and the client runs.

    Attributes:
        name: of 1 to 64 characters, though formats differ in which.
        description: for the model; None if there is none.
        schema: the JSON Schema of its arguments, whole; None if it takes free text (``custom``).
        strict: whether arguments must follow the schema; None if not said.
        custom: OpenAI's free-text tools; ``schema`` is then their ``format``, if any.
        native: one that Anthropic has defined (``bash_20250124``): the whole object, but for the mark.
        cache: the mark after it, if any.
    """

    name: str
    description: str | None = None
    schema: msgspec.Raw | None = None
    strict: bool | None = None
    custom: bool = False
    native: msgspec.Raw | None = None
    cache: Cache | None = None


class Choice(enum.StrEnum):
    """Whether the model calls tools."""

    AUTO = "auto"
    NONE = "none"
    REQUIRED = "required"
    TOOL = "tool"
    """The one that is named."""


class ToolChoice(msgspec.Struct, frozen=True):
    """Which tools the model may, or must, call.

    Attributes:
        choice: whether.
        name: of the one it must.
        allowed: the only ones that it may; empty for all.
    """

    choice: Choice
    name: str = ""
    allowed: tuple[str, ...] = ()

    @property
    def forces(self) -> bool:
        """Whether a call must come."""
        return self.choice in {Choice.REQUIRED, Choice.TOOL}


class Reasoning(msgspec.Struct, frozen=True):
    """How much the model thinks; what is not said is None or empty.

    Attributes:
        enabled: False where the client turns it off.
        budget: tokens.
        adaptive: the model decides.
        effort: ``none``, ``minimal``, ``low``, ``medium``, ``high``, ``xhigh`` or ``max``.
        summary: whether a summary is wanted: OpenAI's ``auto``, ``concise``, ``detailed``.
        display: Anthropic's ``summarized`` or ``omitted``.
    """

    enabled: bool | None = None
    budget: int | None = None
    adaptive: bool = False
    effort: str = ""
    summary: str = ""
    display: str = ""


class JsonOutput(msgspec.Struct, frozen=True):
    """The answer is to be JSON.

    Attributes:
        schema: it must follow this; None for any object (OpenAI's ``json_object``).
        name: of the schema.
        description: for the model.
        strict: None if not said.
    """

    schema: msgspec.Raw | None = None
    name: str = ""
    description: str | None = None
    strict: bool | None = None


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What a client asks of a model. None and empty stand for: not said, so the model's default.

    Attributes:
        format: the wire format that it came in.
        model: as the client named it.
        stream: whether the answer is to be a stream.
        system: instructions.
        messages: the conversation.
        tools: in order.
        tool_choice: which of them.
        parallel: whether several may be called at once.
        max_tokens: of the answer, thinking included.
        temperature: on the scale of the client's format.
        temperature_max: the upper end of that scale: 2 (OpenAI) or 1.
        top_p, top_k: sampling.
        stop: texts that end the answer.
        seed, frequency_penalty, presence_penalty: sampling that only some know.
        reasoning: how much it thinks.
        output: whether the answer is JSON.
        verbosity: OpenAI's ``low``, ``medium``, ``high``.
        user: who asks, for the provider's abuse checks.
        metadata: of the client.
        tier: the service tier, in the client's words.
        cache: a mark after the whole prompt (Anthropic's top-level ``cache_control``).
        cache_key: OpenAI's ``prompt_cache_key``.
        usage_in_stream: whether the client asked to be told the usage at the end of its stream (Chat).
        betas: of Anthropic's, that the body or a header asked for.
        bound: why no other format can serve this; empty if any may.
        extra: members that nobody here knows, by name.
        names: what the client's format calls what is dropped, where it differs from what it is called here: a field of
            this or of a part, ``effort``, ``budget``, ``summary`` and ``display`` for those of ``reasoning``, and
            ``thinking`` for a thought in the history.
    """

    format: str
    model: str = ""
    stream: bool = False
    system: tuple[Text, ...] = ()
    messages: tuple[Message, ...] = ()
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel: bool | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    temperature_max: float = 1.0
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    reasoning: Reasoning | None = None
    output: JsonOutput | None = None
    verbosity: str = ""
    user: str = ""
    metadata: dict[str, str] = {}
    tier: str = ""
    cache: Cache | None = None
    cache_key: str = ""
    usage_in_stream: bool = False
    betas: tuple[str, ...] = ()
    bound: tuple[str, ...] = ()
    extra: dict[str, msgspec.Raw] = {}
    names: dict[str, str] = {}

    def named(self, fields: Iterable[str]) -> tuple[str, ...]:
        """Return ``fields``, and members of ``extra``, by the client's names for them, each once."""
        return tuple(dict.fromkeys(name if name in self.extra else self.names.get(name, name) for name in fields))


class Target(msgspec.Struct, frozen=True):
    """The model that a request is composed for.

    Attributes:
        model: the upstream's name for it.
        facts: what is known of it.
        version: of the API, where it decides which members are legal (Anthropic's ``anthropic-version``).
        betas: of Anthropic's, that the endpoint's settings ask for, where they are said in the body (Bedrock).
    """

    model: str
    facts: Facts
    version: str = ""
    betas: tuple[str, ...] = ()


class Composed(msgspec.Struct, frozen=True):
    """A request in a model's format.

    Attributes:
        body: as it is sent.
        dropped: what the format could not say, by the names that the client's format has for it.
        names: the tool names that had to be changed, from the changed one to the client's.
        ids: the same for the ids of tool calls.
        custom: the functions that stand for tools which take free text, by the names that are sent.
    """

    body: bytes
    dropped: tuple[str, ...] = ()
    names: dict[str, str] = {}
    ids: dict[str, str] = {}
    custom: tuple[str, ...] = ()


class UntranslatableError(ValueError):
    """A body is not what its format says it is; the message says where and what, for the one who sent it."""


class UnservedError(Exception):
    """A model's format, or the model, cannot serve this request.

    Attributes:
        reasons: why, each in a few words.
    """

    def __init__(self, reasons: tuple[str, ...]) -> None:
        self.reasons = reasons
        super().__init__("; ".join(reasons))
