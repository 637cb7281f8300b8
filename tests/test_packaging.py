"""What is installed on a user's machine: which distributions, how they are pinned, and what the wheel holds."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import hydrallm

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LOCKS = ("core", "aws", "build", "dev", "lock")
MOST = 15  # distributions in a core install, hydrallm itself included
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
PLATFORMS = {
    "linux": {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"},
    "macos": {"sys_platform": "darwin", "platform_system": "Darwin", "os_name": "posix"},
    "windows": {"sys_platform": "win32", "platform_system": "Windows", "os_name": "nt"},
}


def entries(lock: str) -> list[str]:
    """Return the logical lines of a requirement file: one a requirement, its hashes included."""
    text = (ROOT / "requirements" / f"{lock}.txt").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    return [line for line in "\n".join(lines).replace("\\\n", " ").splitlines() if line.strip()]


def pinned(lock: str) -> list[Requirement]:
    return [Requirement(entry.split(" --hash=", maxsplit=1)[0].strip()) for entry in entries(lock)]


def applies(requirement: Requirement, python: str, platform: str) -> bool:
    cpython = {"platform_python_implementation": "CPython", "implementation_name": "cpython"}
    versions = {"python_version": python, "python_full_version": f"{python}.1"}
    return requirement.marker is None or requirement.marker.evaluate(PLATFORMS[platform] | cpython | versions)


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("python", PYTHONS)
def test_the_core_install_is_small(python: str, platform: str) -> None:
    names = {canonicalize_name(each.name) for each in pinned("core") if applies(each, python, platform)}
    assert len(names) + 1 <= MOST, sorted(names)
    assert ("backports-zstd" in names) == (python != "3.14")
    assert ("uvloop" in names) == (platform != "windows")


@pytest.mark.parametrize("lock", LOCKS)
def test_every_requirement_is_pinned_with_its_hashes(lock: str) -> None:
    for entry in entries(lock):
        requirement, *hashes = entry.split(" --hash=")
        assert re.fullmatch(r"[\w.-]+==[\w.]+( ; .+)?", requirement.strip()), entry
        assert hashes, entry
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}\s*", each) for each in hashes), entry


@pytest.mark.parametrize("lock", LOCKS)
def test_no_requirement_file_says_where_from(lock: str) -> None:
    text = (ROOT / "requirements" / f"{lock}.txt").read_text(encoding="utf-8")
    assert "://" not in text
    assert not re.findall(r"(?m)^\s*-(?!-hash=).*", text)


def test_what_pyproject_asks_for_is_what_is_pinned() -> None:
    core, extras = PYPROJECT["project"]["dependencies"], PYPROJECT["project"]["optional-dependencies"]
    asked = {"core": core, "aws": core + extras["aws"], "build": PYPROJECT["build-system"]["requires"]}
    for lock, wanted in asked.items():
        versions = {canonicalize_name(each.name): each for each in pinned(lock)}
        for requirement in map(Requirement, wanted):
            pin = versions[canonicalize_name(requirement.name)]
            (exactly,) = pin.specifier
            assert requirement.specifier.contains(exactly.version), f"{pin} is not {requirement}; run `make lock`"


def test_the_extra_is_no_part_of_the_core() -> None:
    core, extra = ({canonicalize_name(each.name) for each in pinned(lock)} for lock in ("core", "aws"))
    assert core < extra
    assert "botocore" in extra - core


def test_the_layers_agree() -> None:
    """Core, build and dev go into one environment, so where two pin the same they pin the same version."""
    seen: dict[str, str] = {}
    for lock in LOCKS:
        for requirement in pinned(lock):
            name = canonicalize_name(requirement.name)
            assert seen.setdefault(name, str(requirement.specifier)) == str(requirement.specifier), name


def test_what_npm_installs_has_hashes_and_no_address() -> None:
    lock = json.loads((ROOT / "tests" / "node" / "package-lock.json").read_text(encoding="utf-8"))
    installed = {name: entry for name, entry in lock["packages"].items() if name}
    assert installed
    assert all(entry["integrity"].startswith("sha512-") for entry in installed.values())
    assert not any("resolved" in entry for entry in installed.values())


# ---- the wheel


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false", "-c", "core.hooksPath=none"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def archive(folder: Path) -> Path:
    """Copy what is tracked, or would be if it were added: what a clone holds, without its history."""
    names = git(ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    return folder


def build(source: Path, target: str, out: Path) -> Path:
    """Build a wheel or an sdist with the pinned build backend, and return it."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", str(out)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = out.iterdir()
    return built


def pip_wheel(source: Path, out: Path) -> Path:
    """Build a wheel of a folder or an sdist as a user's pip does, but for the isolation, and return it."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    arguments = ["--wheel-dir", str(out), str(source)]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False, timeout=50)
    assert done.returncode == 0, done.stderr
    (built,) = out.glob("*.whl")
    return built


def commit_in(wheel: Path) -> str | None:
    with zipfile.ZipFile(wheel) as opened:
        if "hydrallm/_build.json" not in opened.namelist():
            return None
        found = json.loads(opened.read("hydrallm/_build.json"))["commit"]
    assert isinstance(found, str)
    return found


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of this tree."""
    return pip_wheel(archive(tmp_path_factory.mktemp("source")), tmp_path_factory.mktemp("wheel"))


