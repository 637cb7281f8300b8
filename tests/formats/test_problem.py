"""Error bodies as the providers document them, or as users reported them."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrallm.formats.base import Problem
from hydrallm.formats.problem import LARGEST, problem_of, read_problem

RAW_LENGTH = """{"error": {"message": "This model's maximum context length is 8192 tokens.",
 "type": "invalid_request_error", "param": "messages", "code": "context_length_exceeded"}}"""
EXHAUSTED = """{\n  "error": {\n    "code": 429,\n    "message": "Resource has been exhausted (e.g. check quota).",
    "status": "RESOURCE_EXHAUSTED"\n  }\n}\n"""

NGINX = b"""<html>\r
<head><title>502 Bad Gateway</title></head>\r
<body>\r
<center><h1>502 Bad Gateway</h1></center>\r
<hr><center>nginx/1.22.1</center>\r
</body>\r
</html>\r
"""

BODIES: dict[str, tuple[int, object, tuple[str, str, str]]] = {
    "OpenAI": (
        429,
        {"error": {"message": "You exceeded it.", "type": "insufficient_quota", "param": None, "code": "no_money"}},
        ("insufficient_quota", "no_money", "You exceeded it."),
    ),
    "DeepSeek": (
        400,
        {"error": {"message": "Content Exists Risk", "type": "invalid_request_error", "param": None, "code": None}},
        ("invalid_request_error", "", "Content Exists Risk"),
    ),
    "Ollama": (404, {"error": "model 'm' not found"}, ("", "", "model 'm' not found")),
    "LM Studio": (400, {"error": "The number of tokens to keep"}, ("", "", "The number of tokens to keep")),
    "Text Generation Inference": (
        422,
        {"error": "Input validation error: too long", "error_type": "validation"},
        ("validation", "", "Input validation error: too long"),
    ),
    "xAI": (
        403,
        {"code": "permission-denied", "error": "Your team has no credits."},
        ("", "permission-denied", "Your team has no credits."),
    ),
    "Anthropic": (
        529,
        {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}, "request_id": "req_1"},
        ("overloaded_error", "", "Overloaded"),
    ),
    "Anthropic, a spend limit": (
        429,
        {
            "type": "error",
            "error": {
                "type": "rate_limit_error",
                "message": "m",
                "details": {"error_code": "enforced_spend_limit_reached"},
            },
        },
        ("rate_limit_error", "enforced_spend_limit_reached", "m"),
    ),
    "AWS, namespaced": (
        400,
        {"__type": "com.amazon.coral.validate#ValidationException", "Message": "Input is too long."},
        ("ValidationException", "", "Input is too long."),
    ),
    "FastAPI, a text": (404, {"detail": "Not Found"}, ("", "", "Not Found")),
    "FastAPI, a list": (
        422,
        {
            "detail": [
                {"loc": ["body", "messages", 0, "role"], "msg": "Field required", "type": "missing"},
                {"loc": ["body", "model"], "msg": "Field required", "type": "missing"},
            ]
        },
        ("", "", "body.messages.0.role: Field required; body.model: Field required"),
    ),
    "FastAPI, an object": (
        429,
        {"detail": {"error": {"type": "busy", "message": "Later."}}},
        ("busy", "", "Later."),
    ),
    "vLLM, flat": (
        404,
        {
            "object": "error",
            "message": "The model `m` does not exist.",
            "type": "NotFoundError",
            "param": None,
            "code": 404,
        },
        ("NotFoundError", "404", "The model `m` does not exist."),
    ),
    "Mistral": (
        422,
        {
            "object": "error",
            "message": {"detail": [{"loc": ["body", "temperature"], "msg": "Input should be less", "type": "less"}]},
            "type": "invalid_request_error",
        },
        ("invalid_request_error", "", "body.temperature: Input should be less"),
    ),
    "llama.cpp": (
        400,
        {"error": {"code": 400, "message": "too large", "type": "exceed_context_size_error", "n_ctx": 256}},
        ("exceed_context_size_error", "400", "too large"),
    ),
    "Gemini": (
        400,
        [{"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT", "details": [{}]}}],
        ("INVALID_ARGUMENT", "400", "API key not valid."),
    ),
    "Gemini behind a gateway": (
        429,
        {"error": {"message": EXHAUSTED, "code": 429, "status": "Too Many Requests"}},
        ("RESOURCE_EXHAUSTED", "429", "Resource has been exhausted (e.g. check quota)."),
    ),
    "Azure": (
        429,
        {"error": {"code": "429", "message": "Requests have exceeded call rate limit."}},
        ("", "429", "Requests have exceeded call rate limit."),
    ),
    "Azure, the filter": (
        400,
        {
            "error": {
                "message": "The response was filtered",
                "type": None,
                "param": "prompt",
                "code": "content_filter",
                "status": 400,
                "innererror": {"code": "ResponsibleAIPolicyViolation", "content_filter_result": {}},
            }
        },
        ("", "content_filter", "The response was filtered"),
    ),
    "Azure, the filter named inside only": (
        400,
        {"error": {"message": "m", "code": "400", "innererror": {"code": "ResponsibleAIPolicyViolation"}}},
        ("", "ResponsibleAIPolicyViolation", "m"),
    ),
    "Azure API Management": (
        401,
        {"statusCode": 401, "message": "Access denied due to invalid subscription key."},
        ("", "", "Access denied due to invalid subscription key."),
    ),
    "Z.ai": (
        429,
        {"error": {"code": "1113", "message": "Insufficient balance"}},
        ("", "1113", "Insufficient balance"),
    ),
    "Z.ai, flat": (500, {"code": 500, "msg": "404 NOT_FOUND", "success": False}, ("", "500", "404 NOT_FOUND")),
    "OpenRouter, the provider's JSON": (
        400,
        {
            "error": {
                "message": "Provider returned error",
                "code": 400,
                "metadata": {"raw": RAW_LENGTH, "provider_name": "OpenAI"},
            },
            "user_id": "org_1",
        },
        (
            "invalid_request_error",
            "context_length_exceeded",
            "OpenAI: This model's maximum context length is 8192 tokens.",
        ),
    ),
    "OpenRouter, the provider's text": (
        429,
        {
            "error": {
                "message": "Provider returned error",
                "code": 429,
                "metadata": {"raw": "m is temporarily rate-limited upstream.", "provider_name": "BaseTen"},
            }
        },
        ("", "429", "BaseTen: m is temporarily rate-limited upstream."),
    ),
    "OpenRouter, typed": (
        503,
        {"error": {"message": "m", "code": 503, "metadata": {"error_type": "provider_overloaded"}}},
        ("provider_overloaded", "503", "m"),
    ),
    "Cohere": (
        400,
        {"message": "too many tokens: size limit exceeded"},
        ("", "", "too many tokens: size limit exceeded"),
    ),
    "Cloudflare": (
        404,
        {"success": False, "errors": [{"code": 7003, "message": "Could not route."}], "result": None},
        ("", "7003", "Could not route."),
    ),
    "Fastify": (404, {"statusCode": 404, "error": "Not Found", "message": "No route."}, ("", "", "No route.")),
    "an empty object": (400, {}, ("", "", "")),
    "null": (400, None, ("", "", "null")),
}


@pytest.mark.parametrize("name", BODIES)
def test_bodies(name: str) -> None:
    status, body, said = BODIES[name]
    problem = read_problem(status, [], json.dumps(body).encode())
    assert (problem.type, problem.code, problem.message) == said
    assert problem.status == status


def test_bedrock_names_it_in_a_header() -> None:
    headers = [(b"x-amzn-errortype", b"ThrottlingException:http://internal.amazon.com/coral/com.amazon.bedrock/")]
    problem = read_problem(429, headers, b'{"message":"Too many tokens, please wait before trying again."}')
    assert problem == Problem(429, "ThrottlingException", "", "Too many tokens, please wait before trying again.")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", ""),
        (
            b"upstream connect error or disconnect/reset before headers",
            "upstream connect error or disconnect/reset before headers",
        ),
        (b"error code: 1015\n", "error code: 1015"),
        (
            NGINX,
            "502 Bad Gateway 502 Bad Gateway nginx/1.22.1",
        ),
        (
            b'<!DOCTYPE html><style>a > b {}</style><script>if (1 < 2) "<b>"</script ><p>Sorry, AT&amp;T &lt;U&gt;</p>',
            "Sorry, AT&T <U>",
        ),
        (b"x" * 1000, "x" * 200),
        (b'{"error": {"message": "cut', '{"error": {"message": "cut'),
        (b"\x1b[31mred\x00\xff", "[31mred \N{REPLACEMENT CHARACTER}"),
    ],
)
def test_what_is_no_json(body: bytes, message: str) -> None:
    assert read_problem(502, [], body) == Problem(status=502, message=message)


@pytest.mark.parametrize(
    ("status", "code", "expected"), [(200, 429, 429), (200, "502", 502), (0, 1113, 0), (503, 429, 503)]
)
def test_the_status_is_the_responses_if_that_is_an_error(status: int, code: object, expected: int) -> None:
    assert read_problem(status, [], json.dumps({"error": {"message": "m", "code": code}}).encode()).status == expected


@pytest.mark.parametrize(
    "body",
    [
        b'\xef\xbb\xbf{"error":{"message":"m"}}',  # a byte order mark
        b'{"error":{"message":"m","param":1e400}}',
        b'{"error":{"message":"\x01m\n"}}',  # raw control characters
        b'{"error":{"message":"m \\ud83d"}}',  # half of an emoji
    ],
)
def test_json_that_strict_decoders_refuse(body: bytes) -> None:
    assert read_problem(400, [], body).message == "m"


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"[" * LARGEST,
        b'{"error":' * (LARGEST // 9),
        b'{"error":{"message":' * 30_000,
        b"<script" * 100_000,
        b"<" * 1_000_000,
        b"<p>" * 300_000,
        b'{"code":' + b"9" * 200_000 + b"}",
        b'{"detail":[' + b'{"loc":[1,2,3],"msg":"m"},' * 9_000 + b"{}]}",
    ],
    ids=lambda body: body[:12].decode(),
)
def test_work_is_bounded(body: bytes) -> None:
    started = time.process_time()
    problem = read_problem(400, [], body)
    assert time.process_time() - started < 0.5
    assert len(problem.message) <= 4096


def test_errors_that_hold_errors_are_opened_only_so_far() -> None:
    text = "at the core"
    for _ in range(12):
        text = json.dumps({"error": {"message": text}})
    assert "at the core" in read_problem(400, [], text.encode()).message


@pytest.mark.parametrize("depth", [*range(880, 1000, 2), 5_000, 100_000])
def test_errors_may_be_nested_however_deep(depth: int) -> None:
    deep: dict[str, Any] = {"message": "deep"}
    for _ in range(depth):
        deep = {"a": deep}
    assert problem_of({"error": {"message": "m", "code": 429, "details": deep}}) == Problem(429, "", "429", "m")
    assert problem_of({"error": deep}) == Problem()
    while deep:  # freed from the inside, or the interpreter would recurse
        deep = deep.get("a", {})


def test_an_error_that_holds_a_long_text_is_not_parsed_over_and_over() -> None:
    started = time.process_time()
    for text in ("[" * 8_000_000, json.dumps(["x" * 8_000_000]), "{" + "x" * 8_000_000):
        assert len(problem_of({"error": {"message": text}}).message) <= 4096
    assert time.process_time() - started < 0.5


def test_a_body_that_is_one_string_is_the_message() -> None:
    assert read_problem(500, [], b'"Too many \\"requests\\""') == Problem(500, message='Too many "requests"')


def checked(status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    problem = read_problem(status, headers, body)
    assert problem.status == status or (status < 400 and (problem.status == 0 or 400 <= problem.status < 600))
    for text, longest in [(problem.type, 128), (problem.code, 128), (problem.message, 4096)]:
        assert len(text) <= longest
        assert text.isprintable()
        text.encode()


wrappers = ["error", "errors", "detail", "details", "metadata", "raw", "innererror"]
texts = [
    "message",
    "Message",
    "msg",
    "type",
    "__type",
    "error_type",
    "code",
    "error_code",
    "status",
    "loc",
    "provider_name",
]
keys = st.sampled_from(wrappers + texts)
leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just('{"error":{"message":"m"}}')
values: st.SearchStrategy[Any] = st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(keys, inner))


@given(st.sampled_from([0, 200, 400, 599]), values)
def test_no_json_raises(status: int, value: object) -> None:
    checked(status, [], json.dumps(value).encode())


@given(st.binary(), st.binary())
def test_no_bytes_raise(body: bytes, name: bytes) -> None:
    checked(500, [(b"x-amzn-errortype", name)], body)
    checked(500, [], b"<" + body)
    checked(500, [], b'{"error":' + body + b"}")
