"""The codec of Responses is a codec."""

from __future__ import annotations

import json

from hydrallm.formats.canonical import Target
from hydrallm.formats.codec import Asked, Codec
from hydrallm.formats.facts import Facts
from hydrallm.formats.openai_responses import OpenAIResponses
from hydrallm.formats.openai_responses_codec import OpenAIResponsesCodec

CODEC: Codec = OpenAIResponsesCodec()
ASKED = Asked("gpt", "0123456789abcdef", 1_790_000_000)


def test_it_is_the_codec_of_its_format() -> None:
    request = CODEC.read_request(b'{"input":"hi"}', model="", stream=False)
    assert CODEC.name == OpenAIResponses().name == request.format


def test_each_direction_reads_what_the_other_writes() -> None:
    request = CODEC.read_request(b'{"input":"hi","stream":true,"max_output_tokens":20}', model="", stream=False)
    again = CODEC.read_request(CODEC.compose(request, Target("gpt", Facts())).body, model="", stream=False)
    assert (again.messages, again.stream, again.max_tokens) == (request.messages, True, 20)
    body = {"id": "resp_1", "output": [{"type": "function_call", "call_id": "c", "name": "f", "arguments": ""}]}
    answer = CODEC.read_answer(json.dumps(body).encode())
    assert CODEC.read_answer(CODEC.write_answer(answer, ASKED)).parts == answer.parts


def test_streams_share_nothing() -> None:
    assert CODEC.reader() is not CODEC.reader()
    assert CODEC.writer(ASKED) is not CODEC.writer(ASKED)
