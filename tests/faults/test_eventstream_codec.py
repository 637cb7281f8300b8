"""The encoder against AWS's own codec for JavaScript, in both directions."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path

import pytest

from hydrallm.faults import eventstream

NODE = Path(__file__).parents[1] / "node"
SENT = [
    ({":event-type": "chunk", ":message-type": "event"}, b'{"bytes":"e30="}'),
    ({"name": "caf\u00e9 \u2603", "empty": ""}, b""),
    ({}, bytes(range(256)) * 10),
]


@pytest.mark.needs("node", "eventstream-codec")
def test_the_codec_of_another_language_reads_our_frames_and_writes_the_same() -> None:
    frames = [eventstream.frame(headers, payload) for headers, payload in SENT]
    frames += [eventstream.event("chunk", b"{}"), eventstream.exception("throttlingException", b'{"message":"no"}')]
    done = subprocess.run(
        ["node", "eventstream.mjs"],
        cwd=NODE,
        input=json.dumps({"frames": [base64.b64encode(frame).decode() for frame in frames]}),
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=True,
        timeout=30,
    )
    read = json.loads(done.stdout)
    for (headers, payload), one in zip(SENT, read, strict=False):
        assert one["headers"] == {name: ["string", value] for name, value in headers.items()}
        assert base64.b64decode(one["body"]) == payload
    assert read[3]["headers"][":message-type"] == ["string", "event"]
    assert read[4]["headers"][":exception-type"] == ["string", "throttlingException"]
    assert [base64.b64decode(one["again"]) for one in read] == frames
