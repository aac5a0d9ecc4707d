from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelhealth_agent import errors
from kernelhealth_agent.kernel import kmemleak, meminfo, populations, slab_aliases, slabinfo

HOSTS = Path(__file__).parents[2] / "fixtures" / "hosts"
HEAD = b"slabinfo - version: 2.1\n# name\n"
TAIL = b" : tunables    0    0    0 : slabdata"
MNT = b"mnt_cache 36456 36456 384 42 4" + TAIL + b" 868 868 0\n"
SPACED = b"dm bufio (tree) 1 2 8 512 1" + TAIL + b" 1 1 0\n"
LARGE = b"task 3 3 60000 1 1" + TAIL + b" 3 3 0\n"
MEMINFO = (HOSTS / "slab-merged-6.1/proc/meminfo").read_bytes()
SITES = (HOSTS / "slab-kmemleak-4.11/sys/kernel/debug/kmemleak").read_bytes()
NEW_STYLE = b"""\
unreferenced object (percpu) 0xffff8881 (size 64):
  comm "modprobe", pid 77, jiffies 4294
  hex dump (first 8 bytes on cpu 0):
    00 00 00 00 00 00 00 00  ........
  backtrace (crc 1f):
    pcpu_alloc_noprof+0x5a/0x80
    frob_init+0x11/0x20 [frob]
unreferenced object 0xffff888101010100 (size 32):
  comm "a "b" c", pid -1, jiffies 42
  backtrace (crc 0):
"""


def test_a_line_of_slabinfo_is_a_cache() -> None:
    (row,) = slabinfo.rows(HEAD + MNT, "slabinfo")

    assert row == slabinfo.Row("mnt_cache", 36456, 384, 42, 4, 868)
    assert row.all_pages == 868 * 4


def test_names_with_spaces_are_names() -> None:
    (row,) = slabinfo.rows(HEAD + SPACED, "slabinfo")

    assert row.name == "dm bufio (tree)"


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", 1),
        (b"slabinfo - version: 1.1\n", 1),
        (HEAD + b"mnt_cache 1 2\n", 3),
        (HEAD + b"x 1 1 8 0 1" + TAIL + b" 1 1 0\n", 3),
        (HEAD + MNT + b"x 1 1 8 1 0" + TAIL + b" 1 1 0\n", 4),
    ],
)
def test_another_form_of_slabinfo_is_said_with_its_line(content: bytes, line: int) -> None:
    with pytest.raises(errors.UnreadableError) as raised:
        slabinfo.rows(content, "slabinfo")

    assert raised.value.line == line


def test_the_size_of_a_page_is_what_slabs_need() -> None:
    small = slabinfo.rows(HEAD + MNT, "slabinfo")
    large = slabinfo.rows(HEAD + MNT + LARGE, "slabinfo")

    assert [slabinfo.page_size(rows) for rows in ((), small, large)] == [4096, 4096, 65536]


@given(st.binary(max_size=300))
def test_any_bytes_of_slabinfo_are_caches_or_unreadable(noise: bytes) -> None:
    for content in (noise, HEAD + noise, HEAD + MNT + noise):
        try:
            rows = slabinfo.rows(content, "slabinfo")
        except errors.UnreadableError:
            continue
        assert slabinfo.page_size(rows) >= 4096


def test_memory_adds_up() -> None:
    found = meminfo.memory(MEMINFO, "meminfo")

    assert found.total == 2013568 << 10
    assert found.unreclaimable == 86000 << 10
    assert found.reachable == (720000 + 110000 + 530000 - 9000) << 10
    kept = 720000 + 110000 + 530000 + 390000 + 46000 + 86000 + 5200 + 9100 + 31000 + 7000
    assert found.unaccounted == (2013568 - kept) << 10


def test_compressed_memory_is_accounted_for_once() -> None:
    plain = meminfo.memory(MEMINFO, "meminfo").unaccounted
    zswap = MEMINFO + b"Zswap:          1000 kB\n"

    assert meminfo.memory(MEMINFO, "meminfo", 3 << 20).unaccounted == plain - (3 << 20)
    assert meminfo.memory(zswap, "meminfo", 3 << 20).unaccounted == plain - (3 << 20)


