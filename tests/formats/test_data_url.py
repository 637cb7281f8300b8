"""``data:`` URLs; Python's own opener of them is the judge."""

from __future__ import annotations

import base64
import urllib.request

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrallm.formats.data_url import data_url, image_type, split_data_url


def opened(url: str) -> tuple[str, bytes]:
    """Return what the standard library makes of a ``data:`` URL: its media type and its bytes."""
    with urllib.request.urlopen(url) as answer:  # noqa: S310 - of this file's own data: URLs
        return answer.headers.get_content_type(), answer.read()


@pytest.mark.parametrize(
    "url",
    [
        "data:image/png;base64,iVBORw0KGgo=",
        "data:text/plain;charset=utf-8;base64,aGk=",
        "data:image/svg+xml,%3Csvg%2F%3E",
        "data:,hi%20there",
        "DATA:image/PNG;base64,",
    ],
)
def test_what_is_split_is_what_is_opened(url: str) -> None:
    split = split_data_url(url)
    assert split is not None
    assert (split[0], base64.b64decode(split[1])) == opened(url)


@given(st.binary(max_size=20))
def test_what_is_joined_is_split_again(data: bytes) -> None:
    encoded = base64.b64encode(data).decode()
    assert split_data_url(data_url("image/png", encoded)) == ("image/png", encoded)


@pytest.mark.parametrize("url", ["https://a/b", "data:image/png", "", "date:,"])
def test_other_urls(url: str) -> None:
    assert split_data_url(url) is None


@pytest.mark.parametrize(
    ("start", "media_type"),
    [
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\x00\x00\x00\x00WEBP", "image/webp"),
        (b"", "image/png"),
    ],
)
def test_images_by_their_first_bytes(start: bytes, media_type: str) -> None:
    assert image_type(base64.b64encode(start).decode()) == media_type
