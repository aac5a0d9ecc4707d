from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelhealth_agent import errors
from kernelhealth_agent.hosts.cgroup_directories import CgroupDirectories
from kernelhealth_agent.kernel import cgroup_hierarchies
from kernelhealth_agent.kernel.cgroup_hierarchies import Census, Mount

PATH = "proc/cgroups"


def test_a_kernel_without_the_number_of_dying_groups_is_told_from_garbage() -> None:
    with pytest.raises(errors.AbsentError):
        cgroup_hierarchies.census(b"nr_descendants 7\n", PATH)
    with pytest.raises(errors.UnreadableError):
        cgroup_hierarchies.census(b"garbage", PATH)


def test_the_controller_with_most_dying_groups_is_named() -> None:
    text = b"nr_descendants 7\nnr_dying_descendants 5\nnr_dying_subsys_memory 5\n"

    assert cgroup_hierarchies.census(text, PATH) == Census(7, 5, "memory")


def test_hierarchies_that_are_mounted_in_part_only_are_left_out() -> None:
    table = (
        b"31 30 0:26 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n"
        b"32 30 0:26 /docker/1 /x rw - cgroup cgroup rw,memory\n"
        b"33 30 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
    )

    assert cgroup_hierarchies.mounts(table) == [
        Mount("/sys/fs/cgroup/memory", frozenset({"rw", "memory"})),
        Mount("/sys/fs/cgroup/unified", frozenset()),
    ]


@given(st.binary())
def test_any_bytes_give_a_value_or_say_what_is_wrong(content: bytes) -> None:
    cgroup_hierarchies.mounts(content)
    for decode in (
        cgroup_hierarchies.census,
        cgroup_hierarchies.numbers,
        cgroup_hierarchies.directories,
    ):
        with contextlib.suppress(errors.UnreadableError, errors.AbsentError):
            decode(content, PATH)


@given(st.from_regex(r"(\w{1,5} ?\t?\d{1,3}\t\d{1,4}\t[01]\n){0,5}"))
def test_any_table_gives_numbers_of_hierarchies_or_says_what_is_wrong(text: str) -> None:
    with contextlib.suppress(errors.UnreadableError):
        found = cgroup_hierarchies.numbers(text.encode(), PATH)
        assert all(names for names in found)


def test_directories_are_counted_with_the_top_and_without_files(tmp_path: Path) -> None:
    for path in ("mount/a/b", "mount/a/c", "mount/d"):
        (tmp_path / path).mkdir(parents=True)
    (tmp_path / "mount/a/file").write_text("")
    (tmp_path / "mount/link").symlink_to("a")

    assert CgroupDirectories("/mount").ask(f"{tmp_path}/") == b"5"
