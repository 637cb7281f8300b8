"""AWS's standard chain, walked by real botocore against servers, files and processes on this machine."""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from hydrallm.credentials import aws_chain
from hydrallm.credentials.aws_chain import Resolved, resolve
from hydrallm.errors import CredentialError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.credentials.conftest import Aws, Cloud

REGION = "eu-central-1"


def shown(resolved: Resolved) -> tuple[str, str, str | None]:
    pair = resolved.pair
    token = None if pair.session_token is None else pair.session_token.reveal()
    return pair.access_key_id, pair.secret_access_key.reveal(), token


def test_keys_in_the_shared_credentials_file(aws: Aws) -> None:
    aws.credentials("[default]\naws_access_key_id = AKIDFILE\naws_secret_access_key = in/the+file\n")
    found = resolve(None, None)
    assert shown(found) == ("AKIDFILE", "in/the+file", None)
    assert (found.expires, found.source, found.from_file, found.region) == (None, "shared-credentials-file", True, None)
    aws.credentials("[default]\naws_access_key_id = AKIDNEXT\naws_secret_access_key = s\naws_session_token = t\n")
    assert shown(resolve(None, None)) == ("AKIDNEXT", "s", "t"), "each walk is a new one"


PROFILES = """
[default]
aws_access_key_id = AKIDDEFAULT
aws_secret_access_key = s

[profile work]
region = ap-southeast-2
aws_access_key_id = AKIDWORK
aws_secret_access_key = s
"""


@pytest.mark.parametrize(
    ("profile", "environ", "key", "region"),
    [
        (None, {}, "AKIDDEFAULT", None),
        ("work", {}, "AKIDWORK", "ap-southeast-2"),
        (None, {"AWS_PROFILE": "work"}, "AKIDWORK", "ap-southeast-2"),
        (None, {"AWS_PROFILE": "work", "AWS_DEFAULT_REGION": "us-west-1"}, "AKIDWORK", "us-west-1"),
        ("default", {"AWS_PROFILE": "work"}, "AKIDDEFAULT", None),
        ("work", {"AWS_ACCESS_KEY_ID": "AKIDENV", "AWS_SECRET_ACCESS_KEY": "s"}, "AKIDWORK", "ap-southeast-2"),
        (None, {"AWS_ACCESS_KEY_ID": "AKIDENV", "AWS_SECRET_ACCESS_KEY": "s"}, "AKIDENV", None),
    ],
)
def test_which_profile(profile: str | None, environ: dict[str, str], key: str, region: str | None, aws: Aws) -> None:
    aws.config(PROFILES)
    aws.set(**environ)
    found = resolve(profile, REGION)
    assert (found.pair.access_key_id, found.region) == (key, region)


PROCESS = """
import json, sys
print(json.dumps({"Version": 1, "AccessKeyId": "AKIDPROCESS", "SecretAccessKey": "s", "SessionToken": "t",
                  "Expiration": sys.argv[1]}))
"""


def process(aws: Aws, program: str, argument: str = "") -> None:
    (aws.folder / "process.py").write_text(program, "utf-8")
    aws.config(f"[profile p]\ncredential_process = {sys.executable} {aws.folder / 'process.py'} {argument}\n")


