"""Memory by cgroup: of this machine's own, and of both versions as files show them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from badgateway.collectors import cgroups
from badgateway.collectors.cgroups import Cgroups, Hierarchies, Memory


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


def of_pid(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Let every process be in this cgroup."""
    real = Path.read_text

    def read(path: Path, *arguments: object, **given: object) -> str:
        if str(path) == "/proc/7/cgroup":
            return text
        return real(path)

    monkeypatch.setattr(Path, "read_text", read)


def test_version_2_has_the_lowest_limit_up_the_tree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unit = tmp_path / "system.slice/api.service"
    write(
        unit, memory__current="5000\n", memory__max="max\n",
        memory__stat="anon 3000\ninactive_file 1500\n", memory__events="low 0\noom_kill 2\n",
    )  # fmt: skip
    write(tmp_path / "system.slice", memory__max="9000\n")
    of_pid(monkeypatch, "0::/system.slice/api.service\n")
    found = cgroups.read(7, Hierarchies(unified=(str(tmp_path), "/")))
    assert found is not None
    assert (found.used, found.limit, found.killed) == (3500, 9000, 2)


def test_version_1_knows_no_limit_by_its_largest_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(
        tmp_path / "docker/1f", memory__usage_in_bytes="7000\n",
        memory__limit_in_bytes="9223372036854771712\n",
        memory__stat="inactive_file 1\ntotal_inactive_file 2000\n",
        memory__oom_control="oom_kill_disable 0\nunder_oom 0\noom_kill 1\n",
    )  # fmt: skip
    of_pid(monkeypatch, "11:cpu,cpuacct:/docker/1f\n4:memory:/docker/1f\n0::/\n")
    found = cgroups.read(7, Hierarchies(memory=(str(tmp_path), "/")))
    assert found is not None
    assert (found.used, found.limit, found.killed) == (5000, None, 1)


def test_both_versions_are_found_where_they_are_mounted() -> None:
    mounts = """\
30 23 0:26 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
31 23 0:27 /sub /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory
32 23 0:28 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct
"""
    found = cgroups.hierarchies(mounts)
    assert found.unified == ("/sys/fs/cgroup/unified", "/")
    assert found.memory == ("/sys/fs/cgroup/memory", "/sub")


def test_this_machines_own_cgroup_can_be_read() -> None:
    places = cgroups.hierarchies()
    found = cgroups.read(os.getpid(), places)
    if places == Hierarchies() or found is None:
        pytest.skip("no memory controller is shown here")
    assert found.used > 0


def test_a_kill_is_told_once_and_a_new_cgroup_begins_anew() -> None:
    kept = Cgroups()
    assert kept.take({"web": Memory(1, None, 3, "a 1")}) == []
    assert kept.take({"web": Memory(1, None, 4, "a 1")}) == ["web"]
    assert kept.take({"web": Memory(1, None, 4, "a 1")}) == []
    assert kept.take({"web": Memory(1, None, 9, "a 2")}) == []
