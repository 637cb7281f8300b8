"""Which exception Bedrock's SDKs make of an error, as botocore parses it."""

from __future__ import annotations

import botocore.parsers
import botocore.session
import pytest

from hydrallm.formats.base import ApiError
from hydrallm.formats.bedrock_error import encode_error

SHAPE = botocore.session.get_session().get_service_model("bedrock-runtime").operation_model("Converse").output_shape


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("", "ThrottlingException"),
        ("ModelNotReadyException", "ModelNotReadyException"),
        ("serviceUnavailableException", "ServiceUnavailableException"),
        ("rate_limit_error", "ThrottlingException"),
        ("Evil\r\nx: Exception", "ThrottlingException"),
        ("A" * 100 + "Exception", "ThrottlingException"),
    ],
)
def test_the_upstreams_exception_is_kept_where_it_is_one(kind: str, code: str) -> None:
    response = encode_error(ApiError(429, "slow down", "rate_limited", "r", kind))
    headers = {name.decode(): value.decode() for name, value in response.headers}
    parsed = botocore.parsers.create_parser("rest-json").parse(
        {"status_code": response.status, "headers": headers, "body": response.body}, SHAPE
    )
    assert parsed["Error"]["Code"] == code
    assert parsed["Error"]["Message"] == "slow down"
