"""AWS Signature Version 4, with the payload signed.

PURE: the time is handed in. https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html

A signature is the HMAC of a text that names the algorithm, the time, the scope (date, region, service) and the hash of
the *canonical request*: method, path, query, headers and the hash of the body, each in one agreed spelling. The key
is derived from the secret and the scope, so it is good for a day, and remembered.

The spelling is botocore's, against which this is tested: the path is normalised and its percent signs are encoded
once more (every service but S3), the query is sorted. Signed are Host, Content-Type and all of X-Amz-*, which is what
AWS demands; anything else a proxy on the way may touch.
"""

from __future__ import annotations

import functools
import hmac
from hashlib import sha256
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_from_bytes, unquote_to_bytes

if TYPE_CHECKING:
    import datetime

    from hydrallm.endpoints.base import AwsKeys
    from hydrallm.message import Headers, Request
    from hydrallm.secret import Secret

ALGORITHM = "AWS4-HMAC-SHA256"

_UNSIGNED = frozenset({b"x-amzn-trace-id"})  # tracing on the way rewrites it
_REMEMBERED_KEYS = 64


def sign(request: Request, authority: bytes, keys: AwsKeys, service: str, now: datetime.datetime) -> Headers:
    """Return the headers to add to ``request``: the date, the session token if there is one, the signature.

    Args:
        request: complete but for these headers; its body is the whole body.
        authority: what the Host header will be.
        keys: whose signature it is, and the region.
        service: the name of the AWS service in the signature, such as ``bedrock``.
        now: the time in UTC.
    """
    timestamp = now.strftime("%Y%m%dT%H%M%SZ")
    added: Headers = [(b"x-amz-date", timestamp.encode("ascii"))]
    if keys.session_token is not None:
        added.append((b"x-amz-security-token", keys.session_token.reveal().encode()))
    path, _, query = request.target.partition(b"?")
    headers = _canonical_headers([(b"host", authority), *request.headers, *added])
    signed = b";".join(headers)
    canonical = b"\n".join(
        (
            request.method,
            _canonical_path(path),
            _canonical_query(query),
            *(b"%b:%b" % header for header in headers.items()),
            b"",
            signed,
            sha256(request.body).hexdigest().encode("ascii"),
        )
    )
    date = timestamp[:8]
    scope = f"{date}/{keys.region}/{service}/aws4_request"
    text = f"{ALGORITHM}\n{timestamp}\n{scope}\n{sha256(canonical).hexdigest()}"
    key = _signing_key(keys.secret_access_key, date, keys.region, service)
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    credential = f"{ALGORITHM} Credential={keys.access_key_id}/{scope}"
    added.append((b"authorization", f"{credential}, SignedHeaders={signed.decode()}, Signature={signature}".encode()))
    return added


@functools.lru_cache(_REMEMBERED_KEYS)
def _signing_key(secret: Secret, date: str, region: str, service: str) -> bytes:
    key = b"AWS4" + secret.reveal().encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def _canonical_path(path: bytes) -> bytes:
    """Return ``path`` without empty and dot segments, and encoded once more."""
    if b"//" in path or b"/." in path:
        segments: list[bytes] = []
        for segment in path.split(b"/"):
            if segment == b"..":
                del segments[-1:]
            elif segment not in (b"", b"."):
                segments.append(segment)
        closing = b"/" if segments and path.endswith(b"/") else b""
        path = b"/" + b"/".join(segments) + closing
    return quote(path, safe="/~").encode("ascii")


def _canonical_query(query: bytes) -> bytes:
    """Return ``query`` sorted by name and value, every one decoded and encoded again in AWS's spelling."""
    if not query:
        return b""
    pairs = sorted(
        (_canonical_text(name), _canonical_text(value))
        for name, _, value in (pair.partition(b"=") for pair in query.split(b"&"))
    )
    return "&".join(f"{name}={value}" for name, value in pairs).encode("ascii")


def _canonical_text(text: bytes) -> str:
    return quote_from_bytes(unquote_to_bytes(text), safe="-_.~")


def _canonical_headers(headers: Headers) -> dict[bytes, bytes]:
    """Return what is signed of ``headers``, sorted by name, repetitions joined, white space collapsed."""
    signed: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in (b"content-type", b"host") or (name.startswith(b"x-amz") and name not in _UNSIGNED):
            trimmed = b" ".join(value.split())
            signed[name] = signed[name] + b"," + trimmed if name in signed else trimmed
    return dict(sorted(signed.items()))
