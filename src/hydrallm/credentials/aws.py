"""Credentials and region for AWS: what the environment offers, and what the endpoint's host name says.

The variables and their meaning are those of the AWS SDKs (AWS SDKs and Tools Reference Guide, "Environment variables").
Profiles, containers and instance metadata are not asked here: they need files and the network.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from hydrallm.credentials.environment import lookup, secret
from hydrallm.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

ACCESS_KEY_ID = "AWS_ACCESS_KEY_ID"
SECRET_ACCESS_KEY = "AWS_SECRET_ACCESS_KEY"  # noqa: S105 - the name of a variable, not a secret
SESSION_TOKEN = "AWS_SESSION_TOKEN"  # noqa: S105 - the same
BEARER_TOKEN = "AWS_BEARER_TOKEN_BEDROCK"  # noqa: S105 - the same
REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")

REGION = re.compile(r"[a-z]{2,}(?:-[a-z0-9]+)+")

# Runtime endpoints of the service (AWS General Reference, "Amazon Bedrock endpoints and quotas"), FIPS, China and
# interface endpoints (PrivateLink) included.
_RUNTIME_HOST = re.compile(
    rf"(?:.+\.)?bedrock-runtime(?:-fips)?\.(?P<region>{REGION.pattern})"
    r"(?:\.vpce)?\.(?:amazonaws\.com(?:\.cn)?|api\.aws)"
)


class KeyPair(msgspec.Struct, frozen=True):
    """Long-term keys, or temporary ones if there is a session token."""

    access_key_id: str
    secret_access_key: Secret
    session_token: Secret | None


def key_pair(environ: Mapping[str, str]) -> KeyPair | None:
    """Return the key pair of the environment, or None if neither half of it is there.

    Raises:
        ValueError: only one half is there, or one that no header could carry.
    """
    access_key_id, secret_key = lookup(ACCESS_KEY_ID, environ), lookup(SECRET_ACCESS_KEY, environ)
    if access_key_id is None and secret_key is None:
        return None
    if access_key_id is None or secret_key is None:
        there, missing = (ACCESS_KEY_ID, SECRET_ACCESS_KEY) if access_key_id else (SECRET_ACCESS_KEY, ACCESS_KEY_ID)
        raise ValueError(f"{there} is set in the environment but {missing} is not; set both or neither")
    return KeyPair(
        access_key_id=_read(ACCESS_KEY_ID, access_key_id).reveal(),
        secret_access_key=_read(SECRET_ACCESS_KEY, secret_key),
        session_token=_read(SESSION_TOKEN, token) if (token := lookup(SESSION_TOKEN, environ)) else None,
    )


def bearer_token(environ: Mapping[str, str]) -> Secret | None:
    """Return the Bedrock API key of the environment, or None.

    Raises:
        ValueError: no header could carry it.
    """
    token = lookup(BEARER_TOKEN, environ)
    return None if token is None else _read(BEARER_TOKEN, token)


def region(environ: Mapping[str, str]) -> str | None:
    """Return the region of the environment, or None if there is none or it is not one."""
    found = next((text for name in REGIONS if (text := lookup(name, environ))), None)
    return found if found and REGION.fullmatch(found) else None


def region_of(host: str) -> str | None:
    """Return the region that a Bedrock runtime host name, such as ``bedrock-runtime.us-east-1.amazonaws.com``, says."""
    match = _RUNTIME_HOST.fullmatch(host)
    return match["region"] if match else None


def _read(name: str, text: str) -> Secret:
    try:
        return secret(text)
    except ValueError as error:
        raise ValueError(f"{name} in the environment cannot be used: {error}") from None
