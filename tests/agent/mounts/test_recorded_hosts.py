from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from kernelhealth_agent import errors
from kernelhealth_agent.detectors import mounts as detector
from kernelhealth_agent.hosts.recorded import RecordedHost
from kernelhealth_agent.kernel.mount_namespaces import Sample
from kernelhealth_agent.source import Occasion
from kernelhealth_agent.sources import mounts as source
from kernelhealth_api.detector import Observation, Severity

Recorded = Callable[..., tuple[RecordedHost, Occasion[Any]]]
DEFAULTS = detector.MountsParams()


def sampled(recorded: Recorded, name: str, later: float = 0.0) -> Sample:
    """Look at a recorded host at the time of its recording, with what was known then."""
    host, occasion = recorded(name)
    said = host.recording()
    memory = source.SOURCE.recalled(said.get("memories", {}).get(source.SOURCE.name))
    late = said.get("uptime", occasion.moment.uptime) - occasion.moment.uptime + later
    return source.collect(*recorded(name, memory, late))


def observed(recorded: Recorded, name: str) -> list[Observation]:
    return list(detector.judge(sampled(recorded, name), DEFAULTS))


def reasons(found: list[Observation]) -> dict[str, list[Observation]]:
    return {
        reason.name: [o for o in found if o.reason is reason]
        for reason in detector.DETECTOR.reasons
    }


def test_a_leak_is_found_with_its_pace_and_when_it_has_used_up_the_memory(
    recorded: Recorded,
) -> None:
    (leak,) = observed(recorded, "mounts-leaking")

    assert leak.reason is detector.LEAK
    assert leak.severity is None
    assert leak.measure is not None
    assert (leak.measure.value, leak.measure.per_hour) == (36488, 2268)
    assert leak.measure.exhaustion is not None
    assert leak.cures[-1] == "Reboot"
    assert leak.message.startswith(
        "The kernel has at least 36488 mounts that none of 2 mount namespaces shows, 2268 more"
        " each hour, of 384 bytes each"
    )


def test_a_leak_is_none_before_it_was_watched_for_a_while(recorded: Recorded) -> None:
    sample = source.collect(*recorded("mounts-leaking"))

    assert sample.unexplained == 36488
    assert list(detector.judge(sample, DEFAULTS)) == []


def test_namespaces_without_a_process_are_named_with_who_holds_them(recorded: Recorded) -> None:
    found = reasons(observed(recorded, "mounts-orphaned"))["OrphanMounts"]

    assert len(found) == 13
    assert {o.severity for o in found[:12]} == {None}
    assert found[0].subject.process == "cart[230]"
    assert found[0].subject.pod == "shop/cart-1"
    assert found[0].cures == ("StopHolder",)
    assert found[0].message == (
        "Mount namespace 4026532300 has 38 mounts and no process, and cart[230] of pod shop/cart-1"
        " holds it open by descriptor 20: restart that process to let go of what is mounted there."
    )


def test_one_namespace_that_nobody_holds_is_noted_and_needs_a_reboot(recorded: Recorded) -> None:
    found = reasons(observed(recorded, "mounts-orphaned"))["OrphanMounts"]

    assert (found[12].severity, found[12].cures) == (Severity.INFO, ("Reboot",))


def test_a_namespace_that_is_nearly_full_is_critical_and_names_its_pod(recorded: Recorded) -> None:
    (full,) = reasons(observed(recorded, "mounts-orphaned"))["MountsNearlyExhausted"]

    assert full.severity is Severity.CRITICAL
    assert full.subject.pod == "shop/cart-1"
    assert full.subject.rule == "fs.mount-max = 100000"


def test_a_healthy_host_has_no_finding(recorded: Recorded) -> None:
    sample = sampled(recorded, "mounts-healthy")

    assert list(detector.judge(sample, DEFAULTS)) == []
    assert sample.layers == 12
    assert sample.objects is not None
    assert sample.objects.merged == ("posix_timers_cache",)
    assert sample.orphans == ()


def test_what_is_counted_with_other_objects_is_no_more_than_a_note(recorded: Recorded) -> None:
    sample = sampled(recorded, "mounts-leaking")
    assert sample.objects is not None
    merged = replace(sample, objects=replace(sample.objects, merged=("posix_timers_cache",)))

    (leak,) = detector.judge(merged, DEFAULTS)

    assert leak.severity is Severity.INFO
    assert "or objects of posix_timers_cache, which are counted with them," in leak.message
    assert leak.measure is not None
    assert leak.measure.exhaustion is None


def test_a_host_without_mount_tables_says_so(recorded: Recorded) -> None:
    with pytest.raises(errors.AbsentError, match="mountinfo"):
        sampled(recorded, "gssproxy-healthy")
