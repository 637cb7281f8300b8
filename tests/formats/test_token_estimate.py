"""The estimate of a request's tokens, held against figures that others measured or documented."""

from __future__ import annotations

import base64
import json
import struct
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hydrallm.formats.anthropic_messages_codec import AnthropicMessagesCodec
from hydrallm.formats.canonical import (
    Document,
    Image,
    JsonOutput,
    Message,
    Part,
    Request,
    Role,
    Source,
    Text,
    Thinking,
    Tool,
    ToolResult,
    ToolUse,
)
from hydrallm.formats.text_tokens import text_tokens, tokenizer_of
from hydrallm.formats.token_estimate import estimate

FOLDER = Path(__file__).parent
PDFS = json.loads((FOLDER / "file_samples.json").read_text(encoding="utf-8"))["pdfs"]
SAMPLES = json.loads((FOLDER / "token_samples.json").read_text(encoding="utf-8"))
PAGE = 2500
NEW, OLD, OTHER = "claude-opus-5-5", "claude-haiku-4-5", "gpt-6"
# https://platform.claude.com/docs/en/build-with-claude/token-counting: what the API answers to the page's examples.
WEATHER = {
    "model": "claude-opus-4-6",
    "tools": [
        {
            "name": "get_weather",
            "description": "Get the current weather in a given location",
            "input_schema": {
                "type": "object",
                "properties": {
                    "location": {"type": "string", "description": "The city and state, e.g. San Francisco, CA"}
                },
                "required": ["location"],
            },
        }
    ],
    "messages": [{"role": "user", "content": "What's the weather like in San Francisco?"}],
}


def asked(*parts: Part, **rest: Any) -> Request:  # noqa: ANN401 - any member of a request
    return Request(format="anthropic-messages", messages=(Message(Role.USER, parts),), **rest)


def cost(part: Part, model: str) -> int:
    """Return what a part adds to a request."""
    return estimate(asked(part), model) - estimate(asked(), model)


def png(width: int, height: int) -> Image:
    head = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height)
    return Image(Source(data=base64.b64encode(head + bytes(100)).decode(), media_type="image/png"))


# Tokens that an image adds, as the providers told: Hugging Face, datasets/JOHNISKING/image-token-cost, less the tokens
# of the prompt beside it, 77 and 65. Larger ones the newest Claude scales down further than the first that saw so much.
@pytest.mark.parametrize(
    ("model", "size", "tokens"),
    [
        (NEW, (256, 256), 100),
        (NEW, (512, 512), 361),
        (NEW, (768, 768), 784),
        (NEW, (1024, 1024), 1369),
        (NEW, (1280, 720), 1196),
        (NEW, (1920, 1080), 2691),
        (NEW, (1080, 1920), 2691),
        (OLD, (1024, 1024), 1369),
        (OLD, (1920, 1080), 1560),
        (OLD, (3840, 2160), 1592),
        (OLD, (4032, 3024), 1596),
        (OTHER, (256, 256), 77),
        (OTHER, (1024, 1024), 1229),
        (OTHER, (1920, 1080), 2448),
        (OTHER, (2560, 1440), 2931),
    ],
)
def test_an_image_by_its_size(model: str, size: tuple[int, int], tokens: int) -> None:
    assert tokens <= cost(png(*size), model) <= tokens * 1.03


def test_an_image_of_no_known_size_is_a_screen() -> None:
    for source in (Source(url="https://example.com/a.png"), Source(file="file-1"), Source(data="!!!!")):
        assert cost(Image(source), NEW) == cost(png(1920, 1080), NEW)


def test_an_image_without_detail() -> None:
    image = msgspec.structs.replace(png(2048, 2048), detail="low")
    assert cost(image, OTHER) == cost(png(512, 512), OTHER)
    assert cost(image, NEW) == cost(png(2048, 2048), NEW)


@pytest.mark.parametrize(("name", "pages"), [("reportlab", 2), ("pikepdf", 3), ("pikepdf, compressed", 1)])
def test_a_pdf_by_its_pages(name: str, pages: int) -> None:
    pdf = Document(Source(data=PDFS[name], media_type="application/pdf"))
    assert pages * PAGE <= cost(pdf, NEW) < pages * PAGE + 100


def test_a_long_pdf_is_looked_at_from_both_ends() -> None:
    for before, after in ((300_000, 0), (0, 300_000), (300_000, 1)):
        data = b"%PDF-1.7\n" + bytes(before) + base64.b64decode(PDFS["pikepdf"]) + bytes(after)
        pdf = Document(Source(data=base64.b64encode(data).decode(), media_type="application/pdf"))
        assert 3 * PAGE <= cost(pdf, NEW) < 4 * PAGE


def test_other_documents() -> None:
    text = SAMPLES["English prose"]["text"]
    encoded = base64.b64encode(text.encode()).decode()
    words = cost(Text(text), NEW)
    for document in (Document(text=text), Document(Source(data=encoded, media_type="text/plain"))):
        assert words <= cost(document, NEW) <= words + 30
    sheet = Document(Source(data=base64.b64encode(bytes(90_000)).decode(), media_type="application/vnd.ms-excel"))
    assert 3 * PAGE <= cost(sheet, NEW) < 4 * PAGE
    assert cost(Document(Source(url="https://example.com/a.pdf")), NEW) >= 5 * PAGE


def test_every_part_is_counted() -> None:
    text = SAMPLES["Python"]["text"]
    tokens = text_tokens(text, tokenizer_of(NEW))
    request = asked(
        Text(text),
        Thinking(text),
        ToolUse("t", "f", text),
        ToolResult("t", (Text(text), png(256, 256))),
        system=(Text(text),),
        tools=(Tool("f", text, msgspec.Raw(json.dumps({"description": text}).encode())),),
        output=JsonOutput(msgspec.Raw(json.dumps({"description": text}).encode())),
    )
    assert 8 * tokens + 100 + 600 < estimate(request, NEW) < 10 * tokens + 100 + 600


def test_thoughts_that_cannot_be_read_count_for_those_who_can() -> None:
    for thought in (
        Thinking(signature="s" * 5000, maker="anthropic"),
        Thinking(redacted="r" * 5000, maker="anthropic"),
    ):
        assert cost(thought, NEW) == 1000
        assert cost(thought, OTHER) == 0
    assert cost(Thinking(signature="s" * 5000, maker="openai"), NEW) == 0


def test_the_examples_of_the_documentation() -> None:
    codec = AnthropicMessagesCodec()
    weather = codec.read_request(json.dumps(WEATHER).encode(), model="", stream=False)
    assert (
        403 <= estimate(weather, "claude-opus-4-6") <= 403 * 1.9
    )  # more since: the tools' prompt was 346, is up to 589
    hello = {
        "model": "claude-opus-4-6",
        "system": "You are a scientist",
        "messages": [{"role": "user", "content": "Hello, Claude"}],
    }
    assert 14 <= estimate(codec.read_request(json.dumps(hello).encode(), model="", stream=False), OLD) <= 30
