"""Signatures against botocore's, and against those that AWS has published."""

from __future__ import annotations

import datetime
import timeit
from urllib.parse import quote

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hydrallm.endpoints.base import AwsKeys
from hydrallm.endpoints.sigv4 import sign
from hydrallm.message import Headers, Request
from hydrallm.secret import Secret

NOW = datetime.datetime(2026, 2, 3, 4, 5, 6, tzinfo=datetime.UTC)

text = st.text(st.characters(blacklist_categories=["Cs"]), max_size=10)
encoded = text.map(lambda part: quote(part, safe="")) | st.sampled_from(
    ["a%3Ab%2Fc", "v1:0", "~-._", "(a)!*'", "", ".", "..", "%7E"]
)
paths = st.lists(encoded, min_size=1, max_size=6).map(lambda parts: "/" + "/".join(parts))
queries = st.lists(
    st.tuples(text, text).map(lambda pair: f"{quote(pair[0], safe='-_.~')}={quote(pair[1], safe='-_.~')}"), max_size=4
).map("&".join)
header_values = st.text("abc /;=,\t", min_size=1, max_size=12).map(lambda value: f"x{value}x")
header_names = st.sampled_from(
    ["content-type", "x-amz-target", "x-amzn-bedrock-trace", "x-amzn-bedrock-guardrailversion"]
)
secrets = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)
tokens = st.none() | st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=60)
regions = st.sampled_from(["us-east-1", "eu-central-1", "us-gov-west-1"])
times = st.datetimes(datetime.datetime(2000, 1, 1), datetime.datetime(2100, 1, 1)).map(  # noqa: DTZ001 - made aware below
    lambda time: time.replace(tzinfo=datetime.UTC)
)


def botocores(request: Request, authority: str, keys: AwsKeys, service: str, now: datetime.datetime) -> dict[str, str]:
    """Return the headers of ``request`` after botocore has signed it."""
    token = keys.session_token.reveal() if keys.session_token else None
    signed = AWSRequest(
        request.method.decode(),
        f"https://{authority}{request.target.decode()}",
        headers={name.decode(): value.decode() for name, value in request.headers},
        data=request.body,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.auth, "get_current_datetime", lambda: now.replace(tzinfo=None))
        credentials = Credentials(keys.access_key_id, keys.secret_access_key.reveal(), token)
        botocore.auth.SigV4Auth(credentials, service, keys.region).add_auth(signed)
    return {name.lower(): value for name, value in signed.headers.items()}


@settings(max_examples=400)
@given(
    method=st.sampled_from([b"POST", b"GET", b"DELETE"]),
    path=paths,
    query=queries,
    headers=st.dictionaries(header_names, header_values, max_size=4),
    body=st.binary(max_size=100),
    secret=secrets,
    token=tokens,
    region=regions,
    authority=st.sampled_from(["bedrock-runtime.us-east-1.amazonaws.com", "h:8443", "[::1]:8443"]),
    now=times,
)
@example(
    method=b"POST",
    path="/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fx-v1%3A0/converse",
    query="",
    headers={"content-type": "application/json"},
    body=b"{}",
    secret="s",
    token="t",
    region="us-east-1",
    authority="h",
    now=NOW,
)
def test_botocore_agrees(
    *,
    method: bytes,
    path: str,
    query: str,
    headers: dict[str, str],
    body: bytes,
    secret: str,
    token: str | None,
    region: str,
    authority: str,
    now: datetime.datetime,
) -> None:
    keys = AwsKeys("AKIDEXAMPLE", Secret(secret), None if token is None else Secret(token), region)
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    request = Request(method, f"{path}?{query}".encode() if query else path.encode(), pairs, body)
    added = sign(request, authority.encode(), keys, "bedrock", now)
    theirs = botocores(request, authority, keys, "bedrock", now)
    assert {name.decode(): value.decode() for name, value in [*pairs, *added]} == theirs


