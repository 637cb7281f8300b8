"""What cannot be served is said in the same words, whatever the format of the model."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from hydrallm.formats.anthropic_messages_codec import AnthropicMessagesCodec
from hydrallm.formats.bedrock_converse_codec import BedrockConverseCodec
from hydrallm.formats.bedrock_invoke_codec import BedrockInvokeCodec
from hydrallm.formats.canonical import (
    Choice,
    Document,
    Image,
    Message,
    Request,
    Role,
    Source,
    Target,
    Text,
    Tool,
    ToolChoice,
    UnservedError,
    UntranslatableError,
)
from hydrallm.formats.facts import Facts
from hydrallm.formats.openai_chat_codec import OpenAIChatCodec
from hydrallm.formats.openai_responses_codec import OpenAIResponsesCodec

if TYPE_CHECKING:
    from hydrallm.formats.codec import Codec

CHAT, RESPONSES, CONVERSE = OpenAIChatCodec(), OpenAIResponsesCodec(), BedrockConverseCodec()
MESSAGES, INVOKE = AnthropicMessagesCodec(), BedrockInvokeCodec()
CODECS: list[Codec] = [CHAT, RESPONSES, MESSAGES, INVOKE, CONVERSE]
EVERY = pytest.mark.parametrize("model", CODECS, ids=lambda codec: codec.name)
HI = Message(Role.USER, (Text("hi"),))
BEGUN = Message(Role.ASSISTANT, (Text("Once"),))
PNG = Image(Source(data="iVBORw0KGgo=", media_type="image/png"))
FORCED = ToolChoice(Choice.REQUIRED)
ALWAYS = {"adaptive": True, "thinks_always": True, "efforts": ("low",), "forced_tool_thinking": False}


def ask(*messages: Message, **members: Any) -> Request:  # noqa: ANN401 - of several types
    return Request(format="another", messages=messages or (HI,), **members)


def reasons(model: Codec, request: Request, **facts: Any) -> tuple[str, ...]:  # noqa: ANN401 - of several types
    with pytest.raises(UnservedError) as caught:
        model.compose(request, Target("us.anthropic.claude-x", Facts(**facts)))
    return caught.value.reasons


@EVERY
@pytest.mark.parametrize(
    ("request_", "facts", "reason"),
    [
        (ask(Message(Role.USER, (PNG,))), {"images": False}, "the model takes no images"),
        (ask(Message(Role.USER, (Document(text="a"),))), {"documents": False}, "the model takes no documents"),
        (ask(tools=(Tool("f"),)), {"tools": False}, "the model takes no tools"),
        (ask(tools=(Tool("f"),), tool_choice=FORCED), {"forced_tool": False}, "the model takes no forced tool call"),
        (
            ask(tools=(Tool("f"),), tool_choice=FORCED),
            ALWAYS,
            "the model always thinks, and takes no forced tool call while it does",
        ),
        (ask(tool_choice=FORCED), {}, "a tool is to be called, and there are none"),
        (ask(HI, BEGUN), {"prefill": False}, "the model does not continue an assistant's turn"),
        (ask(Message(Role.USER, (Image(Source(file="f1")),))), {}, "file"),
        (ask(HI, Message(Role.ASSISTANT, (PNG,)), HI), {}, "an image or a document in an assistant's turn"),
        (
            ask(tools=(Tool("bash", native=b'{"type":"bash_20250124","name":"bash"}'),), bound=("`n` over 1",)),  # type: ignore[arg-type]
            {},
            "`n` over 1",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_one_thing_has_one_reason(model: Codec, request_: Request, facts: dict[str, Any], reason: str) -> None:
    if reason == "file":
        reason = "the id of a file at another provider"
        reason = "the id of an image, for which Chat Completions has no member" if model is CHAT else reason
    assert reasons(model, request_, **facts) == (reason,)


@EVERY
@pytest.mark.parametrize(
    ("client", "body", "reason"),
    [
        (RESPONSES, {"prompt": {"id": "pmpt_1"}}, "`prompt`, which is stored at OpenAI"),
        (
            RESPONSES,
            {"input": [{"type": "item_reference", "id": "msg_1"}]},
            "an input item of the type 'item_reference'",
        ),
        (
            CHAT,
            {
                "messages": [{"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}}],
                "functions": [{"name": "f"}],
            },
            "`functions`, the older form of `tools`",
        ),
        (
            CONVERSE,
            {"messages": [{"role": "user", "content": [{"image": {"format": "png", "source": {"s3Location": {}}}}]}]},
            "an image in S3",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_binds_a_request_has_no_second_reason(
    client: Codec, body: dict[str, Any], reason: str, model: Codec
) -> None:
    request = client.read_request(json.dumps(body).encode(), model="m", stream=False)
    found = reasons(model, request, prefill=False)
    assert reason in found
    assert set(found) == set(request.bound)


@pytest.mark.parametrize("body", [{"prompt": "Llama's", "max_gen_len": 5}, {"inputText": "Titan's"}])
def test_a_body_of_another_maker_is_called_so(body: dict[str, Any]) -> None:
    with pytest.raises(UntranslatableError, match="not of Anthropic's form"):
        INVOKE.read_request(json.dumps(body).encode(), model="m", stream=False)
    with pytest.raises(UntranslatableError, match="messages"):
        INVOKE.read_request(json.dumps(body | {"anthropic_version": "x"}).encode(), model="m", stream=False)


@pytest.mark.parametrize("model", [MESSAGES, INVOKE, CONVERSE], ids=lambda codec: codec.name)
def test_a_policy_in_mid_conversation_is_not_taken_for_the_users_words(model: Codec) -> None:
    turns = [
        {"role": "user", "content": "a"},
        {"role": "system", "content": "No refunds."},
        {"role": "user", "content": "b"},
    ]
    request = CHAT.read_request(json.dumps({"messages": turns}).encode(), model="m", stream=False)
    composed = model.compose(request, Target("us.anthropic.claude-x", Facts()))
    (turn,) = json.loads(composed.body)["messages"]
    assert [block["text"] for block in turn["content"]] == ["a", "<system>\nNo refunds.\n</system>", "b"]
    assert composed.dropped == ()
