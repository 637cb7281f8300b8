"""Sizes of files that other programs wrote.

``file_samples.json`` has, in base64, images of 37 x 53 pixels by Pillow 12, and PDFs of blank pages by reportlab,
pikepdf (which is qpdf) and fpdf2.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrallm.formats.image_size import ENDS, HEADER, image_size, pdf_pages

SAMPLES = json.loads((Path(__file__).parent / "file_samples.json").read_text(encoding="utf-8"))
IMAGES = {name: base64.b64decode(data) for name, data in SAMPLES["images"].items()}
PDFS = {name: base64.b64decode(data) for name, data in SAMPLES["pdfs"].items()}
PAGES = {
    "reportlab": 2,
    "pikepdf": 3,
    "pikepdf, linearized": 4,
    "pikepdf, compressed": None,  # the tree of pages is in an object stream
    "pikepdf, compressed, linearized": 5,
    "fpdf": 3,
}


@pytest.mark.parametrize("name", IMAGES)
def test_an_image(name: str) -> None:
    assert image_size(IMAGES[name]) == (37, 53)


def test_a_jpeg_behind_a_long_thumbnail() -> None:
    jpeg = IMAGES["jpeg"]
    comments = (b"\xff\xfe\xff\xff" + bytes(0xFFFD)) * 3  # the longest segment there is
    assert image_size(jpeg[:2] + comments + b"\xff\xff" + jpeg[2:]) == (37, 53)
    assert image_size((jpeg[:2] + comments * 9 + jpeg[2:])[:HEADER]) is None


@given(st.sampled_from(list(IMAGES.values())), st.data())
def test_a_broken_image_has_no_size_or_some(image: bytes, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(image)))
    rest = data.draw(st.binary(max_size=40))
    size = image_size(image[:cut] + rest)
    assert size is None or (size[0] > 0 and size[1] > 0)


def test_what_is_no_image() -> None:
    for data in (b"", b"<svg/>", b"RIFF\0\0\0\0WEBPVP8?" + bytes(20), IMAGES["png"][:16] + bytes(8)):
        assert image_size(data) is None


@pytest.mark.parametrize("name", PAGES)
def test_a_pdf(name: str) -> None:
    assert pdf_pages(PDFS[name]) == PAGES[name]


def test_pages_that_are_boasted_of() -> None:
    assert pdf_pages(PDFS["pikepdf"].replace(b"/Count 3", b"/Count 999999")) == 1000
    assert pdf_pages(PDFS["pikepdf"].replace(b"/Count 3", b"/Count 0")) is None
    assert pdf_pages(PDFS["pikepdf"].replace(b"/Count 3", b"/Count -3")) is None


def test_a_pdf_that_is_made_to_take_long() -> None:
    for part in (b"/Type/Pages", b"/Count 1", b"/Type" + bytes(9), b"/Linearized", b"endobj"):
        assert pdf_pages(part * (2 * ENDS // len(part))) is None
