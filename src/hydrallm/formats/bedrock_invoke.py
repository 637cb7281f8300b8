"""Amazon Bedrock's InvokeModel: a body in the model maker's own format.

PURE. https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModel.html.
The model is named in the path, percent-encoded, and the operation there says whether the answer is a stream.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hydrallm.formats import bedrock_error
from hydrallm.formats.base import ApiError, ApiType, Operation

if TYPE_CHECKING:
    from hydrallm.message import Response

# Some clients send the colons of an id as they are; the slashes of an ARN always come as %2F.
_PATH = re.compile(rb"/+model/([^/]+)/invoke(-with-response-stream)?")


class BedrockInvoke:
    """The wire format ``bedrock-invoke``."""

    name = "bedrock-invoke"
    api_type = ApiType.BEDROCK

    def match(self, path: bytes) -> Operation | None:
        """Return the operation that a POST to ``path`` stands for, or None if it is not one of this format."""
        if (found := _PATH.fullmatch(path)) is None:
            return None
        return Operation(self, stream=found[2] is not None, model_span=found.span(1))

    def encode_error(self, error: ApiError) -> Response:
        """Return ``error`` as AWS's SDKs expect it."""
        return bedrock_error.encode_error(error)
