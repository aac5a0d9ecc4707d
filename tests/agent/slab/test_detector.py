from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernelhealth_agent import errors, inventory
from kernelhealth_agent.detectors import slab as detector
from kernelhealth_agent.hosts.recorded import RecordedHost
from kernelhealth_agent.kernel.route_growth import Growths, Point, Series
from kernelhealth_agent.kernel.slab_caches import ROUTES, Memories, Sample
from kernelhealth_agent.kernel.slab_limits import SlabParams
from kernelhealth_agent.moments import Moment
from kernelhealth_agent.source import Occasion
from kernelhealth_agent.sources import slab as source
from kernelhealth_api.detector import Observation

HOSTS = Path(__file__).parents[2] / "fixtures" / "hosts"
WALL = datetime(2026, 1, 1, tzinfo=UTC)
DEFAULTS = SlabParams()
QUIET = ["slab-file-caches-6.1", "slab-busy-6.18", "slab-healthy-6.18"]


def sampled(directory: Path, later: float = 0.0, memory: Memories | None = None) -> Sample:
    """Look at a recorded host with what it remembers of the time before."""
    host = RecordedHost(str(directory))
    said = host.recording()
    moment = Moment(WALL, said["uptime"]).after(later)
    known = memory or source.SOURCE.recalled(said["memories"]["slab"])
    return source.collect(host, Occasion(inventory.take(host, moment.wall, {}), moment, known))


def observe(directory: Path, params: SlabParams = DEFAULTS) -> list[Observation]:
    return list(detector.judge(sampled(directory), params))


@pytest.fixture
def copied(tmp_path: Path) -> Callable[[str], Path]:
    """Copy a recorded host, to change it."""

    def made(name: str) -> Path:
        shutil.copytree(HOSTS / name, tmp_path / name, symlinks=True)
        return tmp_path / name

    return made


