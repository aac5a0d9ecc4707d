"""Control groups of this kernel that were removed and stay, and living ones beside them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from datetime import timedelta

import pytest

from kernelhealth_agent import moments
from kernelhealth_agent.detectors import cgroups as detector
from kernelhealth_agent.hosts.live import LiveHost
from kernelhealth_agent.kernel.cgroup_hierarchies import UNIFIED, Census, Sample
from kernelhealth_agent.kernel.history import History
from kernelhealth_agent.kernel.namespaces import Inventory
from kernelhealth_agent.source import Occasion
from kernelhealth_agent.sources import cgroups as source
from kernelhealth_e2e.faults.dying_cgroups import dying_groups, living_group, memory_hierarchy

NUMBER = 25
MEMORY = "memory" if memory_hierarchy().name == "memory" else UNIFIED

Sampled = Callable[..., Sample]


@pytest.fixture
def sampled(live: LiveHost, look: Callable[..., Inventory]) -> Sampled:
    """Look at this machine, so many seconds later than it is, with what was known before."""
    inventory, began = look(), moments.now()

    def taken(later: float = 0.0, memory: History | None = None) -> Sample:
        return source.collect(live, Occasion(inventory, began.after(later), memory))

    return taken


def census(sample: Sample) -> Census:
    (found,) = [h.census for h in sample.hierarchies if h.name == MEMORY]
    return found


def settled(sampled: Sampled) -> Sample:
    """Look until what was let go of before is freed: the kernel does it later and tells nobody."""
    deadline, falls, sample = time.monotonic() + 20, True, sampled()
    while falls and time.monotonic() < deadline:
        before = census(sample).dying
        time.sleep(0.5)
        sample = sampled()
        falls = before - (census(sample).dying) > 2
    return sample


def test_removed_groups_with_pages_are_counted_as_dying(sampled: Sampled) -> None:
    before = census(settled(sampled))

    with dying_groups(NUMBER):
        after = census(sampled())

    assert after.dying >= before.dying + NUMBER - before.dying // 10


def test_living_groups_are_not_dying(sampled: Sampled) -> None:
    with living_group() as parent:
        before = census(sampled())
        for index in range(NUMBER):
            (parent / f"alive-{index}").mkdir()
        after = census(sampled())

    # Others may make and remove groups meanwhile, but not as many.
    assert after.dying < before.dying + NUMBER
    assert after.living > before.living + NUMBER // 2


def leaking(sampled: Sampled) -> Sample:
    """Let ever more groups be dying, for three looks."""
    sample = settled(sampled)
    with contextlib.ExitStack() as stack:
        for later in (1200.0, 2400.0, 3600.0):
            stack.enter_context(dying_groups(NUMBER))
            sample = sampled(later, sample.history)
    return sample


def grows(sample: Sample) -> bool:
    (found,) = [h.growth for h in sample.hierarchies if h.name == MEMORY]
    return found is not None and found.lower > 0


def test_dying_groups_that_become_more_are_a_finding_with_their_growth(sampled: Sampled) -> None:
    params = detector.CgroupsParams(dying_groups=NUMBER, growing_for=timedelta(hours=1))

    # Whoever removes groups meanwhile disturbs a try.
    tries = (leaking(sampled) for _ in range(8))
    sample = next(one for one in tries if grows(one))

    (found,) = [o for o in detector.judge(sample, params) if o.key == MEMORY]
    assert found.measure is not None
    assert found.measure.per_hour is not None
    assert NUMBER < found.measure.per_hour < 10 * NUMBER
    assert found.measure.exhaustion is not None
    assert found.cures == ("DropCaches", "Reboot")


def test_dying_groups_that_do_not_become_more_are_none(sampled: Sampled) -> None:
    params = detector.CgroupsParams(dying_groups=1, growing_for=timedelta(hours=1))
    with dying_groups(NUMBER):
        sample = sampled()
    for later in range(600, 4201, 600):
        sample = sampled(float(later), sample.history)

    assert list(detector.judge(sample, params)) == []
