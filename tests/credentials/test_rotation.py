"""The whole way: AWS hands out credentials, a gateway signs with them, and goes on when they change or do not come."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import http.client
import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from msgspec.structs import replace

from hydrallm.app import App, make_log
from hydrallm.config.check import check
from hydrallm.faults.provider import Provider
from hydrallm.faults.script import Answer, Fail

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.credentials.conftest import Aws, Cloud

    from hydrallm.faults.provider import Received

REGION = "eu-central-1"
PATH = "/model/m/converse"
BODY = b'{"messages": [{"role": "user", "content": [{"text": "hi"}]}]}'
AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(\w+)/\d{8}/([\w-]+)/bedrock/aws4_request, SignedHeaders=(.+), .*"
)


class Lines(io.StringIO):
    """A log in memory that can be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self._news = asyncio.Event()

    def write(self, text: str) -> int:
        self._news.set()
        return super().write(text)

    def said(self, words: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.getvalue().splitlines()]
        return [line for line in lines if words in line["message"]]

    async def saying(self, words: str, times: int = 1) -> None:
        while len(self.said(words)) < times:
            self._news.clear()
            await self._news.wait()


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    text: str


class Gateway:
    """A gateway, and what it has logged."""

    def __init__(self, port: int, log: Lines) -> None:
        self._port = port
        self.log = log

    async def ask(
        self, path: str = PATH, body: bytes = BODY, method: str = "POST", headers: dict[str, str] | None = None
    ) -> Reply:
        return await asyncio.to_thread(self._ask, path, body, method, headers or {})

    def _ask(self, path: str, body: bytes, method: str, headers: dict[str, str]) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        with contextlib.closing(connection):
            connection.request(method, path, body, {"content-type": "application/json"} | headers)
            response = connection.getresponse()
            return Reply(response.status, dict(response.getheaders()), response.read().decode())


