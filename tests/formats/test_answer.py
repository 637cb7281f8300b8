"""What is an answer and what is not: the SDKs' own types are asked, and errors as providers send them with a 200."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, get_args

import anthropic.types
import botocore.parsers
import botocore.session
import openai.types.chat
import openai.types.responses
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import chat_completion
from pydantic import TypeAdapter

from hydrallm.faults import answers
from hydrallm.formats import answer
from hydrallm.formats.base import Problem

Examine = Callable[[bytes], Problem | None]

CHAT, COMPLETION, RESPONSE = answer.examine_chat, answer.examine_completion, answer.examine_response
MESSAGE, COUNT = answer.examine_message, answer.examine_count
INVOKE, CONVERSE = answer.examine_invoke, answer.examine_converse

PATHS: dict[Examine, str] = {
    CHAT: "/v1/chat/completions",
    COMPLETION: "/v1/completions",
    RESPONSE: "/v1/responses",
    MESSAGE: "/v1/messages",
    COUNT: "/v1/messages/count_tokens",
    INVOKE: "/model/m/invoke",
    CONVERSE: "/model/m/converse",
}
# The members without which an SDK's type does not validate, as far as every provider sends them.
MEMBERS: dict[Examine, str] = {
    CHAT: "choices",
    COMPLETION: "choices",
    RESPONSE: "output",
    MESSAGE: "content",
    COUNT: "input_tokens",
    CONVERSE: "output",
}
EACH = pytest.mark.parametrize("examine", PATHS, ids=lambda examine: examine.__name__)
BEDROCK = botocore.session.get_session().get_service_model("bedrock-runtime")


def good(examine: Examine, text: str = "one two") -> dict[str, Any]:
    body: dict[str, Any] = json.loads(answers.plain(answers.question("POST", PATHS[examine], {}, b"{}", 1), text))
    return body


def examined(examine: Examine, body: object) -> Problem | None:
    return examine(json.dumps(body).encode())


def chat(finish_reason: object = "stop", **message: object) -> dict[str, Any]:
    body = good(CHAT)
    body["choices"][0].update(finish_reason=finish_reason, message={"role": "assistant", "content": None, **message})
    return body


# ---- answers


@EACH
@pytest.mark.parametrize("text", ["one two", "", "caf\u00e9 \u2603", 'quote " \\ \n'])
def test_good_answers_are_answers(examine: Examine, text: str) -> None:
    body = good(examine, text)
    assert examined(examine, body) is None
    assert examine(json.dumps(body, ensure_ascii=False, indent=2).encode()) is None
    assert examine(b"\n \n" + json.dumps(body).encode() + b"\n") is None


@EACH
@pytest.mark.parametrize(
    "extra",
    [
        b'"x":NaN',
        b'"x":-Infinity',
        b'"x":1e400',
        b'"x":"\\ud800"',
        b'"x":' + b"9" * 5000,
        b'"error":null',
        b'"x":"\xc3\xa9"',
    ],
)
def test_what_clients_can_read_is_an_answer(examine: Examine, extra: bytes) -> None:
    body = json.dumps(good(examine)).encode()
    assert examine(body[:-1] + b"," + extra + b"}") is None
    assert examine(b"\xef\xbb\xbf" + body) is None


SDK_TYPES: dict[Examine, TypeAdapter[Any]] = {
    CHAT: TypeAdapter(openai.types.chat.ChatCompletion),
    COMPLETION: TypeAdapter(openai.types.Completion),
    RESPONSE: TypeAdapter(openai.types.responses.Response),
    MESSAGE: TypeAdapter(anthropic.types.Message),
    COUNT: TypeAdapter(anthropic.types.MessageTokensCount),
}


@pytest.mark.parametrize("examine", SDK_TYPES, ids=lambda examine: examine.__name__)
def test_the_members_that_are_required_are_required_by_the_sdks_types(examine: Examine) -> None:
    body = good(examine)
    SDK_TYPES[examine].validate_python(body)
    del body[MEMBERS[examine]]
    with pytest.raises(ValueError, match=MEMBERS[examine]):
        SDK_TYPES[examine].validate_python(body)
    assert examined(examine, body) is not None


def test_converse_answers_are_what_botocore_parses() -> None:
    shape = BEDROCK.operation_model("Converse").output_shape
    assert MEMBERS[CONVERSE] in shape.required_members
    response = {"status_code": 200, "headers": {}, "body": json.dumps(good(CONVERSE)).encode()}
    parsed = botocore.parsers.create_parser("rest-json").parse(response, shape)
    assert parsed["output"]["message"]["content"] == [{"text": "one two"}]


FINISH_REASONS = get_args(chat_completion.Choice.model_fields["finish_reason"].annotation)
STOP_REASONS = get_args(anthropic.types.StopReason)


@pytest.mark.parametrize("reason", [*FINISH_REASONS, None, "eos_token", 7])
def test_a_chat_answer_may_end_for_any_reason(reason: object) -> None:
    assert examined(CHAT, chat(reason, content="one")) is None
    assert examined(CHAT, chat(reason, tool_calls=[{"id": "c", "function": {"name": "f", "arguments": ""}}])) is None
    assert (examined(CHAT, chat(reason)) is None) == (reason != "content_filter")


@pytest.mark.parametrize("reason", [*STOP_REASONS, None, "something_new"])
def test_a_message_may_end_for_any_reason(reason: object) -> None:
    said = good(MESSAGE) | {"stop_reason": reason}
    for examine in (MESSAGE, INVOKE):
        assert examined(examine, said) is None
        assert (examined(examine, said | {"content": []}) is None) == (reason != "refusal")


FAILURES = {"malformed_model_output", "malformed_tool_use"}
FILTERS = {"guardrail_intervened", "content_filtered"}


@pytest.mark.parametrize("reason", [*BEDROCK.shape_for("StopReason").enum, "something_new"])
def test_a_converse_answer_may_end_for_any_reason_but_those_of_failures(reason: str) -> None:
    body = good(CONVERSE) | {"stopReason": reason}
    assert (examined(CONVERSE, body) is None) == (reason not in FAILURES)
    body["output"]["message"]["content"] = []
    assert (examined(CONVERSE, body) is None) == (reason not in FAILURES | FILTERS)


@pytest.mark.parametrize(
    "body",
    [
        {"completion": " one", "stop_reason": "stop_sequence"},
        {"generation": "one", "stop_reason": "stop", "prompt_token_count": 3},
        {"outputs": [{"text": "one", "stop_reason": "length"}]},
        {"output": {"message": {"role": "assistant", "content": [{"text": "one"}]}}, "stopReason": "end_turn"},
        {"images": ["eA=="], "error": None},
        {"embedding": [0.1], "inputTextTokenCount": 1},
        {"object": "chat.completion", "choices": [{"message": {"content": "one"}}]},
        {"message": "one", "id": "x"},
        {"result": "success", "artifacts": []},
    ],
)
def test_any_makers_answer_is_an_answer_of_invoke_model(body: object) -> None:
    assert examined(INVOKE, body) is None


@pytest.mark.parametrize("status", ["completed", "incomplete", "queued", "in_progress", "cancelled"])
def test_a_response_of_any_status_but_failed_is_an_answer(status: str) -> None:
    assert examined(RESPONSE, good(RESPONSE) | {"status": status}) is None


# ---- no answers


@EACH
@pytest.mark.parametrize("body", [b"", b"  \r\n"])
def test_an_empty_body_is_no_answer(examine: Examine, body: bytes) -> None:
    assert examine(body) == Problem(message="the body is empty", ours="not_an_answer")


@EACH
def test_an_answer_that_is_cut_anywhere_is_no_answer(examine: Examine) -> None:
    body = json.dumps(good(examine), ensure_ascii=False).encode()
    for end in range(1, len(body)):
        problem = examine(body[:end])
        assert problem is not None
        assert problem.ours == "not_an_answer"
        assert "cut or damaged" in problem.message


@EACH
@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<!DOCTYPE html>\n<html><title>Sign in</title>", "<!DOCTYPE html> <html><title>Sign in</title>"),
        (b'data: {"choices": []}\n\n', "data: {"),
        (b"upstream connect error", "upstream connect error"),
        (b"\xff\xfe\xfd", "not JSON"),
        (b'{"x": "\xff"}', "cut or damaged"),
        (b'{"x": 1} {"y": 2}', "cut or damaged"),
        (b"[]", "no object"),
        (b"null", "no object"),
        (b'"text"', "no object"),
        (b"x" * 10_000, "x" * 100 + "..."),
    ],
)
def test_a_body_that_is_no_json_object_is_quoted(examine: Examine, body: bytes, message: str) -> None:
    problem = examine(body)
    assert problem is not None
    assert (problem.status, problem.type, problem.code, problem.ours) == (0, "", "", "not_an_answer")
    assert message in problem.message
    assert len(problem.message) < 200


@pytest.mark.parametrize(
    ("examine", "values"),
    [
        (CHAT, [None, "text", {}, [], [7]]),
        (COMPLETION, [None, "text", {}, [], [7]]),
        (RESPONSE, [None, "text", {}]),
        (MESSAGE, [None, "text", {}]),
        (COUNT, [None, "text", {}, 1.5]),
        (CONVERSE, [None, "text", []]),
    ],
)
def test_an_object_without_the_member_is_no_answer(examine: Examine, values: list[object]) -> None:
    member = MEMBERS[examine]
    problem = examined(examine, {"id": "x", "object": "y"})
    assert problem == Problem(message=f"the body has no {member!r}, but 'id, object'", ours="not_an_answer")
    for value in values:
        problem = examined(examine, {member: value})
        message = f"the body has no usable {member!r}, but {member!r}"
        assert problem == Problem(message=message, ours="not_an_answer")


# Errors as they come with a 200, and the problem that each is.
ERRORS: dict[str, tuple[dict[str, Any], Problem]] = {
    "OpenAI": ({"error": {"message": "m", "type": "t", "param": None, "code": "c"}}, Problem(0, "t", "c", "m")),
    "Ollama": ({"error": "model overloaded"}, Problem(message="model overloaded")),
    "OpenRouter": ({"error": {"code": 502, "message": "m"}}, Problem(502, "", "502", "m")),
    "Anthropic": (
        {"type": "error", "error": {"type": "t", "message": "m"}, "request_id": "r"},
        Problem(0, "t", "", "m"),
    ),
    "vLLM": ({"object": "error", "message": "m", "type": "t", "code": 400}, Problem(400, "t", "400", "m")),
    "Z.ai": ({"code": 500, "msg": "404 NOT_FOUND", "success": False}, Problem(500, "", "500", "404 NOT_FOUND")),
    "AWS": ({"__type": "com.amazon.coral.service#XException", "message": "m"}, Problem(0, "XException", "", "m")),
    "AWS's front end": ({"Output": {"__type": "a#YException"}, "Version": "1.0"}, Problem(0, "YException")),
}


@EACH
@pytest.mark.parametrize("source", ERRORS)
def test_an_error_is_read(examine: Examine, source: str) -> None:
    body, expected = ERRORS[source]
    assert examined(examine, body) == expected


@EACH
@pytest.mark.parametrize("word", ["not_an_answer", "filtered", "filtered_answer"])
def test_no_word_of_an_upstream_passes_for_our_own(examine: Examine, word: str) -> None:
    problem = examined(examine, {"error": {"message": "m", "type": word, "code": word, "ours": word}, "ours": word})
    assert problem == Problem(0, word, word, "m")


@EACH
def test_an_error_beside_an_answer_is_an_error(examine: Examine) -> None:
    body = good(examine) | {"error": {"code": 429, "message": "slow down"}}
    assert examined(examine, body) == Problem(429, "", "429", "slow down")


@EACH
@pytest.mark.parametrize("name", ["message", "Message", "detail"])
def test_an_object_that_only_says_why_is_no_answer(examine: Examine, name: str) -> None:
    problem = examined(examine, {name: "Not Found"})
    assert problem is not None
    assert problem.message == "Not Found"
    assert (problem.code, problem.ours) == ("", "" if examine is INVOKE else "not_an_answer")


@pytest.mark.parametrize(
    ("choice", "problem"),
    [
        ({"error": {"code": 502, "message": "cut"}, "finish_reason": "error"}, Problem(502, "", "502", "cut")),
        ({"finish_reason": "error"}, Problem(code="error", message="the answer ended with finish_reason 'error'")),
        (
            {"finish_reason": "insufficient_system_resource", "message": {"content": "half"}},
            Problem(
                code="insufficient_system_resource",
                message="the answer ended with finish_reason 'insufficient_system_resource'",
            ),
        ),
    ],
)
@pytest.mark.parametrize("examine", [CHAT, COMPLETION])
def test_a_choice_that_failed_is_an_error(examine: Examine, choice: dict[str, Any], problem: Problem) -> None:
    body = good(examine)
    assert examined(examine, body | {"choices": [choice]}) == problem
    assert examined(examine, body | {"choices": [*body["choices"], choice]}) == problem


def test_a_response_that_failed_is_an_error() -> None:
    failed = good(RESPONSE) | {"status": "failed", "output": []}
    error = {"code": "server_error", "message": "it broke"}
    assert examined(RESPONSE, failed | {"error": error}) == Problem(code="server_error", message="it broke")
    problem = examined(RESPONSE, failed)
    assert problem is not None
    assert problem.code == "failed"


# ---- content filters


@pytest.mark.parametrize(
    ("examine", "body"),
    [
        (CHAT, chat("content_filter")),
        (CHAT, chat("content_filter", content="", tool_calls=[], refusal=None, annotations=[])),
        (CHAT, chat("sensitive", content="")),
        (COMPLETION, {"choices": [{"text": "", "index": 0, "finish_reason": "content_filter"}]}),
        (MESSAGE, {"type": "message", "content": [], "stop_reason": "refusal"}),
        (MESSAGE, {"type": "message", "content": [{"type": "text", "text": ""}], "stop_reason": "refusal"}),
        (INVOKE, {"type": "message", "content": [], "stop_reason": "refusal"}),
        (CONVERSE, {"output": {"message": {"role": "assistant", "content": []}}, "stopReason": "content_filtered"}),
        (CONVERSE, {"output": {"message": {"content": [{"text": ""}]}}, "stopReason": "guardrail_intervened"}),
        (RESPONSE, {"output": [], "status": "incomplete", "incomplete_details": {"reason": "content_filter"}}),
    ],
)
def test_an_answer_that_a_filter_left_without_content_is_a_problem(examine: Examine, body: object) -> None:
    problem = examined(examine, body)
    assert problem is not None
    assert (problem.type, problem.code, problem.ours) == ("content_filter", "", "filtered")
    assert "no content" in problem.message


@pytest.mark.parametrize(
    ("examine", "body"),
    [
        (CHAT, chat("content_filter", content="half an ans")),
        (CHAT, chat("content_filter", refusal="I cannot")),
        (CHAT, {"choices": [*chat("content_filter")["choices"], *chat("stop", content="x")["choices"]]}),
        (MESSAGE, {"content": [{"type": "text", "text": "half"}], "stop_reason": "refusal"}),
        (CONVERSE, {"output": {"message": {"content": [{"text": "Sorry."}]}}, "stopReason": "guardrail_intervened"}),
        (RESPONSE, good(RESPONSE) | {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}),
        (RESPONSE, {"output": [], "status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}),
    ],
)
def test_an_answer_of_which_a_filter_left_something_is_an_answer(examine: Examine, body: object) -> None:
    assert examined(examine, body) is None


# ---- anything

member_names = [
    "choices",
    "output",
    "content",
    "error",
    "type",
    "message",
    "finish_reason",
    "stopReason",
    "status",
    "x",
]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(member_names), inner, max_size=4),
    max_leaves=8,
)


@given(body=json_values)
def test_any_json_is_survived_and_what_passes_has_what_sdks_reach_for(body: Any) -> None:  # noqa: ANN401 - JSON
    text = json.dumps(body).encode()
    passed = {examine for examine in PATHS if examine(text) is None}
    assert CHAT not in passed or isinstance(body["choices"][0], dict)
    assert MESSAGE not in passed or isinstance(body["content"], list)
    assert CONVERSE not in passed or isinstance(body["output"], dict)
    assert COUNT not in passed


@given(body=st.binary(max_size=60))
def test_any_bytes_are_survived(body: bytes) -> None:
    problems = [examine(body) for examine in PATHS]
    try:
        readable = isinstance(json.loads(body), dict)
    except ValueError:
        readable = False
    assert readable or None not in problems
