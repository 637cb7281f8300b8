"""The paths of Amazon Bedrock's runtime, which name the model.

PURE. https://docs.aws.amazon.com/bedrock/latest/APIReference/API_Operations_Amazon_Bedrock_Runtime.html
"""

from __future__ import annotations

from urllib.parse import quote


def model_path(model: str, operation: str) -> bytes:
    """Return the path of an operation on a model.

    Args:
        model: its id or ARN; percent-encoded as boto3 encodes it: colons and slashes too.
        operation: such as ``converse-stream``.
    """
    return f"/model/{quote(model, safe='')}/{operation}".encode("ascii")