@pytest.mark.parametrize("name", ["MemTotal", "MemFree", "Cached", "SUnreclaim", "MemAvailable"])
def test_a_line_that_is_missing_is_named(name: str) -> None:
    torn = MEMINFO.replace(f"\n{name}:".encode(), b"\nX:").replace(b"MemTotal:", b"MemTotal:")
    if name == "MemTotal":
        torn = MEMINFO.replace(b"MemTotal:", b"Mem:")

    with pytest.raises(errors.UnreadableError, match=name):
        meminfo.memory(torn, "meminfo")


@given(st.binary(max_size=400))
def test_any_bytes_of_meminfo_are_memory_or_unreadable(noise: bytes) -> None:
    for content in (noise, MEMINFO + noise, noise + b"\n" + MEMINFO):
        try:
            found = meminfo.memory(content, "meminfo")
        except errors.UnreadableError:
            continue
        assert 0 <= found.unaccounted <= found.total


def test_kmemleak_names_who_allocated_and_for_whom() -> None:
    namespaces, cgroups = kmemleak.sites(SITES, "kmemleak")

    assert (namespaces.function, namespaces.module) == ("dccp_init_net", "nf_conntrack")
    assert (namespaces.objects, namespaces.size, namespaces.age) == (2, 2048, 957)
    assert (namespaces.comm, namespaces.pid) == ("ip", 15477)
    assert cgroups.function == "memcg_create_kmem_cache"
    assert cgroups.trace[0] == "kmemleak_alloc"


def test_kmemleak_of_a_newer_kernel_is_understood() -> None:
    first, second = kmemleak.sites(NEW_STYLE, "kmemleak")

    assert (first.function, first.module, first.age) == ("frob_init", "frob", None)
    assert (second.function, second.comm, second.pid) == ("unknown", 'a "b" c', -1)


def test_nothing_lost_is_nothing() -> None:
    assert kmemleak.sites(b"", "kmemleak") == ()


def test_what_is_none_of_kmemleak_is_said() -> None:
    with pytest.raises(errors.UnreadableError, match="does not begin"):
        kmemleak.sites(b"kmemleak: disabled\n", "kmemleak")


@given(st.binary(max_size=300), st.integers(0, len(SITES)))
def test_any_bytes_of_kmemleak_are_sites_or_unreadable(noise: bytes, cut: int) -> None:
    for content in (noise, SITES[:cut] + noise, SITES + noise):
        try:
            found = kmemleak.sites(content, "kmemleak")
        except errors.UnreadableError:
            continue
        assert all(site.objects > 0 for site in found)


def test_merged_caches_know_each_other() -> None:
    links = {"a": ":1", "b": ":1", "c": ":2", "d": ":1"}

    assert slab_aliases.groups(links) == {
        "a": ("b", "d"),
        "b": ("a", "d"),
        "d": ("a", "b"),
        "c": (),
    }


COUNTS = (*populations.ALIVE, *populations.EVER, populations.COMPRESSED)


@pytest.mark.parametrize("count", COUNTS, ids=[count.name for count in COUNTS])
@given(noise=st.binary(max_size=200))
def test_any_bytes_of_a_counter_are_a_number_or_unreadable(
    count: populations.Count, noise: bytes
) -> None:
    path = HOSTS / "slab-merged-6.1" / count.path
    whole = path.read_bytes() if path.exists() else b"nr_zspages 5\n"

    assert count.value(whole) > 0
    with contextlib.suppress(errors.UnreadableError):
        assert count.value(noise) >= 0


@given(st.binary(max_size=200))
def test_any_bytes_of_cgroups_are_a_number_or_unreadable(noise: bytes) -> None:
    for content in (noise, b"#subsys_name\thierarchy\tnum_cgroups\tenabled\n" + noise):
        try:
            assert populations.cgroups(content, "cgroups") >= 0
        except errors.UnreadableError:
            continue


def test_the_fullest_hierarchy_counts() -> None:
    text = b"#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t1\t3\t1\nmemory\t4\t272\t1\n"

    assert populations.cgroups(text, "cgroups") == 272


def test_namespaces_are_counted_by_batches_of_their_numbers() -> None:
    first = populations.births({}, [4097, 4100, 12])
    second = populations.births(first, [4101, 8193, 5])

    assert sum(first.values()) == 4 + 12
    assert sum(second.values()) == 5 + 12 + 1


@given(st.lists(st.integers(-5, 1 << 63)), st.lists(st.integers(-5, 1 << 40)))
def test_counted_namespaces_never_become_fewer(once: list[int], later: list[int]) -> None:
    first = populations.births({}, once)

    second = populations.births(first, later)

    assert len(second) <= 512
    assert len(second) == 512 or sum(second.values()) >= sum(first.values())
