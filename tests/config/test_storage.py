from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from hydrallm.config import storage

if TYPE_CHECKING:
    from pathlib import Path


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.platform("linux", "darwin")
def test_file_and_folder_are_private_whatever_the_umask(tmp_path: Path) -> None:
    path = tmp_path / "new" / "config.toml"
    before = os.umask(0)
    try:
        storage.write(path, "a = 1\r\n", replace=False)
    finally:
        os.umask(before)
    assert path.read_bytes() == b"a = 1\r\n"
    assert (mode(path), mode(path.parent)) == (0o600, 0o700)


def test_an_existing_file_is_kept_unless_it_may_be_replaced(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("old")
    with pytest.raises(FileExistsError):
        storage.write(path, "new", replace=False)
    assert path.read_text() == "old"
    storage.write(path, "new", replace=True)
    assert path.read_text() == "new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["config.toml"]


@pytest.mark.platform("linux", "darwin")
def test_a_link_into_a_repository_of_dotfiles_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "dotfiles").mkdir()
    target = tmp_path / "dotfiles" / "hydrallm.toml"
    link = tmp_path / "config.toml"
    link.symlink_to(target)
    storage.write(link, "first", replace=False)
    storage.write(link, "second", replace=True)
    assert link.is_symlink()
    assert target.read_text() == "second"


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        storage.write(path, "half \ud800", replace=True)
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["config.toml"]


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "hydrallm").write_text("a file")
    with pytest.raises(OSError, match="hydrallm"):
        storage.write(tmp_path / "hydrallm" / "config.toml", "a", replace=False)
    assert (tmp_path / "hydrallm").read_text() == "a file"
