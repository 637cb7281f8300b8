"""The soak itself, for a few seconds: it runs, finds everything right, and says so."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

import pytest
from tests.soak.dialogue import FORMATS, judge, words

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.platform("linux")


async def test_a_short_soak() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.soak", "--minutes", "0.05", "--interval", "1", "--clients", "8", "--seed", "1"),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 50)
    text = output.decode()
    assert process.returncode == 0, text
    verdict = re.search(r"^ok: (\d+) right, 0 wrong, exit 0$", text, re.MULTILINE)
    assert verdict, text
    assert int(verdict[1]) > 30, text


CHAT = FORMATS["openai-chat"]
EVENT = b'data: {"choices": [{"delta": {"content": "%b"}}]}\n\n'
DONE = b"data: [DONE]\n\n"
ERROR = b'data: {"error": {"message": "no"}}\n\n'


@pytest.mark.parametrize(
    ("body", "whole", "outcome"),
    [
        pytest.param(EVENT % b"a1 a2" + DONE, True, "right", id="right"),
        pytest.param(EVENT % b"a1" + ERROR, False, "broken", id="broken-off-and-told"),
        pytest.param(EVENT % b"a1 a2" + DONE, False, "complete, but", id="complete-only-for-the-format"),
        pytest.param(EVENT % b"a1" + DONE, True, "complete, but", id="a-word-is-missing"),
        pytest.param(EVENT % b"a1 a1" + DONE, True, "complete, but", id="a-word-is-doubled"),
        pytest.param(EVENT % b"a1", True, "ended without", id="not-told-that-it-is-cut"),
        pytest.param(EVENT % b"b1" + ERROR, False, "broken off, and not", id="of-another-request"),
        pytest.param(b"data: {\n\n", True, "no answer", id="no-json"),
    ],
)
def test_a_wrong_answer_is_known_for_one(body: bytes, whole: bool, outcome: str) -> None:
    said = judge(CHAT, words("a", 2), "text/event-stream", body, stream=True, whole=whole)
    assert said.startswith(outcome)