def rewritten(directory: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """Change what a host remembers."""
    path = directory / "recording.json"
    said = json.loads(path.read_text())
    change(said["memories"]["slab"])
    path.write_text(json.dumps(said))
    return directory


def test_a_leak_says_what_since_when_how_fast_whom_it_follows_and_when_it_ends() -> None:
    (found,) = observe(HOSTS / "slab-kmalloc-1024-4.10")

    assert found.reason is detector.LEAK
    assert found.message == (
        "Slab cache kmalloc-1024 has grown from 216446 to 441450 objects (432 MiB) since"
        " 31 December 12:00 UTC and nothing in use accounts for it: 20 MiB an hour over the last"
        " 12 h, 2.0 objects with each new network interface of the host, and memory runs out about"
        " 13 January 07:00 UTC; plan a reboot before then, unless ending what makes them frees it."
    )
    assert found.cause == "KmallocPerNamespaceLeak"
    assert found.cures == ("Reboot",)
    assert found.began == datetime(2025, 12, 31, 12, tzinfo=UTC)


def test_the_forecast_has_a_band_around_it() -> None:
    (found,) = observe(HOSTS / "slab-kmalloc-1024-4.10")

    measure = found.measure
    assert measure is not None
    assert measure.value == 13810 * 32 * 1024
    assert measure.per_hour == pytest.approx(20e6, rel=0.05)
    assert measure.earliest is not None
    assert measure.exhaustion is not None
    assert measure.latest is not None
    assert measure.earliest < measure.exhaustion < measure.latest


def test_a_merged_cache_is_told_with_all_its_names() -> None:
    (found,) = observe(HOSTS / "slab-merged-6.1")

    assert found.message.startswith(
        "Slab cache biovec-64 (one with khleak, sgpool-32: any of them may be what grows) has"
    )
    assert "10.0 objects with each new namespace" in found.message
    assert found.subject.holder == "kernel (slab cache biovec-64, khleak, sgpool-32)"


def test_route_objects_are_found_behind_the_name_of_another_cache() -> None:
    (found,) = observe(HOSTS / "slab-pool-workqueue-5.14")

    assert found.key == "pool_workqueue"
    assert found.cause == "SuppressPrefixLeak"
    assert found.cures == ("RemoveSuppressPrefixRule", "DisableIPv6RPFilter", "Reboot")
    assert "biovec-16, ip6_dst_cache" in found.message
    assert "remove the rule or the filter" in found.message


def test_a_shared_name_alone_blames_nobody(copied: Callable[[str], Path]) -> None:
    def without_routes(memory: dict[str, Any]) -> None:
        memory["history"]["tracks"]["living/routes6"]["points"] = [7] * 24

    directory = rewritten(copied("slab-pool-workqueue-5.14"), without_routes)

    (found,) = observe(directory)

    assert found.cause is None
    assert found.cures == ("Reboot",)


def test_route_objects_of_a_pod_are_counted_with_those_of_the_host() -> None:
    host = RecordedHost(str(HOSTS / "slab-healthy-6.18"))
    moment = Moment(WALL, host.recording()["uptime"])
    seen = inventory.take(host, moment.wall, {})
    pod = Series(seen.host.inode + 1, (Point(1.0, 70), Point(2.0, 5000)))
    own = Series(seen.host.inode, (Point(2.0, 300),))

    samples = [
        source.collect(host, Occasion(seen, moment, others={"suppress_prefix": growths}))
        for growths in (Growths(()), Growths((pod, own)))
    ]

    without, with_pod = (sample.history.level(ROUTES) for sample in samples)
    assert without is not None
    assert with_pod == without + 5000


def test_leaked_mounts_have_their_cause() -> None:
    (found,) = observe(HOSTS / "slab-mount-cache-4.12")

    assert (found.key, found.cause) == ("mnt_cache", "MountCacheLeak")


def test_without_names_it_is_said_that_others_may_share_the_cache() -> None:
    (found,) = observe(HOSTS / "slab-no-names-3.10")

    assert "size-1024 (this kernel does not tell which others share it)" in found.message
    assert found.cause is None


def test_memory_that_no_counter_explains_is_a_finding() -> None:
    (found,) = observe(HOSTS / "slab-pages-lost-6.1")

    assert found.reason is detector.UNACCOUNTED
    assert "has grown to 1.1 GiB since" in found.message
    assert "78 KiB with each new namespace" in found.message
    assert found.measure is not None
    assert found.measure.value == sampled(HOSTS / "slab-pages-lost-6.1").memory.unaccounted


def test_kmemleak_names_places_and_their_causes() -> None:
    namespaces, cgroups = observe(HOSTS / "slab-kmemleak-4.11")

    assert namespaces.reason is cgroups.reason is detector.REPORTED
    assert namespaces.cause == "KmallocPerNamespaceLeak"
    assert "2 objects (2.0 KiB)" in namespaces.message
    assert "dccp_init_net of module nf_conntrack, the first for ip[15477]" in namespaces.message
    assert namespaces.began == WALL - timedelta(minutes=16)
    assert cgroups.cause == "MemcgCacheLeak"


def test_kmemleak_names_whose_objects_fill_a_cache(copied: Callable[[str], Path]) -> None:
    directory = copied("slab-kmalloc-1024-4.10")
    (directory / "sys/kernel/debug").mkdir(parents=True)
    names = "sys/kernel/debug/kmemleak"
    shutil.copy(HOSTS / "slab-kmemleak-4.11" / names, directory / names)

    leak = observe(directory)[0]

    assert "and kmemleak names dccp_init_net of nf_conntrack" in leak.message


@pytest.mark.parametrize("name", QUIET)
def test_a_healthy_host_has_nothing(name: str) -> None:
    assert observe(HOSTS / name) == []


def test_the_same_growth_without_open_files_would_be_a_leak(copied: Callable[[str], Path]) -> None:
    def files_stay(memory: dict[str, Any]) -> None:
        for name in ("files", "inodes", "dentries"):
            memory["history"]["tracks"][f"living/{name}"]["points"] = [99999999] * 24

    directory = rewritten(copied("slab-busy-6.18"), files_stay)

    found = observe(directory, DEFAULTS.model_copy(update={"horizon": timedelta(days=9999)}))

    assert "TCP" in [leak.key for leak in found]


def test_caches_that_can_be_reclaimed_are_not_asked_about() -> None:
    grown = sampled(HOSTS / "slab-file-caches-6.1")

    dentries = next(cache for cache in grown.caches if cache.name == "dentry")

    assert dentries.reclaimable
    assert grown.history.tracks[dentries.row].points[-1] > 3_000_000


def test_they_are_when_memory_is_short_and_nothing_explains_them(
    copied: Callable[[str], Path],
) -> None:
    def files_stay(memory: dict[str, Any]) -> None:
        for name in ("inodes", "dentries", "cached"):
            track = memory["history"]["tracks"][f"living/{name}"]
            track["points"] = [track["points"][-1]] * len(track["points"])

    directory = rewritten(copied("slab-file-caches-6.1"), files_stay)
    meminfo = directory / "proc/meminfo"
    short = meminfo.read_text().replace(" 4120000 kB", "  120000 kB")
    meminfo.write_text(short.replace(" 4830000 kB", "  430000 kB"))

    names = [found.key for found in observe(directory) if found.reason is detector.LEAK]

    assert {"dentry", "ext4_inode_cache"} <= set(names)


def test_growth_of_no_single_cache_is_found_in_the_sum(copied: Callable[[str], Path]) -> None:
    def uncached(memory: dict[str, Any]) -> None:
        tracks = memory["history"]["tracks"]
        del tracks["cache/biovec-64"]

    directory = rewritten(copied("slab-merged-6.1"), uncached)

    (found,) = observe(directory)

    assert found.key == "SUnreclaim"
    assert "though no one slab cache did" in found.message


def test_without_slabinfo_the_sums_still_speak(copied: Callable[[str], Path]) -> None:
    directory = copied("slab-merged-6.1")
    (directory / "proc/slabinfo").unlink()

    (found,) = observe(directory)

    assert found.key == "SUnreclaim"


def test_without_meminfo_nothing_can_be_said(copied: Callable[[str], Path]) -> None:
    directory = copied("slab-merged-6.1")
    (directory / "proc/meminfo").unlink()

    with pytest.raises(errors.AbsentError, match="meminfo"):
        sampled(directory)


def test_a_garbled_counter_costs_only_itself_and_is_said(copied: Callable[[str], Path]) -> None:
    directory = copied("slab-merged-6.1")
    (directory / "proc/stat").write_text("nothing\n")

    found = sampled(directory)

    assert found.blind == (
        "proc/stat cannot be understood: nothing in it matches ^processes (\\d{1,18})$",
    )
    assert "made/processes" not in found.history.tracks
    assert [o.key for o in detector.judge(found, DEFAULTS)] == ["biovec-64"]


def test_what_was_freed_is_over(copied: Callable[[str], Path]) -> None:
    directory = copied("slab-merged-6.1")
    slabinfo = directory / "proc/slabinfo"
    slabinfo.write_text(slabinfo.read_text().replace(" 36120  36160 ", "  1120  36160 "))
    meminfo = directory / "proc/meminfo"
    meminfo.write_text(meminfo.read_text().replace("   86000 kB", "   51000 kB"))

    assert observe(directory) == []


def test_a_leak_survives_a_restart_and_goes_on_where_it_was() -> None:
    assert source.SOURCE.remember is not None
    before = sampled(HOSTS / "slab-merged-6.1")
    memory = source.SOURCE.remember(before)

    after = sampled(HOSTS / "slab-merged-6.1", later=3600, memory=memory)

    assert after.history.times[:-1] == before.history.times[:-1]
    assert [o.key for o in detector.judge(after, DEFAULTS)] == ["biovec-64"]


def test_the_numbers_of_deleted_interfaces_still_count() -> None:
    found = sampled(HOSTS / "slab-kmalloc-1024-4.10")

    assert found.history.level("made/interfaces") == 160500


def test_time_series_are_few_and_of_what_cannot_be_reclaimed() -> None:
    sample = sampled(HOSTS / "slab-merged-6.1")
    values = {signal.name: signal.values(sample) for signal in detector.DETECTOR.signals}

    assert len(values["slab_cache_bytes"]) <= 10
    assert values["slab_cache_bytes"]["biovec-64",] == 1130 * 8 * 4096
    assert ("dentry",) not in values["slab_cache_bytes"]
    assert values["slab_unreclaimable_bytes"] == {(): 86000.0 * 1024}
    assert values["kmemleak_objects"] == {}


@pytest.mark.parametrize("path", ["proc/slabinfo", "proc/meminfo", "sys/kernel/debug/kmemleak"])
@given(noise=st.binary(max_size=200))
@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_garbage_is_unreadable_and_nothing_else(path: str, tmp_path: Path, noise: bytes) -> None:
    directory = tmp_path / "host"
    if not directory.exists():
        shutil.copytree(HOSTS / "slab-kmemleak-4.11", directory, symlinks=True)
    (directory / path).write_bytes(noise)

    try:
        found = observe(directory)
    except errors.HostError:
        return
    assert all(o.reason in detector.DETECTOR.reasons for o in found)
