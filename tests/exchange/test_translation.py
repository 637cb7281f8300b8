"""The end of a translated stream, and what cannot be translated, with readers and writers that a test can break."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hydrallm.exchange.translation import TranslatedScan
from hydrallm.formats.bedrock_converse import BedrockConverse
from hydrallm.formats.bedrock_converse_codec import BedrockConverseCodec
from hydrallm.formats.canonical import UntranslatableError
from hydrallm.formats.codec import Asked
from hydrallm.formats.eventstream import encode_frame
from hydrallm.formats.openai_chat import OpenAIChat
from hydrallm.formats.openai_chat_codec import OpenAIChatCodec

if TYPE_CHECKING:
    from hydrallm.formats.canonical_answer import Event
    from hydrallm.formats.codec import Reader

ASKED = Asked("m", "id", 0)
CHUNK = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":null}]}\n\n'
END = b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


class Broken:
    """Reads the first events, and then fails in some way."""

    def __init__(self, error: Exception) -> None:
        self._reader: Reader = OpenAIChatCodec().reader()
        self._error = error
        self._left = 1

    def feed(self, events: bytes) -> list[Event]:
        if not self._left:
            raise self._error
        self._left -= 1
        return self._reader.feed(events)

    def finish(self) -> list[Event]:
        return self._reader.finish()


def frame(kind: str, payload: bytes) -> bytes:
    return encode_frame({":event-type": kind, ":content-type": "application/json", ":message-type": "event"}, payload)


@pytest.mark.parametrize(("error", "faults"), [(UntranslatableError("no such thing"), 0), (KeyError("x"), 1)])
def test_a_stream_that_cannot_be_translated_to_its_end_has_none(error: Exception, faults: int) -> None:
    reported: list[str] = []
    scan = TranslatedScan(OpenAIChat().scan(), Broken(error), BedrockConverseCodec().writer(ASKED), reported.append)
    assert scan.feed(CHUNK)
    assert scan.content
    assert scan.feed(END) == b""
    assert (scan.ended, scan.complete) == (False, False)
    assert scan.problem is not None
    assert scan.problem.ours == "not_an_answer"
    assert scan.feed(END) + scan.finish() == b""
    assert len(reported) == faults
    assert all("KeyError" in traceback for traceback in reported)


@pytest.mark.parametrize("last", [b"", frame("metadata", b'{"usage": "many"}'), frame("metadata", b"{}")[:-3]])
def test_a_stream_of_converse_is_complete_with_its_message_stop(last: bytes) -> None:
    scan = TranslatedScan(
        BedrockConverse().scan(), BedrockConverseCodec().reader(), OpenAIChatCodec().writer(ASKED), _no_fault
    )
    said = scan.feed(
        frame("messageStart", b'{"role":"assistant"}')
        + frame("contentBlockDelta", b'{"contentBlockIndex":0,"delta":{"text":"hi"}}')
        + frame("contentBlockStop", b'{"contentBlockIndex":0}')
        + frame("messageStop", b'{"stopReason":"end_turn"}')
        + last
    )
    said += scan.finish()
    assert said.count(b'"finish_reason":"stop"') == 1
    assert said.endswith(b"data: [DONE]\n\n")


def _no_fault(traceback: str) -> None:
    raise AssertionError(traceback)