PUBLISHED = AwsKeys("AKIDEXAMPLE", Secret("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"), None, "us-east-1")


@pytest.mark.parametrize(
    ("method", "target", "signature"),
    [
        (b"GET", b"/", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        (b"POST", b"/", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        (
            b"GET",
            b"/?Param2=value2&Param1=value1",
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        ),
    ],
    ids=["get-vanilla", "post-vanilla", "get-vanilla-query-order-key-case"],
)
def test_aws_test_suite(method: bytes, target: bytes, signature: str) -> None:
    """Of the Signature Version 4 test suite that AWS published."""
    now = datetime.datetime(2015, 8, 30, 12, 36, tzinfo=datetime.UTC)
    added = dict(sign(Request(method, target, []), b"example.amazonaws.com", PUBLISHED, "service", now))
    assert added[b"x-amz-date"] == b"20150830T123600Z"
    assert added[b"authorization"].decode() == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        f"SignedHeaders=host;x-amz-date, Signature={signature}"
    )


@pytest.mark.parametrize(
    ("sent", "agreed"),
    [
        (b"/?a", b"/?a="),
        (b"/?a=b:c/d", b"/?a=b%3Ac%2Fd"),
        (b"/?a=%7e%3a", b"/?a=~%3A"),
        (b"/?a=\xc3\xa9", b"/?a=%C3%A9"),
        (b"/?b=2&a=1&a=0", b"/?a=0&a=1&b=2"),
        (b"/a//b/./c/../d/", b"/a/b/d/"),
    ],
)
def test_the_client_may_spell_it_otherwise(sent: bytes, agreed: bytes) -> None:
    """AWS computes the signature of what it understood, not of how that was written."""
    first, second = (sign(Request(b"GET", target, []), b"h", PUBLISHED, "bedrock", NOW) for target in (sent, agreed))
    assert first == second


def test_only_what_aws_asks_for_is_signed() -> None:
    headers: Headers = [
        (b"user-agent", b"u"),
        (b"accept", b"a"),
        (b"content-type", b"application/json"),
        (b"amz-sdk-request", b"attempt=1"),
        (b"x-amzn-trace-id", b"t"),
        (b"x-amzn-bedrock-trace", b"ENABLED"),
        (b"x-amz-meta", b" a   b "),
        (b"x-amz-meta", b"c"),
    ]
    added = dict(sign(Request(b"POST", b"/", headers), b"h", PUBLISHED, "bedrock", NOW))
    assert b"SignedHeaders=content-type;host;x-amz-date;x-amz-meta;x-amzn-bedrock-trace," in added[b"authorization"]


def test_the_remembered_key_is_that_of_the_day_and_the_secret() -> None:
    request = Request(b"POST", b"/", [])
    other = AwsKeys("AKIDEXAMPLE", Secret("another"), None, "us-east-1")
    for keys in (PUBLISHED, other, PUBLISHED):
        for days in (0, 1, 0):
            now = NOW + datetime.timedelta(days=days)
            added = dict(sign(request, b"h", keys, "bedrock", now))
            assert added[b"authorization"].decode() == botocores(request, "h", keys, "bedrock", now)["authorization"]


def test_what_a_signature_costs() -> None:
    headers: Headers = [(b"content-type", b"application/json"), *((b"x-h%d" % n, b"value") for n in range(12))]
    request = Request(b"POST", b"/model/anthropic.claude-v2%3A1/converse", headers, b"x" * 1024)
    keys = AwsKeys("AKIDEXAMPLE", Secret("s"), Secret("t" * 400), "us-east-1")
    cost = min(timeit.repeat(lambda: sign(request, b"h", keys, "bedrock", NOW), number=500, repeat=3)) / 500
    print(f"\nsigning 1 KB: {cost * 1e6:.1f} us")
    assert cost < 214e-6  # botocore's, on the same kind of machine