Start = Callable[..., Awaitable[Gateway]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts gateways with a model at each of the endpoints given."""
    async with contextlib.AsyncExitStack() as stack:

        async def one(*endpoints: dict[str, Any], **retry: object) -> Gateway:
            named = {f"e{number}": endpoint for number, endpoint in enumerate(endpoints, start=1)}
            document = {
                "endpoints": named,
                "models": [{"endpoint": name, "type": "bedrock", "model": "anthropic.claude"} for name in named],
                "retry": {"default_interval": "1ms", "max_cycles": 1} | retry,
                "log": {"format": "json"},
            }
            settings = check(document, Path("test.toml"), {})
            settings = replace(settings, server=replace(settings.server, port=0))
            written = Lines()
            log = make_log(settings, written)
            app = App(settings, log, {}, log.mask)
            stack.push_async_callback(app.drain, 5)
            ((_, port),) = await app.listen()
            return Gateway(port, written)

        yield one


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with Provider() as one:
        one.play(Answer())
        yield one


def signer(received: Received, url: str, secret: str) -> tuple[str, str]:
    """Return who signed a request and for which region, once botocore's own signer agrees with the signature."""
    values = {name.decode(): value.decode() for name, value in received.headers}
    match = AUTHORIZATION.fullmatch(values["authorization"])
    assert match, values["authorization"]
    key, region, signed = match.groups()
    request = AWSRequest(
        "POST",
        url + received.target.decode(),
        data=received.body,
        headers={name: values[name] for name in signed.split(";")},
    )
    request.context["timestamp"] = values["x-amz-date"]
    one = SigV4Auth(Credentials(key, secret, values["x-amz-security-token"]), "bedrock", region)
    signature = one.signature(one.string_to_sign(request, one.canonical_request(request)), request)
    assert values["authorization"].endswith(f"Signature={signature}")
    return key, region


async def test_requests_are_signed_with_what_the_chain_came_to(
    aws: Aws, cloud: Cloud, provider: Provider, start: Start
) -> None:
    aws.container(cloud)
    one = cloud.grant()
    cloud.grant = lambda: one
    gateway = await start({"url": provider.url, "aws_region": REGION})
    assert (await gateway.ask(headers={"authorization": "Bearer the-clients"})).status == 200
    assert signer(provider.received[0], provider.url, one.secret) == (one.key, REGION)
    assert (b"x-amz-security-token", one.token.encode()) in provider.received[0].headers
    await asyncio.gather(*[gateway.ask() for _ in range(20)])
    assert {signer(each, provider.url, one.secret) for each in provider.received} == {(one.key, REGION)}
    assert len(cloud.asked) == 1
    await gateway.log.saying("AWS credentials have come")
    (line,) = gateway.log.said("AWS credentials have come")
    assert (line["level"], line["endpoints"], line["source"]) == ("info", "e1", "container-role")
    assert 3500 < line["expires_in"] <= 3600


async def test_endpoints_of_one_profile_share_their_credentials_but_not_their_region(
    aws: Aws, cloud: Cloud, provider: Provider, start: Start
) -> None:
    aws.config(
        "[profile p]\naws_access_key_id = AKIDP\naws_secret_access_key = s\naws_session_token = t\nregion = ap-x-1\n"
    )
    aws.container(cloud)
    first, second = ({"url": provider.url, "aws_region": region} for region in ("eu-west-1", "us-east-1"))
    gateway = await start(first, second, {"url": provider.url, "aws_profile": "p"})
    one = cloud.grant()
    await gateway.log.saying("AWS credentials have come", 2)
    provider.play([Fail(status=503), Fail(status=503), Answer()])
    assert (await gateway.ask()).status == 200
    signed = [signer(each, provider.url, "s" if b"AKIDP" in dict(each.headers)[b"authorization"] else one.secret)
              for each in provider.received]  # fmt: skip
    assert signed == [(one.key, "eu-west-1"), (one.key, "us-east-1"), ("AKIDP", "ap-x-1")]
    assert len(cloud.asked) == 1
    assert {line["endpoints"] for line in gateway.log.said("AWS credentials have come")} == {"e1, e2", "e3"}


async def test_a_source_that_hangs_keeps_nobody_waiting_but_its_own_model(
    aws: Aws, cloud: Cloud, provider: Provider, start: Start
) -> None:
    aws.container(cloud)
    cloud.gate.clear()
    own = {"aws_region": REGION, "aws_access_key_id": "AKIDOWN", "aws_secret_access_key": "s", "aws_session_token": "t"}
    gateway = await start(
        {"url": provider.url, "aws_region": REGION}, {"url": provider.url} | own, connect_timeout="1s"
    )
    await asyncio.to_thread(cloud.arrived.acquire)
    waiting = asyncio.ensure_future(gateway.ask())
    for _ in range(10):
        assert (await gateway.ask("/_hydra/health", b"", "GET")).status == 200
    assert not waiting.done(), "the loop has served others while it waited"
    began = asyncio.get_running_loop().time()
    answer = await waiting
    assert answer.status == 200
    assert answer.headers["x-hydrallm-endpoint"] == "e2"
    assert asyncio.get_running_loop().time() - began < 5
    assert signer(provider.received[0], provider.url, "s") == ("AKIDOWN", REGION)
    (failed,) = gateway.log.said(
        "attempt 1 failed, unreachable: no AWS credentials: their source has not answered for "
    )
    assert failed["endpoint"] == "e1"
    cloud.gate.set()
    await gateway.log.saying("AWS credentials have come")
    assert (await gateway.ask()).headers["x-hydrallm-endpoint"] == "e1", "what comes late is used"


async def test_without_any_credentials_the_client_is_told_why(aws: Aws, provider: Provider, start: Start) -> None:
    gateway = await start({"url": provider.url, "aws_region": REGION, "aws_profile": "nobody"})
    answer = await gateway.ask()
    assert answer.status == 502
    assert "e1/anthropic.claude unreachable, no AWS credentials: " in answer.text
    assert "nobody" in answer.text
    assert provider.received == [], "nothing goes unsigned"
    told = gateway.log.said("no AWS credentials: The config profile (nobody) could not be found")
    assert [line["endpoints"] for line in told if line["level"] == "error"] == ["e1"]
    uploaded = await gateway.ask("/model/m/other", b"x" * 3_000_000)
    assert uploaded.status == 502
    assert provider.received == []


async def test_what_is_relayed_is_signed_with_its_whole_body(
    aws: Aws, cloud: Cloud, provider: Provider, start: Start
) -> None:
    aws.container(cloud)
    one = cloud.grant()
    cloud.grant = lambda: one
    gateway = await start({"url": provider.url, "aws_region": REGION})
    body = os.urandom(3_000_000)
    await gateway.ask("/model/m/other", body)
    assert provider.received[0].body == body
    assert signer(provider.received[0], provider.url, one.secret) == (one.key, REGION)


PRINT = "import sys\nsys.stdout.write(open(sys.argv[1]).read())\n"


@pytest.mark.platform("linux", "darwin")
async def test_they_are_refreshed_before_they_expire_and_masked_from_then_on(
    aws: Aws, cloud: Cloud, provider: Provider, start: Start
) -> None:
    """By the real clock, so their lives are short; when exactly what is fetched is tested in test_refresh.py."""
    given, program = aws.folder / "given.json", aws.folder / "print.py"
    program.write_text(PRINT, "utf-8")
    aws.config(f"[default]\ncredential_process = {sys.executable} {program} {given}\n")
    make = type(cloud.grant())
    first, second = make.make(1, 5.0), make.make(2, 3600)

    def give(grant: Any) -> None:  # noqa: ANN401 - a Grant
        given.with_suffix(".new").write_text(json.dumps({"Version": 1} | grant.document("SessionToken")), "utf-8")
        given.with_suffix(".new").replace(given)

    give(first)
    gateway = await start({"url": provider.url, "aws_region": REGION})
    assert (await gateway.ask()).status == 200
    given.unlink()
    await gateway.log.saying("AWS credentials cannot be refreshed, the old ones are used: ")
    if datetime.datetime.now(datetime.UTC) < first.expires - datetime.timedelta(seconds=0.5):
        assert (await gateway.ask()).status == 200
    give(second)
    await gateway.log.saying("AWS credentials have come", 2)
    assert (await gateway.ask()).status == 200
    signed = [dict(each.headers)[b"authorization"].decode() for each in provider.received]
    assert first.key in signed[0]
    assert second.key in signed[-1]

    leaking = f"{first.secret} {first.token} {second.secret} {second.token}"
    provider.play(Fail(status=500, code=leaking, type=leaking, message=leaking))
    await gateway.ask()
    shown = gateway.log.getvalue()
    for secret in (first.secret, first.token, second.secret, second.token):
        assert secret not in shown
    assert "***" in shown
    assert len(gateway.log.said("cannot be refreshed")) == 1, "once"


@pytest.mark.platform("linux", "darwin")
def test_a_source_that_hangs_does_not_keep_the_gateway_from_stopping(aws: Aws, cloud: Cloud, tmp_path: Path) -> None:
    aws.container(cloud)
    cloud.gate.clear()
    config = tmp_path / "config.toml"
    config.write_text(
        '[endpoints.bedrock]\nurl = "http://127.0.0.1:9"\naws_region = "eu-west-1"\n'
        '[[models]]\nendpoint = "bedrock"\ntype = "bedrock"\nmodel = "m"\n'
    )
    config.chmod(0o600)
    command = [sys.executable, "-m", "hydrallm", "serve", "--config", str(config), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert cloud.arrived.acquire(timeout=20)
        process.send_signal(signal.SIGTERM)
        _, written = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "Traceback" not in written
