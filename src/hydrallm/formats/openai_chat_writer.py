"""An answer as a stream of Chat Completions.

PURE, and on the path of every chunk. https://platform.openai.com/docs/api-reference/chat-streaming. Most of a chunk is
the same in all chunks of a part, so it is encoded once, and a chunk is three pieces joined. Calls may go on side by
side, so nothing waits.

The finish reason is held back until the stream is complete: a client takes it for the end of the answer, and an answer
that is cut must not look whole. The usage comes after it, where the client asked for it, and ``[DONE]`` last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hydrallm.formats.calls import CallCheck
from hydrallm.formats.canonical import Text, Thinking, ToolUse
from hydrallm.formats.canonical_answer import Added, Ended, PartEnded, PartStarted, Stop, Stopped, Usage, Used, merged
from hydrallm.formats.custom_tools import Restoration
from hydrallm.formats.openai_chat_answer import TIERS, encoded, finish_of, identity_of, written_usage
from hydrallm.formats.openai_chat_conversation import ID_CHARACTERS, ID_LENGTH

if TYPE_CHECKING:
    from hydrallm.formats.canonical_answer import Event
    from hydrallm.formats.codec import Asked

_DONE = b"data: [DONE]\n\n"


class _Growing:
    """A part on its way to the client: what stands before and after more of it in a chunk."""

    __slots__ = ("after", "before", "empty")

    def __init__(self, before: bytes, after: bytes, *, empty: bool) -> None:
        self.before = before
        self.after = after
        self.empty = empty  # it is a call whose arguments have not begun


class ChatWriter:
    """Writes a stream; see :class:`~hydrallm.formats.codec.Writer`."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._check = CallCheck(asked.custom)
        self._restoration = Restoration(asked.custom)
        head = {"id": identity_of(asked), "object": "chat.completion.chunk", "created": asked.created}
        self._head = b"data: " + encoded(head | {"model": asked.model})[:-1] + b',"choices":'
        self._before = self._head + b'[{"index":0,"delta":'
        # OpenAI's chunks have a usage of null, where one is to come.
        self._tail = b',"usage":null}\n\n' if asked.usage_in_stream else b"}\n\n"
        self._after = b',"logprobs":null,"finish_reason":null}]' + self._tail
        self._growing: dict[int, _Growing] = {}
        self._calls = 0
        self._usage = Usage()
        self._tier = ""
        self._stop = Stop.END
        self._begun = False
        self._refused = False
        self._ended = False

    def feed(self, events: list[Event]) -> bytes:
        """Return the bytes that say ``events``."""
        self._check.feed(events)
        written = []
        for event in self._restoration.feed(events):
            if type(event) is Added:
                if (part := self._growing.get(event.index)) is not None:
                    written.append(self._more(part, event.text))
            elif not self._ended:
                written.append(self._other(event))
        return b"".join(written)

    def _other(self, event: Event) -> bytes:
        match event:
            case PartStarted(index=index, part=part):
                return self._start(index, part)
            case PartEnded(index=index):
                return self._close(index)
            case Used(usage=usage, tier=tier):
                self._usage = merged(self._usage, usage)
                self._tier = TIERS.get(tier, self._tier)
            case Stopped(stop=stop):
                self._stop = stop
            case Ended():
                return self._end()
            case _:
                pass  # that it has begun says the first part; signatures and citations have no place here
        return b""

    def _more(self, part: _Growing, text: str) -> bytes:
        if not text:
            return b""
        part.empty = False
        return part.before + encoded(text) + part.after

    def _start(self, index: int, part: Text | Thinking | ToolUse) -> bytes:
        begun = self._begin(speaks=isinstance(part, Text) and not part.refusal)
        if isinstance(part, ToolUse):
            return begun + self._start_call(index, part)
        member = b"reasoning_content"
        if isinstance(part, Text):
            member = b"refusal" if part.refusal else b"content"
            self._refused = self._refused or part.refusal
        growing = _Growing(self._before + b'{"' + member + b'":', b"}" + self._after, empty=False)
        self._growing[index] = growing
        return begun + self._more(growing, part.text)

    def _start_call(self, index: int, call: ToolUse) -> bytes:
        kind, member = (b"custom", b"input") if call.custom else (b"function", b"arguments")
        place = b'{"tool_calls":[{"index":%d,' % self._calls
        self._calls += 1
        growing = _Growing(
            self._before + place + b'"' + kind + b'":{"' + member + b'":',
            b"}}]}" + self._after,
            empty=not call.custom,
        )
        self._growing[index] = growing
        name = encoded(self._asked.names.get(call.name, call.name))
        what = b'"id":%b,"type":"%b","%b":{"name":%b,"%b":""}}]}' % (
            encoded(self._asked.call_id(call.id, ID_CHARACTERS, ID_LENGTH)), kind, kind, name, member,
        )  # fmt: skip
        return self._before + place + what + self._after + self._more(growing, call.arguments)

    def _close(self, index: int) -> bytes:
        """Return what completes a part: a call without arguments has the text of an empty object."""
        part = self._growing.get(index)
        return b"" if part is None or not part.empty else self._more(part, "{}")

    def _begin(self, *, speaks: bool) -> bytes:
        """Return the chunk that says who speaks, which comes first and once."""
        if self._begun:
            return b""
        self._begun = True
        content = b'""' if speaks else b"null"
        return self._before + b'{"role":"assistant","content":' + content + b',"refusal":null}' + self._after

    def _end(self) -> bytes:
        self._ended = True
        begun = self._begin(speaks=True) + b"".join(map(self._close, self._growing))
        self._growing.clear()
        finish = finish_of(self._stop, refused=self._refused).encode()
        tier = b',"service_tier":"%b"' % self._tier.encode() if self._tier else b""
        ended = begun + self._before + b'{},"logprobs":null,"finish_reason":"' + finish + b'"}]' + tier + self._tail
        if self._asked.usage_in_stream and (usage := written_usage(self._usage)) is not None:
            ended += self._head + b'[],"usage":' + encoded(usage) + tier + b"}\n\n"
        return ended + _DONE
