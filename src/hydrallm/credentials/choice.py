"""Which credential an endpoint gets, from what its table states, the models that use it, and the environment.

For ``openai`` and ``anthropic`` the table alone decides. For ``bedrock`` the first of these that is there:

1. AWS keys in the table;
2. ``api_key`` in the table: a Bedrock API key, sent as a bearer token;
3. ``aws_profile`` in the table: what AWS's standard chain makes of that profile;
4. AWS keys in the environment;
5. ``AWS_BEARER_TOKEN_BEDROCK`` in the environment;
6. what AWS's standard chain finds, if botocore is there to walk it, all models are of type ``bedrock``, and the host is
   AWS's or ``aws_region`` is in the table: what a machine has, no stranger is shown unasked;
7. nothing: the client's own credentials pass, and what it does not sign goes unsigned, which deserves a warning.

An endpoint has one credential. It may serve several API types only if that credential fits them all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from hydrallm.credentials import aws
from hydrallm.credentials.aws_chain import INSTALL
from hydrallm.endpoints.base import ApiKey, AwsChain, AwsKeys, ClientCredential, Credential, NoCredential
from hydrallm.formats.base import ApiType
from hydrallm.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

NONE = "-"

_UNSIGNED = (
    "no AWS keys and no api_key, here or in the environment "
    f"({aws.ACCESS_KEY_ID} and {aws.SECRET_ACCESS_KEY}, or {aws.BEARER_TOKEN}): requests will go unsigned; "
    "set aws_access_key_id and aws_secret_access_key, or api_key"
)
_NO_CHAIN = f"; for profiles, SSO, roles, containers and instances run: {INSTALL}"
_NO_HOST_OF_AWS = "; for profiles, SSO, roles, containers and instances set aws_region: the host is none of AWS's"
_NEEDS_CHAIN = f"profiles are read by botocore, which is not installed; run: {INSTALL}"
_TWO_SOURCES = "says where the keys come from, but there is {} beside it; keep one of them"


class Stated(msgspec.Struct, frozen=True):
    """What the table of an endpoint says about credentials, references resolved."""

    api_key: Secret | None = None
    access_key_id: str | None = None
    secret_access_key: Secret | None = None
    session_token: Secret | None = None
    region: str | None = None
    profile: str | None = None


class Remark(msgspec.Struct, frozen=True):
    """Something to say about a key of the endpoint's table; about the whole table if ``key`` is empty."""

    key: str
    message: str


class Choice(msgspec.Struct, frozen=True):
    """The credential chosen. With problems it must not be used."""

    credential: Credential
    problems: tuple[Remark, ...] = ()
    warnings: tuple[Remark, ...] = ()


def choose(
    stated: Stated, types: Collection[ApiType], host: str, environ: Mapping[str, str], *, has_chain: bool = False
) -> Choice:
    """Return the credential of an endpoint.

    Args:
        stated: what its table says.
        types: the API types of the models that use it; empty if none does.
        host: the host of its URL, which may name an AWS region.
        environ: the environment.
        has_chain: whether there is what walks AWS's standard chain: botocore.
    """
    if wrong := _half_pair(stated) or _two_sources(stated):
        return Choice(NoCredential(), problems=(wrong,))
    if stated.profile is not None:
        problems = () if has_chain or not types else (Remark("aws_profile", _NEEDS_CHAIN),)
        return _of_chain(stated, types, host, environ, problems)
    if (pair := _stated_pair(stated)) is not None:
        return _of_pair(pair, stated, types, host, environ)
    if stated.api_key or ApiType.BEDROCK not in types:
        return Choice(_of_api_key(stated.api_key))
    return _of_environment(stated, types, host, environ, has_chain=has_chain)


def _of_environment(
    stated: Stated, types: Collection[ApiType], host: str, environ: Mapping[str, str], *, has_chain: bool
) -> Choice:
    try:
        pair = aws.key_pair(environ)
        token = aws.bearer_token(environ)
    except ValueError as error:
        return Choice(NoCredential(), problems=(Remark("", str(error)),))
    if pair is not None:
        return _of_pair(pair, stated, types, host, environ)
    if token is not None:
        return Choice(ApiKey(token))
    hint = "" if has_chain else _NO_CHAIN
    if has_chain and set(types) == {ApiType.BEDROCK}:
        if stated.region or aws.region_of(host):
            return _of_chain(stated, types, host, environ)
        hint = _NO_HOST_OF_AWS
    return Choice(ClientCredential(), warnings=(Remark("", _UNSIGNED + hint),))


def _of_api_key(key: Secret | None) -> Credential:
    if key is None:
        return ClientCredential()
    return NoCredential() if key.reveal() == NONE else ApiKey(key)


def _of_pair(
    pair: aws.KeyPair, stated: Stated, types: Collection[ApiType], host: str, environ: Mapping[str, str]
) -> Choice:
    region, warnings = _region(stated, host, environ)
    problems = _misfits(types)
    if region is None:
        wanted = "the AWS keys need a region to sign for; set aws_region, or AWS_REGION in the environment"
        problems = (Remark("aws_region", wanted), *problems)
    keys = AwsKeys(
        access_key_id=pair.access_key_id,
        secret_access_key=pair.secret_access_key,
        session_token=pair.session_token,
        region=region or "",
    )
    return Choice(keys, problems, warnings)


def _of_chain(
    stated: Stated,
    types: Collection[ApiType],
    host: str,
    environ: Mapping[str, str],
    problems: tuple[Remark, ...] = (),
) -> Choice:
    region, warnings = _region(stated, host, environ)  # where there is none, the profile may name one
    return Choice(AwsChain(stated.profile, region), (*problems, *_misfits(types)), warnings)


def _region(stated: Stated, host: str, environ: Mapping[str, str]) -> tuple[str | None, tuple[Remark, ...]]:
    """Return the region to sign for, and what is doubtful about it."""
    # A signature for another region than the host's is always refused, so the host is asked before the environment.
    named = aws.region_of(host)
    region = stated.region or named or aws.region(environ)
    if region is None or named is None or region == named:
        return region, ()
    return region, (Remark("aws_region", f'signs for "{region}", but the URL is that of region "{named}"'),)


def _misfits(types: Collection[ApiType]) -> tuple[Remark, ...]:
    others = sorted({kind.value for kind in types} - {ApiType.BEDROCK.value})
    if not others:
        return ()
    message = (
        f"has AWS keys, which fit models of type bedrock only, but is used by models of type "
        f"{' and '.join(others)}; give those an endpoint of their own"
    )
    return (Remark("", message),)


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


def _two_sources(stated: Stated) -> Remark | None:
    if stated.profile is None:
        return None
    beside = "aws_access_key_id" if stated.access_key_id is not None else "api_key" if stated.api_key else None
    return None if beside is None else Remark("aws_profile", _TWO_SOURCES.format(beside))
