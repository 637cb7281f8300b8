"""AWS's standard chain of credentials, walked by botocore: the one module that imports it, and only when it is asked.

In botocore's order: the environment; roles to assume; web identity; SSO; the shared files; ``credential_process``;
containers (ECS, EKS pod identity); the instance (IMDSv2). It takes files, processes and the network, and so perhaps
minutes: run it in a thread. botocore reads the environment of the process by itself; it cannot be handed another one.

Each walk is a new one. A session of botocore remembers its files, its tokens and where it found keys for as long as it
lives. A new one finds what is there now, as after ``aws sso login``, and what fails in it is an error, not a warning in
somebody else's log.

Sources: AWS SDKs and Tools Reference Guide, "Standardized credential providers";
https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html
"""

from __future__ import annotations

import datetime
import importlib.util
from typing import TYPE_CHECKING, Any

import msgspec

from hydrallm.credentials.aws import KeyPair
from hydrallm.credentials.environment import secret
from hydrallm.errors import CredentialError

if TYPE_CHECKING:
    from botocore.session import Session

    from hydrallm.secret import Secret

INSTALL = "pip install 'hydrallm[aws]'"

_FILES = frozenset({"shared-credentials-file", "config-file"})
_NOTHING = (
    "none found: asked were the environment, the profile (keys, SSO, roles, web identity, credential_process), "
    "the container and the instance"
)
_LONGEST_REASON = 300  # characters; a credential_process may print anything


class Resolved(msgspec.Struct, frozen=True):
    """What the chain came to.

    Attributes:
        pair: the keys.
        expires: when they expire; None if nothing says so.
        source: botocore's name for where they are from, such as ``sso`` or ``iam-role``.
        region: that of the profile or the environment; None if neither names one.
    """

    pair: KeyPair
    expires: datetime.datetime | None
    source: str
    region: str | None

    @property
    def from_file(self) -> bool:
        """Whether they stand in a file as they are, so that somebody may write new ones there at any time."""
        return self.source in _FILES


def installed() -> bool:
    """Return whether botocore is there; it is not imported."""
    return importlib.util.find_spec("botocore") is not None


def resolve(profile: str | None, region: str | None) -> Resolved:
    """Walk the chain. Blocks.

    Args:
        profile: a profile of the shared files, which then comes before the environment; None for ``AWS_PROFILE`` or
            ``default``.
        region: where to assume roles if neither profile nor environment names a region.

    Raises:
        CredentialError: it led to nothing, or to nothing that can be used; one line says why.
    """
    import botocore.session

    try:
        return _walk(botocore.session.Session(profile=profile), region)
    except CredentialError:
        raise
    except Exception as error:  # botocore's, and whatever files, processes and the network lead to inside it
        raise CredentialError(_reason(error)) from error


def _walk(session: Session, region: str | None) -> Resolved:
    configured = session.get_config_variable("region")
    if configured is None and region is not None:
        session.set_config_variable("region", region)
    found = session.get_credentials()
    if found is None:
        raise CredentialError(_NOTHING)
    frozen = found.get_frozen_credentials()  # what is resolved on first use, is resolved here
    pair = KeyPair(
        access_key_id=_usable("access key id", frozen.access_key).reveal(),
        secret_access_key=_usable("secret access key", frozen.secret_key),
        session_token=_usable("session token", frozen.token) if frozen.token else None,
    )
    return Resolved(pair, _expiry(found), str(found.method), configured or None)


def _expiry(credentials: Any) -> datetime.datetime | None:  # noqa: ANN401 - botocore has no types
    # It has no public name for it; AWS's own CLI reads the same attribute for `aws configure export-credentials`.
    expires = getattr(credentials, "_expiry_time", None)
    return expires.astimezone(datetime.UTC) if isinstance(expires, datetime.datetime) else None


def _usable(name: str, text: object) -> Secret:
    if not isinstance(text, str):
        raise CredentialError(f"the {name} is missing")
    try:
        return secret(text)
    except ValueError as error:
        raise CredentialError(f"the {name} cannot be used: {error}") from None


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]}..."
