"""What the events of a stream of Anthropic's Messages say, whatever carries them.

PURE. https://docs.anthropic.com/en/docs/build-with-claude/streaming. They come as server-sent events from Anthropic and
as frames from Bedrock's InvokeModelWithResponseStream. New types of events may be added, clients are told to expect
them, so an unknown one means nothing here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from hydrallm.formats.json_value import says

if TYPE_CHECKING:
    from collections.abc import Mapping

REFUSAL = "refusal"
"""The stop reason when Anthropic's classifiers intervene."""

_CONTENT: Mapping[str, str] = {"content_block_start": "content_block", "content_block_delta": "delta"}
"""The events that can have content, and where. A block of text or thinking opens empty, one of a tool with its name."""


class EventsScan(Protocol):
    """What is noted of a stream of these events; for the others see :class:`hydrallm.formats.base.Scan`.

    Attributes:
        begun: whether ``message_start`` has been seen.
    """

    begun: bool
    content: bool
    ended: bool
    filtered: bool
    broken: str


def note_event(scan: EventsScan, kind: str, event: Mapping[str, object]) -> None:
    """Take note in ``scan`` of what an event says.

    Args:
        scan: its ``begun``, ``content``, ``ended``, ``filtered`` and ``broken`` are set.
        kind: the event's type.
        event: its JSON; no ``error``.
    """
    if member := _CONTENT.get(kind):
        scan.content = scan.content or says(event.get(member))
    elif kind == "message_delta":
        delta = event.get("delta")
        scan.filtered = scan.filtered or (isinstance(delta, dict) and delta.get("stop_reason") == REFUSAL)
    elif kind == "message_start":
        scan.begun = True
    elif kind == "message_stop" and not (scan.begun or scan.content):
        scan.broken = "message_stop came before message_start"
    elif kind == "message_stop":
        scan.ended = True
