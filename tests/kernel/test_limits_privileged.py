"""Limits of this kernel that are nearly used up, and users and pods beside them that are well."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from kernelhealth_agent import moments
from kernelhealth_agent.detectors import limits as detector
from kernelhealth_agent.hosts.live import LiveHost
from kernelhealth_agent.kernel import limits
from kernelhealth_agent.kernel.inotify import User
from kernelhealth_agent.kernel.limits import Memory, Sample
from kernelhealth_agent.kernel.namespaces import Inventory
from kernelhealth_agent.source import Occasion
from kernelhealth_agent.sources import limits as source
from kernelhealth_api.detector import Observation
from kernelhealth_e2e.faults.namespace import sandbox
from kernelhealth_e2e.faults.used_up_limits import inotify_instances, limited_pod, refused_forks

# Nobody else's: above what user namespaces and services are given, and another run's are others.
GREEDY, MODEST = (2_000_000_000 + 2 * os.getpid() + number for number in range(2))
UID = "8a7f0000-0000-4000-8000-0000000000aa"
OTHER = "8a7f0000-0000-4000-8000-0000000000ab"

Sampled = Callable[..., Sample]


@pytest.fixture
def sampled(live: LiveHost, look: Callable[..., Inventory]) -> Sampled:
    """Look at this machine with what was known before."""

    def taken(memory: Memory | None = None) -> Sample:
        return source.collect(live, Occasion(look(), moments.now(), memory))

    return taken


def users(sample: Sample) -> dict[int, User]:
    return {user.uid: user for user in sample.users or ()}


def observed(sample: Sample, **params: float) -> list[Observation]:
    return list(detector.judge(sample, detector.LimitsParams.model_validate(params)))


def allowed() -> int:
    """Return how many instances a user may have."""
    most = int(Path("/proc/sys/fs/inotify/max_user_instances").read_text())
    if most > 8192:
        pytest.skip("users of this machine may have too many inotify instances to use them up")
    return most


def test_a_user_with_most_of_its_inotify_instances_is_named_and_another_is_not(
    sampled: Sampled,
) -> None:
    number = allowed() - 2
    with inotify_instances(GREEDY, number) as pid, inotify_instances(MODEST, 3):
        sample = sampled()

    found = [o for o in observed(sample) if o.reason is detector.INOTIFY]
    assert f"{GREEDY}/instances" in {o.key for o in found}
    assert f"{MODEST}/instances" not in {o.key for o in found}
    (mine,) = [o for o in found if o.key == f"{GREEDY}/instances"]
    assert f"[{pid}]" in str(mine.subject.process)
    assert mine.subject.holder == f"user {GREEDY}"
    assert mine.measure is not None
    assert mine.measure.value == number


def test_watches_are_counted(sampled: Sampled) -> None:
    with inotify_instances(MODEST, 2, watches=7):
        found = users(sampled())

    assert (found[MODEST].instances, found[MODEST].watches) == (2, 14)


def test_instances_that_processes_share_count_once(sampled: Sampled) -> None:
    with inotify_instances(MODEST, 1, watches=3, sharers=4):
        found = users(sampled())

    assert (found[MODEST].instances, found[MODEST].watches) == (1, 3)


def test_the_descriptors_are_looked_at_seldom(sampled: Sampled) -> None:
    memory = source.SOURCE.recalled(limits.remember(sampled()))

    with inotify_instances(MODEST, 3):
        again = sampled(memory)

    assert MODEST not in users(again)


def test_what_a_pod_does_in_a_user_namespace_counts_for_its_maker(sampled: Sampled) -> None:
    with inotify_instances(None, 5) as pid:
        found = users(sampled())

    assert found[0].instances >= 5
    others = [user for uid, user in found.items() if uid]
    assert pid not in {user.most_instances.pid for user in others}
    assert pid not in {user.most_watches.pid for user in others}


def test_a_pod_whose_forks_are_refused_is_named_and_another_is_not(
    sampled: Sampled, kubelet: Path
) -> None:
    (kubelet / UID).mkdir()
    with limited_pod(UID, 6) as container, sandbox() as made:
        (container / "cgroup.procs").write_text(str(made.pid))
        before = sampled()
        healthy = observed(before)
        refused = refused_forks(container, 10)
        after = observed(sampled(limits.remember(before)))
        made.stop()

    assert refused > 0
    assert [o for o in healthy if o.subject.pod_uid == UID] == []
    (found,) = [o for o in after if o.subject.pod_uid == UID]
    assert found.reason is detector.PIDS
    assert "forks were refused in the last minutes" in found.message


def test_pods_of_two_groups_of_all_pods_are_looked_at(sampled: Sampled, kubelet: Path) -> None:
    for uid in (UID, OTHER):
        (kubelet / uid).mkdir()
    with limited_pod(UID, 6) as one, limited_pod(OTHER, 6) as other, sandbox() as a, sandbox() as b:
        (one / "cgroup.procs").write_text(str(a.pid))
        (other / "cgroup.procs").write_text(str(b.pid))
        found = sampled().pods
        a.stop()
        b.stop()

    assert {UID, OTHER} <= {p.tenant.pod.uid for p in found if p.tenant and p.tenant.pod}


def test_threads_and_files_of_this_machine_are_counted(sampled: Sampled) -> None:
    sample = sampled()

    assert sample.threads is not None
    assert sample.files is not None
    assert 10 < sample.threads.used < sample.threads.limit
    assert 10 < sample.files.used < sample.files.limit
    assert [o for o in observed(sample) if o.reason is not detector.INOTIFY] == []


def test_the_same_machine_is_near_its_limits_where_they_are_said_to_be_low(
    sampled: Sampled,
) -> None:
    found = {o.reason for o in observed(sampled(), warning_percent=0.001)}

    assert {detector.PIDS, detector.FILES} <= found
