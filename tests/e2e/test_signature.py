"""What reaches Bedrock is signed as botocore would sign it."""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

if TYPE_CHECKING:
    from tests.e2e.conftest import Standing

    from hydrallm.faults.provider import Received

pytestmark = pytest.mark.asyncio(loop_scope="session")

AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/(?P<date>\d{8})/(?P<region>[^/]+)/bedrock/aws4_request, ?"
    r"SignedHeaders=(?P<signed>[^,]+), ?Signature=(?P<signature>[0-9a-f]{64})"
)
# From the session's config, see conftest.chains.
REGION, ACCESS_KEY, SECRET_KEY, SESSION_TOKEN = "eu-central-1", "AKIDUPSTREAM", "upstream-secret", "upstream-token"
MODELS = [
    "anthropic.claude-3-sonnet-20240229-v1:0",
    "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-v1:0",
]
TURN: list[Any] = [{"role": "user", "content": [{"text": "caf\u00e9"}]}]
BODY = json.dumps({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": []})
OPERATIONS: dict[str, tuple[dict[str, Any], str]] = {
    "invoke_model": ({"body": BODY}, "invoke"),
    "invoke_model_with_response_stream": ({"body": BODY}, "invoke-with-response-stream"),
    "converse": ({"messages": TURN}, "converse"),
    "converse_stream": ({"messages": TURN}, "converse-stream"),
}


def recomputed(received: Received, url: str) -> str:
    """Return botocore's signature of a request as it arrived, with the keys of the config."""
    values = {name.decode(): value.decode() for name, value in received.headers}
    match = AUTHORIZATION.fullmatch(values["authorization"])
    assert match, values["authorization"]
    assert (match["key"], match["region"]) == (ACCESS_KEY, REGION)
    assert values["x-amz-security-token"] == SESSION_TOKEN
    signed = match["signed"].split(";")
    assert {"host", "x-amz-date", "x-amz-security-token"} <= set(signed)
    request = AWSRequest(
        "POST", url + received.target.decode(), data=received.body, headers={name: values[name] for name in signed}
    )
    request.context["timestamp"] = values["x-amz-date"]
    signer = SigV4Auth(Credentials(ACCESS_KEY, SECRET_KEY, SESSION_TOKEN), "bedrock", REGION)
    signature: str = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    assert match["signature"] == signature
    return signature


@pytest.mark.parametrize("model", MODELS, ids=["id", "arn"])
@pytest.mark.parametrize("operation", OPERATIONS)
async def test_the_signature_is_botocores(operation: str, model: str, standing: Standing) -> None:
    arguments, action = OPERATIONS[operation]
    session = boto3.session.Session("AKIDCLIENT", "client-secret", region_name="us-east-1")
    config = Config(retries={"total_max_attempts": 1}, read_timeout=20)
    client = session.client("bedrock-runtime", endpoint_url=standing.gateway.url, config=config)

    def call() -> None:
        answer = getattr(client, operation)(modelId=model, **arguments)
        stream = answer.get("stream") or answer.get("body")
        if stream is not None:
            list(stream)

    await asyncio.to_thread(call)
    client.close()
    (received,) = standing.first.received
    assert received.target.decode() == f"/model/anthropic.claude-first-v1%3A0/{action}"
    assert recomputed(received, standing.first.url)
    if operation.startswith("invoke"):
        assert received.body.decode() == BODY, "on Bedrock the body is the client's"
