"""The encoder against botocore's decoder."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.eventstream import ChecksumMismatch, EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from hydrallm.faults import eventstream

names = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), min_size=1, max_size=40)


@given(st.dictionaries(names, st.text(max_size=200), max_size=5), st.binary(max_size=2000), st.integers(1, 64))
def test_frames_decode_to_what_was_encoded_however_they_are_split(
    headers: dict[str, str], payload: bytes, step: int
) -> None:
    wire = eventstream.frame(headers, payload) * 2
    buffer = EventStreamBuffer()
    decoded: list[Any] = []
    for at in range(0, len(wire), step):
        buffer.add_data(wire[at : at + step])
        decoded.extend(buffer)
    assert [(message.headers, message.payload) for message in decoded] == [(headers, payload)] * 2


def test_an_event_is_an_event_and_an_exception_an_exception_to_botocore() -> None:
    buffer = EventStreamBuffer()
    buffer.add_data(eventstream.event("chunk", b'{"a":1}'))
    buffer.add_data(eventstream.exception("throttlingException", b'{"message":"slow down"}'))
    event, failure = (message.to_response_dict() for message in buffer)
    assert (event["status_code"], event["headers"][":event-type"], event["body"]) == (200, "chunk", b'{"a":1}')
    assert (failure["status_code"], failure["headers"][":exception-type"]) == (400, "throttlingException")


@pytest.mark.parametrize("position", [0, 4, 8, 12, 30, -1])
def test_a_flipped_bit_anywhere_is_noticed(position: int) -> None:
    wire = bytearray(eventstream.event("chunk", b'{"a":1}'))
    wire[position] ^= 1
    buffer = EventStreamBuffer()
    buffer.add_data(bytes(wire))
    with pytest.raises(ChecksumMismatch):
        list(buffer)
