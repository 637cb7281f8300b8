"""Which credential an endpoint gets, from what its table states, the models that use it, and the environment.

For ``openai`` and ``anthropic`` the table alone decides. For ``bedrock`` the first of these that is there:

1. AWS keys in the table;
2. ``api_key`` in the table: a Bedrock API key, sent as a bearer token;
3. AWS keys in the environment;
4. ``AWS_BEARER_TOKEN_BEDROCK`` in the environment;
5. nothing: the client's own credentials pass, and what it does not sign goes unsigned, which deserves a warning.

An endpoint has one credential. It may serve several API types only if that credential fits them all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from hydrallm.credentials import aws
from hydrallm.endpoints.base import ApiKey, AwsKeys, ClientCredential, Credential, NoCredential
from hydrallm.formats.base import ApiType
from hydrallm.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

NONE = "-"

_UNSIGNED = (
    "no AWS keys and no api_key, here or in the environment: requests will go unsigned; "
    "set aws_access_key_id and aws_secret_access_key, or api_key"
)


class Stated(msgspec.Struct, frozen=True):
    """What the table of an endpoint says about credentials, references resolved."""

    api_key: Secret | None = None
    access_key_id: str | None = None
    secret_access_key: Secret | None = None
    session_token: Secret | None = None
    region: str | None = None


class Remark(msgspec.Struct, frozen=True):
    """Something to say about a key of the endpoint's table; about the whole table if ``key`` is empty."""

    key: str
    message: str


class Choice(msgspec.Struct, frozen=True):
    """The credential chosen. With problems it must not be used."""

    credential: Credential
    problems: tuple[Remark, ...] = ()
    warnings: tuple[Remark, ...] = ()


def choose(stated: Stated, types: Collection[ApiType], host: str, environ: Mapping[str, str]) -> Choice:
    """Return the credential of an endpoint.

    Args:
        stated: what its table says.
        types: the API types of the models that use it; empty if none does.
        host: the host of its URL, which may name an AWS region.
        environ: the environment.
    """
    if half := _half_pair(stated):
        return Choice(NoCredential(), problems=(half,))
    pair = _stated_pair(stated)
    if pair is None and (stated.api_key or ApiType.BEDROCK not in types):
        return Choice(_of_api_key(stated.api_key))
    if pair is None:
        try:
            pair = aws.key_pair(environ)
            token = aws.bearer_token(environ)
        except ValueError as error:
            return Choice(NoCredential(), problems=(Remark("", str(error)),))
        if pair is None and token is not None:
            return Choice(ApiKey(token))
        if pair is None:
            return Choice(ClientCredential(), warnings=(Remark("", _UNSIGNED),))
    return _of_pair(pair, stated, types, host, environ)


def _of_api_key(key: Secret | None) -> Credential:
    if key is None:
        return ClientCredential()
    return NoCredential() if key.reveal() == NONE else ApiKey(key)


def _of_pair(
    pair: aws.KeyPair, stated: Stated, types: Collection[ApiType], host: str, environ: Mapping[str, str]
) -> Choice:
    # A signature for another region than the host's is always refused, so the host is asked before the environment.
    named = aws.region_of(host)
    region = stated.region or named or aws.region(environ)
    problems, warnings = [], []
    if region is None:
        problems.append(
            Remark(
                "aws_region", "the AWS keys need a region to sign for; set aws_region, or AWS_REGION in the environment"
            )
        )
    elif named is not None and region != named:
        warnings.append(Remark("aws_region", f'signs for "{region}", but the URL is that of region "{named}"'))
    if others := sorted({kind.value for kind in types} - {ApiType.BEDROCK.value}):
        problems.append(
            Remark(
                "",
                f"has AWS keys, which fit models of type bedrock only, but is used by models of type "
                f"{' and '.join(others)}; give those an endpoint of their own",
            )
        )
    keys = AwsKeys(
        access_key_id=pair.access_key_id,
        secret_access_key=pair.secret_access_key,
        session_token=pair.session_token,
        region=region or "",
    )
    return Choice(keys, tuple(problems), tuple(warnings))


def _stated_pair(stated: Stated) -> aws.KeyPair | None:
    if stated.access_key_id is None or stated.secret_access_key is None:
        return None
    return aws.KeyPair(stated.access_key_id, stated.secret_access_key, stated.session_token)


def _half_pair(stated: Stated) -> Remark | None:
    has_id, has_secret = stated.access_key_id is not None, stated.secret_access_key is not None
    if has_id and not has_secret:
        return Remark("aws_secret_access_key", "is missing beside aws_access_key_id; set both or neither")
    if has_secret and not has_id:
        return Remark("aws_access_key_id", "is missing beside aws_secret_access_key; set both or neither")
    if stated.session_token is not None and not has_id:
        return Remark(
            "aws_session_token", "belongs to a pair of keys; set aws_access_key_id and aws_secret_access_key too"
        )
    return None
