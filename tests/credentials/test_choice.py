from __future__ import annotations

import pytest

from hydrallm.credentials.choice import Choice, Stated, choose
from hydrallm.endpoints.base import ApiKey, AwsChain, AwsKeys, ClientCredential, NoCredential
from hydrallm.formats.base import ApiType
from hydrallm.secret import Secret

OPENAI, ANTHROPIC, BEDROCK = ApiType.OPENAI, ApiType.ANTHROPIC, ApiType.BEDROCK
HOST = "bedrock-runtime.us-east-1.amazonaws.com"
PAIR = Stated(access_key_id="id", secret_access_key=Secret("secret"))
KEY = Stated(api_key=Secret("key"))
ENV_PAIR = {"AWS_ACCESS_KEY_ID": "env-id", "AWS_SECRET_ACCESS_KEY": "env-secret", "AWS_SESSION_TOKEN": "env-token"}
ENV_BEARER = {"AWS_BEARER_TOKEN_BEDROCK": "env-bearer"}
OWN_KEYS = AwsKeys("id", Secret("secret"), None, "us-east-1")
ENV_KEYS = AwsKeys("env-id", Secret("env-secret"), Secret("env-token"), "us-east-1")


@pytest.mark.parametrize(
    ("stated", "types", "environ", "credential"),
    [
        (Stated(), {OPENAI}, {}, ClientCredential()),
        (Stated(), set(), ENV_PAIR, ClientCredential()),
        (Stated(), {OPENAI, ANTHROPIC}, ENV_PAIR | ENV_BEARER, ClientCredential()),
        (KEY, {OPENAI}, {}, ApiKey(Secret("key"))),
        (KEY, {OPENAI, BEDROCK, ANTHROPIC}, ENV_PAIR, ApiKey(Secret("key"))),
        (Stated(api_key=Secret("-")), {ANTHROPIC}, {}, NoCredential()),
        (Stated(api_key=Secret("-")), {BEDROCK}, ENV_PAIR, NoCredential()),
        (PAIR, {BEDROCK}, ENV_PAIR | ENV_BEARER, OWN_KEYS),
        (PAIR, set(), {}, OWN_KEYS),
        (Stated(Secret("key"), "id", Secret("secret")), {BEDROCK}, {}, OWN_KEYS),
        (Stated(), {BEDROCK}, ENV_PAIR | ENV_BEARER, ENV_KEYS),
        (Stated(), {BEDROCK}, ENV_BEARER, ApiKey(Secret("env-bearer"))),
        (Stated(), {BEDROCK, OPENAI}, ENV_BEARER, ApiKey(Secret("env-bearer"))),
    ],
)
def test_the_first_that_is_there(
    stated: Stated, types: set[ApiType], environ: dict[str, str], credential: object
) -> None:
    assert choose(stated, types, HOST, environ) == Choice(credential)  # type: ignore[arg-type]


def test_nothing_at_all_for_bedrock_is_warned_of() -> None:
    choice = choose(Stated(), {BEDROCK}, HOST, {})
    assert choice.credential == ClientCredential()
    assert choice.problems == ()
    (warning,) = choice.warnings
    assert "requests will go unsigned" in warning.message


def test_what_was_looked_for_is_said_and_what_would_find_more() -> None:
    (warning,) = choose(Stated(), {BEDROCK}, HOST, {}).warnings
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_BEARER_TOKEN_BEDROCK", "api_key"):
        assert name in warning.message
    assert warning.message.endswith("run: pip install 'hydrallm[aws]'")


@pytest.mark.parametrize(
    ("stated", "types", "environ", "credential"),
    [
        (Stated(), {BEDROCK}, {}, AwsChain(None, "us-east-1")),
        (Stated(region="eu-west-3"), {BEDROCK}, {}, AwsChain(None, "eu-west-3")),
        (Stated(profile="p"), {BEDROCK}, {}, AwsChain("p", "us-east-1")),
        (Stated(profile="p"), {BEDROCK}, ENV_PAIR | ENV_BEARER, AwsChain("p", "us-east-1")),
        (Stated(profile="p"), set(), {}, AwsChain("p", "us-east-1")),
        (Stated(), {BEDROCK}, ENV_PAIR, ENV_KEYS),
        (Stated(), {BEDROCK}, ENV_BEARER, ApiKey(Secret("env-bearer"))),
        (Stated(), {OPENAI}, {}, ClientCredential()),
        (Stated(), set(), {}, ClientCredential()),
        (KEY, {BEDROCK}, {}, ApiKey(Secret("key"))),
        (PAIR, {BEDROCK}, {}, OWN_KEYS),
    ],
)
def test_the_chain_comes_after_all_keys_but_a_profile_before_those_of_the_environment(
    stated: Stated, types: set[ApiType], environ: dict[str, str], credential: object
) -> None:
    choice = choose(stated, types, HOST, environ, has_chain=True)
    assert choice.credential == credential
    assert choice.problems == ()


