"""How Amazon Bedrock's runtime says that something went wrong; InvokeModel and Converse say it alike.

PURE. https://docs.aws.amazon.com/bedrock/latest/APIReference/CommonErrors.html and the errors of each operation. AWS
SDKs read the exception's name from the header ``x-amzn-errortype``, the text from ``message``, and the id of the
request from ``x-amzn-requestid``. The statuses are the client's to see; the names are those of the service's model
that come nearest, so that ``client.exceptions`` has them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hydrallm.formats.error_response import error_response, error_type

if TYPE_CHECKING:
    from hydrallm.formats.base import ApiError
    from hydrallm.message import Response

TYPES = {
    400: "ValidationException",
    401: "AccessDeniedException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    408: "ModelTimeoutException",
    424: "ModelErrorException",
    429: "ThrottlingException",
    500: "InternalServerException",
    502: "ServiceUnavailableException",
    503: "ServiceUnavailableException",
    504: "ModelTimeoutException",
}


def encode_error(error: ApiError) -> Response:
    """Return ``error`` as AWS's SDKs expect it."""
    headers = [
        (b"x-amzn-errortype", error_type(TYPES, error.status).encode()),
        (b"x-amzn-requestid", error.request_id.encode()),
    ]
    return error_response(error, {"message": error.message}, headers)
