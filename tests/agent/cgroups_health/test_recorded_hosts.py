from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kernelhealth_agent import errors
from kernelhealth_agent.detectors import cgroups as detector
from kernelhealth_agent.hosts.recorded import RecordedHost
from kernelhealth_agent.kernel.cgroup_hierarchies import Sample
from kernelhealth_agent.source import Occasion
from kernelhealth_agent.sources import cgroups as source
from kernelhealth_api.detector import Observation, Severity

Recorded = Callable[..., tuple[RecordedHost, Occasion[Any]]]
DEFAULTS = detector.CgroupsParams()


def sampled(recorded: Recorded, name: str, later: float = 0.0) -> Sample:
    """Look at a recorded host at the time of its recording, with what was known then."""
    host, occasion = recorded(name)
    said = host.recording()
    memory = source.SOURCE.recalled(said.get("memories", {}).get(source.SOURCE.name))
    late = said.get("uptime", occasion.moment.uptime) - occasion.moment.uptime + later
    return source.collect(*recorded(name, memory, late))


def observed(recorded: Recorded, name: str) -> list[Observation]:
    return list(detector.judge(sampled(recorded, name), DEFAULTS))


def test_dying_groups_are_found_with_their_unit_their_growth_and_when_they_are_too_many(
    recorded: Recorded,
) -> None:
    (found,) = observed(recorded, "cgroups-dying")

    assert found.reason is detector.DYING
    assert found.subject.file == "/system.slice/backup.service"
    assert found.measure is not None
    assert (found.measure.value, found.measure.per_hour) == (5210, 360)
    assert found.measure.exhaustion is not None
    assert found.cures == ("DropCaches", "Reboot")
    assert found.message.startswith(
        "The cgroup v2 hierarchy (above all its memory controller) has 5210 removed groups beside"
        " 412 living, 360 more each hour, most of them below /system.slice/backup.service: "
    )


def test_with_cgroup_v1_the_dying_are_what_exceeds_the_directories(recorded: Recorded) -> None:
    (found,) = observed(recorded, "cgroups-exhausted-v1")

    assert (found.key, found.severity) == ("memory", Severity.CRITICAL)
    assert found.measure is not None
    assert found.measure.value == 64120 - 823


def test_controllers_that_share_a_hierarchy_are_counted_once(recorded: Recorded) -> None:
    sample = sampled(recorded, "cgroups-exhausted-v1")

    assert {h.name: h.census.dying for h in sample.hierarchies} == {
        "cgroup2": 0,
        "cpu,cpuacct": 1,
        "memory": 63297,
    }


def test_dying_groups_that_become_no_more_are_no_finding(recorded: Recorded) -> None:
    sample = sampled(recorded, "cgroups-healthy")

    (memory,) = [h for h in sample.hierarchies if h.name == "memory"]
    assert memory.census.dying == 171
    params = detector.CgroupsParams(dying_groups=100)
    assert list(detector.judge(sample, params)) == []


def test_many_dying_groups_are_no_finding_before_they_were_watched_for_a_while(
    recorded: Recorded,
) -> None:
    sample = source.collect(*recorded("cgroups-dying"))

    assert list(detector.judge(sample, DEFAULTS)) == []


def test_a_host_that_counts_no_dying_groups_says_so(recorded: Recorded) -> None:
    with pytest.raises(errors.AbsentError):
        sampled(recorded, "mounts-orphaned")
