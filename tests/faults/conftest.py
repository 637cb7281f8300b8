from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.config import Config

from hydrallm.faults.provider import Provider

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from typing import Any


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    """A provider that answers everything rightly."""
    async with Provider() as healthy:
        yield healthy


@pytest.fixture(scope="session")
def boto_session() -> boto3.session.Session:
    """One session, for loading the service model takes a third of a second."""
    return boto3.session.Session(
        aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="secret", region_name="us-east-1"
    )


@pytest.fixture
def bedrock(boto_session: boto3.session.Session) -> Iterator[Callable[[str], Any]]:
    """Makes boto3 clients that neither retry nor outlive the test."""
    clients = []

    def make(url: str) -> Any:  # noqa: ANN401 - boto3 makes its clients' classes at run time
        config = Config(retries={"total_max_attempts": 1}, read_timeout=10)
        clients.append(boto_session.client("bedrock-runtime", endpoint_url=url, config=config))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
async def exchange() -> Callable[[Provider, bytes], Any]:
    """Sends bytes on a fresh connection; returns all that comes back, and how the connection ended."""

    async def send(provider: Provider, request: bytes) -> tuple[bytes, str]:
        reader, writer = await asyncio.open_connection("127.0.0.1", provider.port)
        writer.write(request)
        received = bytearray()
        ended = "fin"
        try:
            while data := await reader.read(65536):
                received += data
        except ConnectionResetError:
            ended = "rst"
        finally:
            writer.close()
        return bytes(received), ended

    return send
