"""AWS on loopback: what hands out credentials, to real botocore, in an environment of its own."""

from __future__ import annotations

import datetime
import http.server
import json
import os
import threading
from typing import TYPE_CHECKING, NamedTuple, Self

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ROLE = "the-role"
CONTAINER_TOKEN = "the-container's-token"
IMDS_TOKEN = "the-imds-token"


class Asked(NamedTuple):
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Grant(NamedTuple):
    """Credentials that are handed out."""

    key: str
    secret: str
    token: str
    expires: datetime.datetime

    @classmethod
    def make(cls, number: int = 1, lifetime: float = 3600.0) -> Self:
        expires = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=lifetime)
        return cls(f"ASIALOOPBACK{number:06}", f"secret/{number}+x", f"token/{number}=", expires.replace(microsecond=0))

    @property
    def expiration(self) -> str:
        return self.expires.strftime("%Y-%m-%dT%H:%M:%SZ")

    def document(self, token_name: str = "Token") -> dict[str, object]:
        return {
            "AccessKeyId": self.key,
            "SecretAccessKey": self.secret,
            token_name: self.token,
            "Expiration": self.expiration,
        }


class Cloud:
    """A server that knows every protocol by which AWS hands out credentials.

    Attributes:
        grant: what it hands out; called for each request, on a thread. Raise to answer 500.
        asked: what it was asked.
        arrived: released for each time it is asked.
        gate: while it is not set, nothing is answered.
    """

    def __init__(self) -> None:
        self.grant: Callable[[], Grant] = Grant.make
        self.asked: list[Asked] = []
        self.arrived = threading.Semaphore(0)
        self.gate = threading.Event()
        self.gate.set()
        cloud = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                length = int(self.headers.get("content-length") or 0)
                headers = {name.lower(): value for name, value in self.headers.items()}
                asked = Asked(self.command, self.path, headers, self.rfile.read(length))
                cloud.asked.append(asked)
                cloud.arrived.release()
                cloud.gate.wait(50)
                status, body = cloud.answer(asked)
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_PUT = do_POST = do_GET  # noqa: N815 - the library's names

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: object, client_address: object) -> None:
                """Say nothing: whoever lost patience has closed its connection."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, asked: Asked) -> tuple[int, bytes]:
        try:
            return 200, self._answer(asked).encode()
        except PermissionError as error:
            return 401, str(error).encode()
        except Exception as error:  # noqa: BLE001 - the test's own
            return 500, str(error).encode()

    def _answer(self, asked: Asked) -> str:
        path, headers = asked.path.partition("?")[0], asked.headers
        if path == "/latest/api/token":
            assert asked.method == "PUT"
            return IMDS_TOKEN
        if path.startswith("/latest/meta-data/iam/security-credentials/"):
            if headers.get("x-aws-ec2-metadata-token") != IMDS_TOKEN:
                raise PermissionError("IMDSv2 only")
            name = path.rpartition("/")[2]
            return json.dumps({"Code": "Success"} | self.grant().document()) if name else ROLE
        if path == "/container":
            if headers.get("authorization") != CONTAINER_TOKEN:
                raise PermissionError("no token")
            return json.dumps(self.grant().document())
        if path == "/federation/credentials":
            if headers.get("x-amz-sso_bearer_token") != "the-sso-token":
                raise PermissionError("no token")
            one = self.grant()
            given = {"accessKeyId": one.key, "secretAccessKey": one.secret, "sessionToken": one.token}
            return json.dumps({"roleCredentials": given | {"expiration": int(one.expires.timestamp() * 1000)}})
        return self._assumed(asked)

    def _assumed(self, asked: Asked) -> str:
        action = "AssumeRoleWithWebIdentity" if b"WebIdentity" in asked.body else "AssumeRole"
        values = "".join(f"<{name}>{text}</{name}>" for name, text in self.grant().document("SessionToken").items())
        return (
            f'<{action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{action}Result>'
            f"<Credentials>{values}</Credentials></{action}Result></{action}Response>"
        )


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    one = Cloud()
    yield one
    one.close()


class Aws:
    """The environment of this process, as botocore reads it: nothing of the machine's own is in it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self._patch = monkeypatch
        self.folder = folder
        for name in list(os.environ):
            if name.startswith("AWS_"):
                monkeypatch.delenv(name)
        self.set(
            AWS_CONFIG_FILE=str(folder / "config"),
            AWS_SHARED_CREDENTIALS_FILE=str(folder / "credentials"),
            AWS_EC2_METADATA_DISABLED="true",
            BOTO_CONFIG=str(folder / "boto"),
            NO_PROXY="*",
        )

    def set(self, **variables: str) -> None:
        for name, value in variables.items():
            self._patch.setenv(name, value)

    def config(self, text: str) -> None:
        (self.folder / "config").write_text(text, "utf-8")

    def credentials(self, text: str) -> None:
        (self.folder / "credentials").write_text(text, "utf-8")

    def container(self, cloud: Cloud) -> None:
        self.set(
            AWS_CONTAINER_CREDENTIALS_FULL_URI=f"{cloud.url}/container",
            AWS_CONTAINER_AUTHORIZATION_TOKEN=CONTAINER_TOKEN,
        )


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Aws:
    return Aws(monkeypatch, tmp_path)
