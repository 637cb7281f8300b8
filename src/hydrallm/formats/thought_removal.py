"""Thoughts taken out of a request, and every other byte of it left alone.

PURE. A request whose client and model speak the same format is not composed anew: it may say much that nobody here
knows. But if there are thoughts in it that the model's maker would refuse, they have to go. So the JSON is taken apart
only as far as that needs, and what is not a thought goes on as the bytes that it was.

Where Anthropic's models think in the middle of calling tools, they want the thought that led to the last call back, or
not to think at all (https://platform.claude.com/docs/en/build-with-claude/extended-thinking#preserving-thinking-blocks).
So where that thought is gone, or was never there, thinking with a budget is switched off.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from hydrallm.formats.foreign_thought import PREFIX, SEAL

if TYPE_CHECKING:
    from collections.abc import Callable

_Object = dict[str, msgspec.Raw]


class _Text(msgspec.Struct):
    signature: str | None = None


class _Reasoning(msgspec.Struct, rename="camel"):
    reasoning_text: _Text | None = None
    redacted_content: str | None = None


class _Block(msgspec.Struct):
    """A block of a message, or an item of Responses, as far as it may be a thought."""

    type: str = ""
    signature: str | None = None
    data: str | None = None
    encrypted_content: str | None = None
    reasoning: _Reasoning | None = msgspec.field(name="reasoningContent", default=None)
    tool_use: msgspec.Raw = msgspec.field(name="toolUse", default=msgspec.Raw())

    @property
    def thinks(self) -> bool:
        """Whether it is a thought."""
        return self.type in {"thinking", "redacted_thinking", "reasoning"} or self.reasoning is not None

    @property
    def foreign(self) -> bool:
        """Whether it is a thought under a seal of ours, which stands for another maker's."""
        reasoning = self.reasoning or _Reasoning()
        seals = [self.signature, self.data, self.encrypted_content, (reasoning.reasoning_text or _Text()).signature]
        redacted = (reasoning.redacted_content or "").startswith(SEAL.decode())
        return self.thinks and (redacted or any((seal or "").startswith(PREFIX) for seal in seals))

    @property
    def calls(self) -> bool:
        """Whether it is a call of a tool."""
        return self.type == "tool_use" or bool(bytes(self.tool_use))


class _Thinking(msgspec.Struct):
    type: str = ""


_TOP = msgspec.json.Decoder(_Object)
_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_BLOCK = msgspec.json.Decoder(_Block)
_THINKING = msgspec.json.Decoder(_Thinking)
_FIELDS = "additionalModelRequestFields"
_DISABLED = msgspec.Raw(b'{"type":"disabled"}')


def without_thoughts(body: bytes, *, foreign: bool) -> bytes | None:
    """Return the body of a request without the thoughts in it; None if it is as it should be, or cannot be read.

    Args:
        body: of Messages, InvokeModel, Converse or Responses.
        foreign: whether only those are taken out that carry another maker's seal.
    """

    def goes(block: _Block) -> bool:
        return block.foreign if foreign else block.thinks

    try:
        top = _TOP.decode(body)
        changed = _clear_input(top, goes) if "input" in top else _clear_messages(top, goes)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return msgspec.json.encode(top) if changed else None


def _clear_input(top: _Object, goes: Callable[[_Block], bool]) -> bool:
    """Take reasoning items out of the input of Responses; return whether there were any."""
    if not bytes(top["input"]).lstrip().startswith(b"["):
        return False  # a text
    items = _LIST.decode(top["input"])
    kept = [item for item in items if not goes(_block(item))]
    top["input"] = msgspec.Raw(msgspec.json.encode(kept))
    return len(kept) < len(items)


def _clear_messages(top: _Object, goes: Callable[[_Block], bool]) -> bool:
    """Take thoughts out of messages; return whether anything was changed."""
    kept: list[_Object] = []
    changed = thoughtless = False
    for raw in _LIST.decode(top.get("messages", b"[]")):
        message = _TOP.decode(raw)
        if bytes(message.get("role", b"")) == b'"assistant"':
            if (blocks := _content(message)) is not None:
                rest = [block for block in blocks if not goes(_block(block))]
                if len(rest) < len(blocks):
                    changed = True
                    message["content"] = msgspec.Raw(msgspec.json.encode(rest))
                    if not rest:
                        continue
                spoken = [_block(block) for block in rest]
                thoughtless = not spoken[0].thinks and any(block.calls for block in spoken) if spoken else False
            else:
                thoughtless = False
        kept.append(message)
    top["messages"] = msgspec.Raw(msgspec.json.encode(kept))
    return (_stop_thinking(top) if thoughtless else False) or changed


def _content(message: _Object) -> list[msgspec.Raw] | None:
    content = message.get("content")
    if content is None or not bytes(content).lstrip().startswith(b"["):
        return None  # a text
    return _LIST.decode(content)


def _stop_thinking(top: _Object) -> bool:
    """Switch thinking with a budget off; return whether it was on."""
    if _FIELDS in top:
        fields = _TOP.decode(top[_FIELDS])
        stopped = _stop_thinking(fields)
        top[_FIELDS] = msgspec.Raw(msgspec.json.encode(fields))
        return stopped
    if "thinking" not in top or _THINKING.decode(top["thinking"]).type != "enabled":
        return False
    top["thinking"] = _DISABLED
    return True


def _block(raw: msgspec.Raw) -> _Block:
    """Return what a block says; one that says it in an unheard-of way is no thought."""
    try:
        return _BLOCK.decode(raw)
    except msgspec.ValidationError:
        return _Block()
