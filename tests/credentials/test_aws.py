from __future__ import annotations

import pytest
from botocore.loaders import create_loader
from botocore.regions import EndpointResolver

from hydrallm.credentials import aws

PAIR = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret"}


def test_a_pair_with_and_without_a_token() -> None:
    pair = aws.key_pair(PAIR)
    assert pair is not None
    assert (pair.access_key_id, pair.secret_access_key.reveal(), pair.session_token) == ("id", "secret", None)
    temporary = aws.key_pair(PAIR | {"AWS_SESSION_TOKEN": "token"})
    assert temporary is not None
    assert temporary.session_token is not None
    assert temporary.session_token.reveal() == "token"


@pytest.mark.parametrize("environ", [{}, {"AWS_ACCESS_KEY_ID": ""}, {"AWS_SESSION_TOKEN": "token"}])
def test_no_pair(environ: dict[str, str]) -> None:
    assert aws.key_pair(environ) is None


@pytest.mark.parametrize("name", PAIR)
def test_half_a_pair(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is set in the environment but"):
        aws.key_pair({name: "x"})


@pytest.mark.parametrize("name", [*PAIR, "AWS_SESSION_TOKEN", "AWS_BEARER_TOKEN_BEDROCK"])
def test_what_no_header_can_carry_is_named_but_not_shown(name: str) -> None:
    environ = PAIR | {name: "hunter2\n"}
    with pytest.raises(ValueError, match=f"{name} in the environment cannot be used") as caught:
        aws.bearer_token(environ) if "BEARER" in name else aws.key_pair(environ)
    assert "hunter2" not in str(caught.value)


def test_the_bearer_token() -> None:
    token = aws.bearer_token({"AWS_BEARER_TOKEN_BEDROCK": "token"})
    assert token is not None
    assert token.reveal() == "token"
    assert aws.bearer_token({"AWS_BEARER_TOKEN_BEDROCK": ""}) is None


@pytest.mark.parametrize(
    ("environ", "region"),
    [
        ({}, None),
        ({"AWS_REGION": "eu-central-1"}, "eu-central-1"),
        ({"AWS_DEFAULT_REGION": "eu-central-1"}, "eu-central-1"),
        ({"AWS_REGION": "us-gov-west-1", "AWS_DEFAULT_REGION": "eu-central-1"}, "us-gov-west-1"),
        ({"AWS_REGION": "", "AWS_DEFAULT_REGION": "eu-central-1"}, "eu-central-1"),
        ({"AWS_REGION": "not a region"}, None),
    ],
)
def test_the_region_of_the_environment(environ: dict[str, str], region: str | None) -> None:
    assert aws.region(environ) == region


def test_the_hosts_of_botocore_say_their_region() -> None:
    """Every region that AWS's own list of endpoints knows, whether the service is there yet or not."""
    resolver = EndpointResolver(create_loader().load_data("endpoints"))
    seen = 0
    for partition in ("aws", "aws-cn", "aws-us-gov"):
        for region in resolver.get_available_endpoints("ec2", partition):
            host = resolver.construct_endpoint("bedrock-runtime", region)["hostname"]
            assert aws.region_of(host) == region, host
            seen += 1
    assert seen > 25


@pytest.mark.parametrize(
    ("host", "region"),
    [
        ("bedrock-runtime-fips.us-east-1.amazonaws.com", "us-east-1"),
        ("bedrock-runtime.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("vpce-0abc-1x.bedrock-runtime.eu-west-1.vpce.amazonaws.com", "eu-west-1"),
        ("bedrock-runtime.us-east-1.api.aws", "us-east-1"),
        ("bedrock.us-east-1.amazonaws.com", None),
        ("bedrock-runtime.us-east-1.amazonaws.com.evil.example", None),
        ("bedrock-runtime.amazonaws.com", None),
        ("api.openai.com", None),
        ("", None),
    ],
)
def test_the_region_of_a_host(host: str, region: str | None) -> None:
    assert aws.region_of(host) == region