def test_the_region_of_the_chain_may_be_the_profiles() -> None:
    nameless = choose(Stated(profile="p"), {BEDROCK}, "proxy.example", {}, has_chain=True)
    assert nameless == Choice(AwsChain("p", None))
    elsewhere = choose(Stated(profile="p", region="eu-west-1"), {BEDROCK}, HOST, {}, has_chain=True)
    assert [warning.key for warning in elsewhere.warnings] == ["aws_region"]


def test_what_the_machine_has_is_shown_to_aws_and_to_no_other_host_unasked() -> None:
    choice = choose(Stated(), {BEDROCK}, "proxy.example", {"AWS_REGION": "eu-west-1"}, has_chain=True)
    assert choice.credential == ClientCredential()
    (warning,) = choice.warnings
    assert warning.message.endswith("set aws_region: the host is none of AWS's")
    asked = choose(Stated(region="eu-west-1"), {BEDROCK}, "proxy.example", {}, has_chain=True)
    assert asked == Choice(AwsChain(None, "eu-west-1"))


def test_an_endpoint_of_several_types_passes_the_clients_credentials_as_before() -> None:
    choice = choose(Stated(), {BEDROCK, OPENAI}, HOST, {}, has_chain=True)
    assert choice.credential == ClientCredential()
    (warning,) = choice.warnings
    assert "requests will go unsigned" in warning.message
    assert "pip install" not in warning.message


@pytest.mark.parametrize(
    ("stated", "types", "has_chain", "key", "words"),
    [
        (Stated(profile="p"), {BEDROCK}, False, "aws_profile", "run: pip install 'hydrallm[aws]'"),
        (Stated(profile="p"), {OPENAI}, True, "", "fit models of type bedrock only"),
        (Stated(Secret("key"), profile="p"), {BEDROCK}, True, "aws_profile", "there is api_key beside it"),
        (Stated(None, "id", Secret("s"), profile="p"), {BEDROCK}, True, "aws_profile", "there is aws_access_key_id"),
    ],
)
def test_a_profile_that_cannot_be(stated: Stated, types: set[ApiType], has_chain: bool, key: str, words: str) -> None:
    (problem,) = choose(stated, types, HOST, {}, has_chain=has_chain).problems
    assert problem.key == key
    assert words in problem.message


@pytest.mark.parametrize(
    ("stated", "host", "environ", "region"),
    [
        ("eu-west-1", "proxy.example", {"AWS_REGION": "us-west-2"}, "eu-west-1"),
        (None, HOST, {"AWS_REGION": "us-west-2"}, "us-east-1"),  # any other would never verify there
        (None, "proxy.example", {"AWS_REGION": "us-west-2"}, "us-west-2"),
        (None, "proxy.example", {"AWS_DEFAULT_REGION": "us-west-2"}, "us-west-2"),
    ],
)
def test_the_region(stated: str | None, host: str, environ: dict[str, str], region: str) -> None:
    choice = choose(Stated(None, "id", Secret("s"), None, stated), {BEDROCK}, host, environ)
    assert isinstance(choice.credential, AwsKeys)
    assert choice.credential.region == region
    assert choice.problems == choice.warnings == ()


def test_a_region_that_is_not_the_hosts_is_warned_of() -> None:
    choice = choose(Stated(None, "id", Secret("s"), None, "eu-west-1"), {BEDROCK}, HOST, {})
    assert isinstance(choice.credential, AwsKeys)
    assert choice.credential.region == "eu-west-1"
    assert [warning.key for warning in choice.warnings] == ["aws_region"]


@pytest.mark.parametrize(
    ("stated", "types", "host", "environ", "keys"),
    [
        (PAIR, {BEDROCK}, "proxy.example", {}, ["aws_region"]),
        (PAIR, {BEDROCK, OPENAI}, HOST, {}, [""]),
        (PAIR, {ANTHROPIC}, HOST, {}, [""]),
        (PAIR, {ANTHROPIC}, "proxy.example", {}, ["aws_region", ""]),
        (Stated(), {BEDROCK, OPENAI}, HOST, ENV_PAIR, [""]),
        (Stated(access_key_id="id"), {BEDROCK}, HOST, ENV_PAIR, ["aws_secret_access_key"]),
        (Stated(secret_access_key=Secret("s")), {OPENAI}, HOST, {}, ["aws_access_key_id"]),
        (Stated(session_token=Secret("t")), set(), HOST, {}, ["aws_session_token"]),
        (Stated(), {BEDROCK}, HOST, {"AWS_ACCESS_KEY_ID": "id"}, [""]),
        (Stated(), {BEDROCK}, HOST, {"AWS_BEARER_TOKEN_BEDROCK": "a b"}, [""]),
    ],
)
def test_what_cannot_be(
    stated: Stated, types: set[ApiType], host: str, environ: dict[str, str], keys: list[str]
) -> None:
    assert [problem.key for problem in choose(stated, types, host, environ).problems] == keys
