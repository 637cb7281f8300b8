"""What judges Converse: AWS's service model, botocore, and boto3."""

from __future__ import annotations

import base64
import itertools
import json
import re
from typing import TYPE_CHECKING, Any

import boto3
import botocore.session
import botocore.validate
import pytest
from botocore.awsrequest import AWSRequest, AWSResponse
from botocore.config import Config
from botocore.serialize import create_serializer

from hydrallm.formats.bedrock_converse import BedrockConverse
from hydrallm.formats.bedrock_converse_codec import BedrockConverseCodec
from hydrallm.formats.canonical import Composed, Request, Target, UnservedError
from hydrallm.formats.facts import Facts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CODEC = BedrockConverseCodec()
OPERATION = botocore.session.get_session().get_service_model("bedrock-runtime").operation_model("Converse")
CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
UNKNOWN = Facts()


def params(shape: Any, value: Any) -> Any:  # noqa: ANN401 - botocore has no types
    """Return ``value``, off the wire, as a program gives it to botocore: blobs are bytes."""
    match shape.type_name:
        case "structure" if not shape.is_document_type:
            return {k: params(shape.members[k], v) if k in shape.members else v for k, v in value.items()}
        case "list":
            return [params(shape.member, item) for item in value]
        case "blob":
            return base64.b64decode(value, validate=True)
        case _:
            return value


def violations(shape: Any, value: Any, where: str) -> list[str]:  # noqa: ANN401 - botocore has no types
    """Return where ``value`` breaks what botocore knows, but does not check: it leaves that to the service."""
    found: list[str] = []
    limits = shape.metadata
    if shape.type_name == "structure" and not shape.is_document_type:
        if limits.get("union") and len(value) != 1:
            found.append(f"{where} is a union and has {list(value)}")
        return found + [v for k in value for v in violations(shape.members[k], value[k], f"{where}.{k}")]
    if shape.type_name == "list":
        found += [v for i, item in enumerate(value) for v in violations(shape.member, item, f"{where}[{i}]")]
    if shape.type_name == "map":
        found += [v for k in value for v in violations(shape.key, k, f"{where} key")]
        found += [v for k in value for v in violations(shape.value, value[k], f"{where}[{k}]")]
    if "enum" in limits and value not in limits["enum"]:
        found.append(f"{where} is {value!r}")
    if "pattern" in limits and not re.fullmatch(limits["pattern"], value):
        found.append(f"{where} is {value!r}, not {limits['pattern']}")
    size = value if isinstance(value, int | float) else len(value) if hasattr(value, "__len__") else 0
    if size > limits.get("max", size) or size < limits.get("min", size):
        found.append(f"{where} has {size}")
    return found


def check(body: bytes) -> dict[str, Any]:
    """Return a composed body that AWS's model allows, and those of the service's rules that are not in it."""
    wire: dict[str, Any] = json.loads(body)
    said = {"modelId": "m", **params(OPERATION.input_shape, wire)}
    report = botocore.validate.ParamValidator().validate(said, OPERATION.input_shape)
    assert not report.has_errors(), report.generate_report()
    assert violations(OPERATION.input_shape, said, "request") == []
    sent = create_serializer("rest-json").serialize_to_request(said, OPERATION)
    assert json.loads(sent["body"]) == wire
    roles = [message["role"] for message in wire["messages"]]
    assert roles[0] == "user"
    assert all(one != other for one, other in itertools.pairwise(roles))
    for message in wire["messages"]:
        blocks = message["content"]
        assert blocks
        assert "cachePoint" not in blocks[0]
        assert all(block["text"].strip() for block in blocks if "text" in block), "blank text is refused"
        if any("document" in block for block in blocks):
            assert any("text" in block for block in blocks), "a document needs words beside it"
        if any("toolUse" in block or "toolResult" in block for block in blocks):
            assert "toolConfig" in wire
    return wire


@pytest.fixture(scope="session", name="compose")
def fixture_compose() -> Callable[..., tuple[dict[str, Any], Composed]]:
    """Composes a request for a model, and returns what botocore would send; it has to be legal."""

    def compose(request: Request, model: str = CLAUDE, facts: Facts = UNKNOWN) -> tuple[dict[str, Any], Composed]:
        composed = CODEC.compose(request, Target(model, facts))
        return check(composed.body), composed

    return compose


@pytest.fixture(scope="session", name="refused")
def fixture_refused() -> Callable[..., tuple[str, ...]]:
    """Returns why a request cannot be composed for a model."""

    def refused(request: Request, model: str = CLAUDE, facts: Facts = UNKNOWN) -> tuple[str, ...]:
        with pytest.raises(UnservedError) as caught:
            CODEC.compose(request, Target(model, facts))
        return caught.value.reasons

    return refused


class Body:
    """The part of urllib3's response that botocore reads of a stream."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self) -> Iterator[bytes]:
        yield self._content


@pytest.fixture(scope="session", name="boto_reads")
def fixture_boto_reads() -> Callable[[bytes], list[dict[str, Any]]]:
    """Returns the events that a program with boto3 gets; the proxy's own scan has to find the stream complete."""
    client = boto3.client(
        "bedrock-runtime",
        endpoint_url="http://h",
        region_name="us-east-1",
        aws_access_key_id="AKID",
        aws_secret_access_key="secret",
        config=Config(retries={"total_max_attempts": 1}),
    )
    wires: list[bytes] = []

    def answer(request: AWSRequest, **_: object) -> AWSResponse:
        return AWSResponse(request.url, 200, {"content-type": "application/vnd.amazon.eventstream"}, Body(wires.pop()))

    client.meta.events.register("before-send", answer)

    def boto_reads(wire: bytes) -> list[dict[str, Any]]:
        scan = BedrockConverse().scan()
        assert scan.feed(wire) == wire
        assert (scan.complete, scan.broken, scan.dropped) == (True, "", 0)
        wires.append(wire)
        return list(client.converse_stream(modelId="m", messages=[])["stream"])

    return boto_reads
