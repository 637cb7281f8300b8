"""The rules of the source tree, and proof that each is really held: a violation is planted and must be found."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "hydrallm"
PURE = ("formats/x.py", "formats/deep/x.py", "endpoints/x.py", "policy/x.py", "message.py", "errors.py", "secret.py")
IMPURE = ("app.py", "http/x.py", "exchange/x.py", "config/x.py", "cli/x.py", "telemetry/x.py")
# What PURE code must not do, and the rule that sees it.
OUTSIDE = {
    "import asyncio": "TID251",
    "import socket": "TID251",
    "import ssl": "TID251",
    "import time": "TID251",
    "from time import monotonic": "TID251",
    "import random": "TID251",
    "import secrets": "TID251",
    "import uuid": "TID251",
    "import os": "TID251",
    "import os.path": "TID251",
    "from os import environ": "TID251",
    "from pathlib import Path": "TID251",
    "import threading": "TID251",
    "import subprocess": "TID251",
    "import logging": "TID251",
    "import sys": "TID251",
    "import datetime\ndatetime.datetime.now(datetime.UTC)": "TID251",
    "import datetime as dt\ndt.date.today()": "TID251",
    "from datetime import datetime\ndatetime.utcnow()": "TID251",
    "import urllib.request": "TID251",
    "import http.client": "TID251",
    "open('x')": "PTH123",
    "print('x')": "T201",
}


def ruff(source: str, name: str, rules: str) -> str:
    """Return ruff's findings in ``source``, as if it were the file ``name`` of the package."""
    command = [sys.executable, "-m", "ruff", "check", "--no-cache", "--output-format=concise", f"--select={rules}"]
    done = subprocess.run(
        [*command, "--stdin-filename", str(SOURCE / name), "-"],
        cwd=ROOT,
        input=source,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in {0, 1}, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", PURE)
def test_pure_code_may_not_touch_the_outside(name: str) -> None:
    found = ruff("\n".join(OUTSIDE), name, "TID251,PTH123,T201")
    line = 0
    for snippet, rule in OUTSIDE.items():
        line += len(snippet.splitlines())
        assert any(
            f"x.py:{line}:" in each or f"{name}:{line}:" in each for each in found.splitlines() if rule in each
        ), f"{rule} did not see {snippet!r} in {name}"


@pytest.mark.parametrize("name", IMPURE)
def test_other_code_may(name: str) -> None:
    assert "TID251" not in ruff("\n".join(OUTSIDE), name, "TID251")


def test_pure_code_may_use_values_of_time() -> None:
    harmless = "import datetime\nimport email.utils\n\ndatetime.timedelta(1)\nemail.utils.parsedate_to_datetime('x')\n"
    assert "TID251" not in ruff(harmless, "policy/x.py", "TID251")


@pytest.mark.parametrize("name", ["cli/init.py", "app.py"])
def test_rich_is_not_imported_with_a_module(name: str) -> None:
    assert "TID253" in ruff("import rich.table\n", name, "TID253")


def test_botocore_is_not_imported_with_a_module() -> None:
    assert "TID253" in ruff("import botocore.session\n", "credentials/aws_chain.py", "TID253")


# Imports against the contracts of pyproject.toml: the file they are planted in, and the contract that forbids them.
BAD_IMPORTS = {
    "http/planted_config.py": ("import hydrallm.config.settings", "The HTTP engine"),
    "http/planted_formats.py": ("import hydrallm.formats.base", "The HTTP engine"),
    "formats/planted_http.py": ("import hydrallm.http", "Imports go down"),
    "formats/planted_exchange.py": ("import hydrallm.exchange", "Imports go down"),
    "formats/planted_asyncio.py": ("import asyncio", "PURE code"),
    "formats/planted_endpoints.py": ("import hydrallm.endpoints.base", "Imports go down"),
    "policy/planted_os.py": ("import os.path", "PURE code"),
    "policy/planted_time.py": ("from time import monotonic", "PURE code"),
    "endpoints/planted_telemetry.py": ("import hydrallm.telemetry", "Imports go down"),
    "endpoints/planted_random.py": ("import random", "PURE code"),
    "config/planted_exchange.py": ("import hydrallm.exchange", "Imports go down"),
    "exchange/planted_cli.py": ("import hydrallm.cli", "Imports go down"),
    "exchange/planted_rich.py": ("import rich", "Only commands"),
    "exchange/planted_schema.py": ("import hydrallm.config.planted_exchange", "Of a config"),
    "telemetry/planted_exchange.py": ("import hydrallm.exchange", "Imports go down"),
    "credentials/planted_botocore.py": ("import botocore.session", "Only the chain of AWS"),
    "faults/planted_http.py": ("import hydrallm.http", "The faulty provider"),
    "web/__init__.py": ("import hydrallm.faults", "Imports go down"),
    "stray/__init__.py": ("import hydrallm.errors", "Imports go down"),
}


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    """Check the contracts on the package in ``folder/src``."""
    environment = {**os.environ, "PYTHONPATH": str(folder / "src"), "COLUMNS": "300"}
    command = [
        str(Path(sys.executable).with_name("lint-imports")),
        "--no-cache",
        "--config",
        str(ROOT / "pyproject.toml"),
    ]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def copy(folder: Path) -> Path:
    """Copy the package, and return the copy."""
    shutil.copytree(SOURCE, folder / "src" / "hydrallm", ignore=shutil.ignore_patterns("__pycache__"))
    return folder / "src" / "hydrallm"


def test_imports_keep_the_contracts(tmp_path: Path) -> None:
    copy(tmp_path)
    done = lint_imports(tmp_path)
    assert done.returncode == 0, done.stdout
    assert "0 broken" in done.stdout


def test_bad_imports_are_found(tmp_path: Path) -> None:
    package = copy(tmp_path)
    for name, (statement, _) in BAD_IMPORTS.items():
        path = package / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(statement + "\n", encoding="utf-8")
    done = lint_imports(tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    missed = [name for name, (_, contract) in BAD_IMPORTS.items() if module(name) not in section(done.stdout, contract)]
    assert not missed, done.stdout


def section(printed: str, contract: str) -> str:
    """Return what is said about the contract whose name starts so: from its underlined heading to the next one."""
    headings = [*re.finditer(r"^(?P<name>\S.*)\n-+$", printed, re.MULTILINE)]
    for heading, following in itertools.zip_longest(headings, headings[1:]):
        if heading["name"].startswith(contract):
            return printed[heading.end() : following.start() if following else None]
    return ""


def module(name: str) -> str:
    """Return the module that the file ``name`` of the package is."""
    return "hydrallm." + name.removesuffix("/__init__.py").removesuffix(".py").replace("/", ".")


def tool(name: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a script of tools/."""
    command = [sys.executable, str(ROOT / "tools" / name), *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def test_long_files_and_functions_are_found(tmp_path: Path) -> None:
    lines = {
        "good.py": "def f():\n" + "    a = 1\n" * 49 + "b = 1\n" * 350,
        "long_file.py": "a = 1\n" * 401,
        "long_function.py": "@g\ndef f():\n" + "    a = 1\n" * 50,
        "long_method.py": "class C:\n    async def f(self):\n" + "        a = 1\n" * 50,
    }
    for name, source in lines.items():
        (tmp_path / name).write_text(source, encoding="utf-8")
    done = tool("sizes.py", ".", cwd=tmp_path)
    assert done.returncode == 1
    assert [each.split(": ")[0] for each in done.stdout.splitlines()] == [
        "long_file.py:401",
        "long_function.py:2",
        "long_method.py:2",
    ]
    assert tool("sizes.py", "good.py", cwd=tmp_path).returncode == 0


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("docs/install.md", "pip install --index-url https://" + "pypi" + ".org/simple hydrallm"),
        ("Makefile", "curl https://files." + "pythonhosted" + ".org/x"),
        ("requirements/core.txt", "--index-url https://mirror.example/simple"),
        ("requirements/core.txt", "--extra-index-url x"),
        ("requirements/core.txt", "click @ https://mirror.example/click.whl"),
        ("tests/node/package-lock.json", '  "resolved": "https://registry.example/x.tgz",'),
        ("tests/node/package-lock.json", '  "resolved": "https://registry.' + "npmjs" + '.org/x.tgz",'),
    ],
)
def test_package_hosts_are_found(tmp_path: Path, path: str, text: str) -> None:
    file = tmp_path / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"fine\n{text}\n", encoding="utf-8")
    done = tool("hosts.py", path, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stdout.startswith(f"{path}:2: ")


def test_provider_urls_are_no_package_hosts(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text('url = "https://api.openai.com/v1"\n', encoding="utf-8")
    assert tool("hosts.py", "README.md", cwd=tmp_path).returncode == 0