@pytest.mark.needs("git")
def test_the_wheel_holds_all_of_the_package(wheel: Path) -> None:
    package = ROOT / "src" / "hydrallm"
    ours = {
        path.relative_to(package.parent).as_posix()
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(wheel) as opened:
        names = set(opened.namelist())
        metadata = opened.read(f"hydrallm-{hydrallm.__version__}.dist-info/METADATA").decode()
    assert ours <= names
    assert "hydrallm/py.typed" in names
    assert "hydrallm/config/showcases/glm-5-coding-plan-openai.toml" in names
    assert "hydrallm/config/data/models.toml" in names
    assert {name.split("/")[0] for name in names} == {"hydrallm", f"hydrallm-{hydrallm.__version__}.dist-info"}
    assert f"hydrallm-{hydrallm.__version__}.dist-info/licenses/LICENSE" in names
    assert "License-Expression: MIT" in metadata
    assert "Requires-Python: >=3.11" in metadata


@pytest.mark.needs("git")
def test_the_wheel_knows_its_commit(tmp_path: Path) -> None:
    source = archive(tmp_path / "source")
    assert commit_in(build(source, "wheel", tmp_path / "no-git")) is None

    git(source, "init", "--quiet")
    git(source, "add", "--all")
    git(source, "commit", "--quiet", "--message=all")
    head = git(source, "rev-parse", "HEAD").strip()
    commit = commit_in(build(source, "wheel", tmp_path / "clean"))
    assert commit is not None
    assert len(commit) >= 12
    assert head.startswith(commit)
    assert git(source, "status", "--porcelain") == "", "the build wrote into the source tree"

    (source / "LICENSE").write_text("changed", encoding="utf-8")
    assert commit_in(build(source, "wheel", tmp_path / "dirty")) == f"{commit}-dirty"
    git(source, "checkout", "--quiet", "LICENSE")

    # A wheel made from a source distribution, where there is no git any more.
    assert commit_in(pip_wheel(build(source, "sdist", tmp_path / "sdist"), tmp_path / "from-sdist")) == commit


@pytest.mark.needs("git")
def test_a_foreign_repository_around_the_source_is_not_asked(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "commit", "--quiet", "--allow-empty", "--message=theirs")
    assert commit_in(build(archive(tmp_path / "vendored"), "wheel", tmp_path / "out")) is None


def core_environment(folder: Path) -> Path:
    """Make a virtual environment with the core requirements and nothing else; return its Python.

    Nothing is downloaded: the files of the distributions are linked from the environment that runs the tests.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True, timeout=50)
    paths = {"base": str(folder), "platbase": str(folder)}
    library = Path(sysconfig.get_path("purelib", "venv", paths))
    for requirement in pinned("core"):
        if requirement.marker is None or requirement.marker.evaluate():
            distribution = importlib.metadata.distribution(requirement.name)
            for top in {file.parts[0] for file in distribution.files or [] if ".." not in file.parts}:
                if not (library / top).exists():
                    (library / top).symlink_to(Path(str(distribution.locate_file(top))).resolve())
    return Path(sysconfig.get_path("scripts", "venv", paths)) / Path(sys.executable).name


NEEDS_THE_EXTRA = """
[endpoints.bedrock]
url = "https://bedrock-runtime.us-east-1.amazonaws.com"
aws_profile = "work"

[[models]]
endpoint = "bedrock"
type = "bedrock"
model = "m"
"""

IMPORT_ALL = """
import importlib.metadata, pkgutil, sys, warnings
warnings.simplefilter("error")
import hydrallm
names = [m.name for m in pkgutil.walk_packages(hydrallm.__path__, "hydrallm.") if not m.name.endswith("__main__")]
for name in names:
    __import__(name)
print(len(names), len({d.name for d in importlib.metadata.distributions()}), hydrallm.__file__)
"""


@pytest.mark.needs("git")
@pytest.mark.platform("linux", "darwin")  # links need a privilege on Windows
def test_the_wheel_runs_on_the_core_requirements_alone(wheel: Path, tmp_path: Path) -> None:
    python = core_environment(tmp_path / "venv")
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-index", "--no-deps"]
    subprocess.run([*install, str(wheel)], check=True, timeout=50)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "HYDRALLM"))}

    def run(*command: str) -> list[str]:
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=50
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.splitlines()

    modules, distributions, place = run(str(python), "-c", IMPORT_ALL)[-1].split(maxsplit=2)
    assert int(modules) > 20
    assert int(distributions) <= MOST
    assert Path(place).is_relative_to(tmp_path), "the wheel was meant to be run, not the checkout"
    for command in ([str(python.with_name("hydrallm"))], [str(python), "-m", "hydrallm"]):
        assert run(*command, "version")[0] == f"hydrallm {hydrallm.__version__}"

    config = tmp_path / "config.toml"
    config.write_text(NEEDS_THE_EXTRA, "utf-8")
    command = [str(python), "-m", "hydrallm", "serve", "--config", str(config)]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=50
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "endpoints.bedrock.aws_profile" in done.stderr
    assert done.stderr.endswith("run: pip install 'hydrallm[aws]'\n")


@pytest.mark.parametrize("field", ["readme", "license-files"])
def test_the_package_page_shows_what_the_repository_shows(field: str) -> None:
    files = {"readme": ["README.md"], "license-files": ["LICENSE"]}[field]
    named = PYPROJECT["project"].get(field)
    assert ([named] if isinstance(named, str) else named) == files
    assert all((ROOT / file).is_file() for file in files)


def test_the_version_has_one_home() -> None:
    assert importlib.metadata.version("hydrallm") == hydrallm.__version__
