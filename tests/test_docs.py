"""The documentation is held against the product."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from hydrallm.app import FORMATS
from hydrallm.cli.main import COMMANDS
from hydrallm.config.load import load
from hydrallm.credentials.refresh import ADVISORY, LONGEST_BACKOFF, PATIENCE, REREAD
from hydrallm.policy.kinds import RULES
from hydrallm.policy.overrides import FIXED

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
AWS = (ROOT / "docs" / "aws.md").read_text("utf-8")
CONFIGS = [block for language, block in BLOCKS if language == "toml"]
CONFIGS += re.findall(r"^```toml\n(.*?)^```$", AWS, re.DOTALL | re.MULTILINE)
PAGES = sorted([ROOT / "README.md", ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
ENVIRON = dict.fromkeys(
    ("OPENAI_API_KEY", "AZURE_OPENAI_API_KEY", "ANTHROPIC_API_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "set"
)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_in_the_readme(command: str) -> None:
    commands = README.partition("## Commands")[2].partition("\n## ")[0]
    shown = "hydrallm serve" if command == "serve" else f"hydrallm {command}"
    assert shown in commands


def test_the_demos_output_in_the_readme_is_that_of_the_demo() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hydrallm", "demo", "--once"], capture_output=True, text=True, check=True, timeout=40
    )
    shown = next(block for language, block in BLOCKS if "attempt 1" in block and not language)
    assert _normal(shown) == _normal(done.stdout)


def _normal(output: str) -> list[str]:
    """Return the lines of a demo without what differs from run to run: ports, folders and times."""
    for varies in (r":\d{4,5}", r"hydrallm-demo-\w+", r"\d+\.\d\d s"):
        output = re.sub(varies, "...", output)
    return output.replace("/var/folders", "/tmp").split()


@pytest.mark.parametrize("config", CONFIGS)
def test_every_config_in_the_readme_and_beside_it_loads(config: str, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(config, "utf-8")
    path.chmod(0o600)
    assert load(path, ENVIRON).models


def test_the_kinds_of_failure_are_documented_with_what_they_lead_to() -> None:
    reference = (ROOT / "docs" / "configuration.md").read_text("utf-8")
    section = reference.partition("\n## `[retry.on]`\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| .+\. \| `(\w+)`(, once)? \|$", section, re.MULTILINE)
    led = {kind: (rule.next.name.lower(), ", once" if rule.retries == 1 else "") for kind, rule in RULES.items()}
    assert {kind: (goes, once) for kind, goes, once in rows} == {
        kind.value: there for kind, there in led.items() if kind not in FIXED
    }
    assert all(f"`{kind}`" in section for kind in FIXED)


def test_each_kind_of_failure_is_explained_as_it_is() -> None:
    text = (ROOT / "docs" / "resilience.md").read_text("utf-8")
    breaker = {(True, False): "counts", (True, True): "counts, or cools down", (False, False): "–"}
    section = text.partition("\n## Kinds of failure\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| .+ \| ([a-z, ]+) \| ([^|]+) \|$", section, re.MULTILINE)
    assert {kind: (goes, mark) for kind, goes, mark in rows} == {
        kind.value: (
            rule.next.name.lower() + (", once" if rule.retries == 1 else ""),
            f"opens, {rule.opens:g} s" if rule.opens else breaker[rule.counts, rule.cools],
        )
        for kind, rule in RULES.items()
    }


def test_each_wire_format_has_its_terminal_event_explained() -> None:
    text = (ROOT / "docs" / "resilience.md").read_text("utf-8")
    rows = re.findall(r"^\| (`openai-[^|]+|`anthropic-[^|]+|`bedrock-[^|]+) \|", text, re.MULTILINE)
    assert sorted(re.findall(r"`([\w-]+)`", " ".join(rows))) == sorted(wire_format.name for wire_format in FORMATS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text("utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_architecture_is_short_and_maps_every_folder() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    assert len(text.splitlines()) < 100
    for folder in (ROOT / "src" / "hydrallm").iterdir():
        if folder.is_dir() and folder.name != "__pycache__":
            assert f"`{folder.name}/`" in text


def test_the_version_is_in_one_place() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert "version" in project["dynamic"]


def test_the_times_of_aws_credentials_are_documented_as_they_are() -> None:
    assert f"{ADVISORY / 60:g} minutes before they expire" in AWS
    assert f"never longer than {PATIENCE:g} seconds" in AWS
    assert (LONGEST_BACKOFF, REREAD) == (60, 60)
    assert "at most a minute" in AWS
    assert "read again every minute" in AWS
