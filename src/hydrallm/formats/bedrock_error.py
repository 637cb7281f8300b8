"""How Amazon Bedrock's runtime says that something went wrong; InvokeModel and Converse say it alike.

PURE. https://docs.aws.amazon.com/bedrock/latest/APIReference/CommonErrors.html and the errors of each operation. AWS
SDKs read the exception's name from the header ``x-amzn-errortype``, the text from ``message``, and the id of the
request from ``x-amzn-requestid``. The statuses are the client's to see; the names are those of the service's model
that come nearest, so that ``client.exceptions`` has them. How a stream says it: :mod:`hydrallm.formats.bedrock_stream`.
"""

from __future__ import annotations

import re
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


_EXCEPTION = re.compile("[A-Za-z]{1,60}Exception")


def encode_error(error: ApiError) -> Response:
    """Return ``error`` as AWS's SDKs expect it: the exception that its ``type`` is, or else that of its status."""
    # In a stream's model the names start in lower case.
    named = error.type[:1].upper() + error.type[1:]
    exception = named if _EXCEPTION.fullmatch(named) else error_type(TYPES, error.status)
    headers = [
        (b"x-amzn-errortype", exception.encode()),
        (b"x-amzn-requestid", error.request_id.encode()),
    ]
    return error_response(error, {"message": error.message}, headers)
