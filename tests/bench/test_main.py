"""The benchmark itself, as a process, with real proxies: short, and without a word on how fast they are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bench.__main__ import main
from bench.report import report
from bench.results import Results, load
from bench.stages import STAGES
from bench.subjects import SUBJECTS

ROOT = Path(__file__).parents[2]


def measured(folder: Path, *arguments: str) -> Results:
    command = [sys.executable, "-m", "bench", *arguments, "--output", str(folder)]
    command += ["--quick", "--seconds", "0.4", "--rounds", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=50)
    assert done.returncode == 0, done.stderr
    assert report(load(folder / "results.json")) in done.stdout
    return load(folder / "results.json")


@pytest.mark.platform("linux")
def test_streams_are_measured_passed_through_and_translated(tmp_path: Path) -> None:
    results = measured(tmp_path, "--stages", "chunks", "--only", "relay,passthrough,messages-to-chat")
    for name in ("relay", "passthrough", "messages-to-chat"):
        cpu = results.summary("cpu-chunk", name)
        rate = results.summary("chunk-rate", name)
        assert cpu is not None
        assert rate is not None
        assert 1 < cpu.median < 5000
        assert 100 < rate.median < 10_000  # fifty streams with a hundred events a second, each counted once
    ET.parse(tmp_path / "cpu-chunk.svg")  # noqa: S314 - ours
    assert results.misses == []


@pytest.mark.platform("linux")
@pytest.mark.needs("nginx", "wrk")
def test_whole_requests_are_measured(tmp_path: Path) -> None:
    results = measured(tmp_path, "--stages", "plain", "--only", "chat-to-messages")
    cpu = results.summary("cpu-1k-32", "chat-to-messages")
    assert cpu is not None
    assert 5 < cpu.median < 50_000
    assert (tmp_path / "rate-1k-32.svg").is_file()


@pytest.mark.parametrize(("arguments", "words"), [
    (["--only", "nginx,haproxi"], "there is no subject 'haproxi'; there are nginx, haproxy"),
    (["--stages", "plane"], "there is no stage 'plane'; there are plain"),
])  # fmt: skip
def test_what_there_is_not_is_named(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err.startswith(f"error: {words}")


def test_what_is_missing_is_said_at_once_with_how_it_is_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["--only", "nginx,haproxy", "--stages", "plain"]) == 2
    said = capsys.readouterr().err
    for name in ("nginx", "haproxy", "wrk"):
        assert f"{name} is missing: apt-get install" in said


def test_the_page_names_every_subject_and_stage() -> None:
    page = (ROOT / "docs" / "performance.md").read_text("utf-8")
    for name in (*(subject.name for subject in SUBJECTS), *STAGES):
        assert f"`{name}`" in page