@pytest.mark.platform("linux", "darwin")  # a path with backslashes would have to be quoted for botocore
def test_a_credential_process(aws: Aws) -> None:
    process(aws, PROCESS, "2999-01-02T05:04:05+02:00")
    found = resolve("p", None)
    assert shown(found) == ("AKIDPROCESS", "s", "t")
    assert found.expires == datetime.datetime(2999, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    assert (found.source, found.from_file) == ("custom-process", False)


def test_a_container(aws: Aws, cloud: Cloud) -> None:
    aws.container(cloud)
    one = cloud.grant()
    cloud.grant = lambda: one
    found = resolve(None, None)
    assert (*shown(found), found.expires) == one
    assert found.source == "container-role"
    aws.set(AWS_CONTAINER_AUTHORIZATION_TOKEN="wrong")
    with pytest.raises(CredentialError, match=r"container-role.*401"):
        resolve(None, None)


def test_a_container_whose_token_is_in_a_file_as_with_eks_pod_identity(aws: Aws, cloud: Cloud) -> None:
    aws.container(cloud)
    (aws.folder / "token").write_text(os.environ["AWS_CONTAINER_AUTHORIZATION_TOKEN"], "utf-8")
    aws.set(AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=str(aws.folder / "token"), AWS_CONTAINER_AUTHORIZATION_TOKEN="wrong")
    assert resolve(None, None).source == "container-role"


def test_an_instance_is_asked_by_the_second_version_of_its_protocol(aws: Aws, cloud: Cloud) -> None:
    aws.set(AWS_EC2_METADATA_DISABLED="false", AWS_EC2_METADATA_SERVICE_ENDPOINT=cloud.url)
    one = cloud.grant()
    cloud.grant = lambda: one
    found = resolve(None, None)
    assert (*shown(found), found.expires, found.source) == (*one, "iam-role")
    assert (cloud.asked[0].method, cloud.asked[0].path) == ("PUT", "/latest/api/token")


ASSUMED = """
[profile base]
aws_access_key_id = AKIDBASE
aws_secret_access_key = base-secret

[profile role]
role_arn = arn:aws:iam::123456789012:role/bedrock
source_profile = base
"""


def test_a_role_to_assume(aws: Aws, cloud: Cloud) -> None:
    aws.config(ASSUMED)
    aws.set(AWS_ENDPOINT_URL_STS=cloud.url)
    one = cloud.grant()
    cloud.grant = lambda: one
    found = resolve("role", REGION)
    assert (*shown(found), found.expires, found.source) == (*one, "assume-role")
    assert found.region is None, "the region of the endpoint is not the profile's"
    (asked,) = cloud.asked
    assert b"Action=AssumeRole&" in asked.body
    assert (
        f"Credential=AKIDBASE/{datetime.datetime.now(datetime.UTC):%Y%m%d}/{REGION}/sts/"
        in (asked.headers["authorization"])
    )


def test_a_web_identity_as_with_eks_service_accounts(aws: Aws, cloud: Cloud) -> None:
    (aws.folder / "identity").write_text("the-identity", "utf-8")
    aws.set(
        AWS_ENDPOINT_URL_STS=cloud.url,
        AWS_ROLE_ARN="arn:aws:iam::123456789012:role/bedrock",
        AWS_WEB_IDENTITY_TOKEN_FILE=str(aws.folder / "identity"),
    )
    found = resolve(None, REGION)
    assert found.source == "assume-role-with-web-identity"
    (asked,) = cloud.asked
    assert b"WebIdentityToken=the-identity" in asked.body


SSO = """
[profile sso]
sso_start_url = https://start.example
sso_region = eu-central-1
sso_account_id = 123456789012
sso_role_name = bedrock
"""


def test_single_sign_on(aws: Aws, cloud: Cloud, tmp_path: Path) -> None:
    """In a process of its own: botocore looks for the home folder when it is imported."""
    aws.config(SSO)
    cache = tmp_path / ".aws" / "sso" / "cache"
    cache.mkdir(parents=True)
    name = hashlib.sha1(b"https://start.example", usedforsecurity=False).hexdigest()
    token = {"startUrl": "https://start.example", "region": REGION, "accessToken": "the-sso-token"}

    def walked(expires: str) -> str:
        (cache / f"{name}.json").write_text(json.dumps(token | {"expiresAt": expires}), "utf-8")
        program = (
            "from hydrallm.credentials.aws_chain import resolve\n"
            "from hydrallm.errors import CredentialError\n"
            "try:\n    found = resolve('sso', None)\n"
            "except CredentialError as error:\n    print(error)\n"
            "else:\n    print(found.source, found.pair.access_key_id)\n"
        )
        home = {"HOME": str(tmp_path), "USERPROFILE": str(tmp_path), "AWS_ENDPOINT_URL_SSO": cloud.url}
        done = subprocess.run(
            [sys.executable, "-c", program], env=os.environ | home, capture_output=True, text=True, check=False
        )
        assert done.stderr == ""
        return done.stdout.strip()

    assert walked("2999-01-01T00:00:00Z") == f"sso {cloud.grant().key}"
    assert "has expired" in walked("2001-01-01T00:00:00Z")


@pytest.mark.platform("linux", "darwin")
@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("import sys\nsys.exit('please log in\\nfirst')", "please log in first"),
        ("print('{}')", "Unsupported version"),
        ("import json\nprint(json.dumps({'Version': 1}))", "Missing required key"),
        ("print('no json')", "Expecting value"),
        ("import sys\nsys.exit('x' * 9000)", "xxx..."),
        (PROCESS.replace("AKIDPROCESS", "AKID PROCESS"), "the access key id cannot be used"),
        (PROCESS.replace('"s"', '"s\\ncanary"'), "the secret access key cannot be used"),
        (PROCESS.replace('"s"', "5"), "the secret access key is missing"),
        (PROCESS.replace("sys.argv[1]", "'2001-01-01T00:00:00Z'"), "expired"),
    ],
)
def test_what_cannot_be_used_is_one_line_that_says_why(program: str, reason: str, aws: Aws) -> None:
    process(aws, program, "2999-01-01T00:00:00Z")
    with pytest.raises(CredentialError) as caught:
        resolve("p", None)
    message = str(caught.value)
    assert reason in message
    assert message.isprintable()
    assert len(message) < 400
    assert "canary" not in message


def test_no_profile_of_that_name(aws: Aws) -> None:
    with pytest.raises(CredentialError, match=r"profile \(nobody\) could not be found"):
        resolve("nobody", None)


def test_a_program_that_is_not_there(aws: Aws) -> None:
    aws.config("[profile p]\ncredential_process = /nonexistent/program\n")
    with pytest.raises(CredentialError, match=r"No such file|cannot find"):
        resolve("p", None)


def test_nothing_anywhere(aws: Aws) -> None:
    with pytest.raises(CredentialError, match="none found: asked were the environment"):
        resolve(None, None)


def test_botocore_is_there_but_not_imported_to_know_that() -> None:
    program = (
        "import sys\nfrom hydrallm.credentials import aws_chain\n"
        "print(aws_chain.installed(), 'botocore' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]
    assert aws_chain.INSTALL == "pip install 'hydrallm[aws]'"
