from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING

import pytest

from hydrallm.supervisor import cpus

if TYPE_CHECKING:
    from pathlib import Path


def machine(root: Path, groups: str, files: dict[str, str]) -> Path:
    """Make the files of a machine whose control groups these are."""
    for name, text in {"proc/self/cgroup": groups, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


V2 = "0::/system.slice/hydra.service\n"
V1 = "4:memory:/x\n2:cpu,cpuacct:/docker/abc\n1:cpuset:/\n0::/\n"


@pytest.mark.parametrize(
    ("groups", "files", "quota"),
    [
        (V2, {"sys/fs/cgroup/system.slice/hydra.service/cpu.max": "150000 100000\n"}, 1.5),
        (V2, {"sys/fs/cgroup/system.slice/hydra.service/cpu.max": "max 100000\n"}, math.inf),
        (V2, {"sys/fs/cgroup/system.slice/cpu.max": "300000 100000\n"}, 3.0),
        (
            V2,
            {
                "sys/fs/cgroup/system.slice/hydra.service/cpu.max": "400000 100000\n",
                "sys/fs/cgroup/system.slice/cpu.max": "20000 10000\n",
            },
            2.0,
        ),
        ("0::/\n", {"sys/fs/cgroup/cpu.max": "50000 100000\n"}, 0.5),
        ("0::/../elsewhere\n", {"sys/fs/cgroup/cpu.max": "100000 100000\n"}, 1.0),
        (V2, {}, math.inf),
        (V2, {"sys/fs/cgroup/system.slice/cpu.max": "rubbish"}, math.inf),
        (
            V1,
            {
                "sys/fs/cgroup/cpu/docker/abc/cpu.cfs_quota_us": "250000\n",
                "sys/fs/cgroup/cpu/docker/abc/cpu.cfs_period_us": "100000\n",
            },
            2.5,
        ),
        (
            V1,
            {
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            math.inf,
        ),
        (
            V1,  # in a container: its group is the root of what it sees
            {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "100000\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "50000\n"},
            2.0,
        ),
    ],
)
def test_the_smallest_quota_on_the_way_up_counts(
    tmp_path: Path, groups: str, files: dict[str, str], quota: float
) -> None:
    root = machine(tmp_path, groups, files)
    assert cpus.quota(root) == quota
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    assert cpus.available(root) == max(1, min(allowed, math.ceil(quota) if quota < math.inf else allowed))


def test_a_system_without_control_groups_has_no_quota(tmp_path: Path) -> None:
    assert cpus.quota(tmp_path) == math.inf


@pytest.mark.platform("linux")
def test_only_the_cpus_that_the_process_may_run_on_count() -> None:
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert cpus.available() == 1
    finally:
        os.sched_setaffinity(0, before)
