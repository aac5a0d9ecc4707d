from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kernelhealth_agent import errors
from kernelhealth_agent.detectors import limits as detector
from kernelhealth_agent.hosts.recorded import RecordedHost
from kernelhealth_agent.kernel import limits
from kernelhealth_agent.kernel.limits import Sample
from kernelhealth_agent.source import Occasion
from kernelhealth_agent.sources import limits as source
from kernelhealth_api.detector import Observation, Severity

Recorded = Callable[..., tuple[RecordedHost, Occasion[Any]]]
DEFAULTS = detector.LimitsParams()


def sampled(recorded: Recorded, name: str, later: float = 0.0) -> Sample:
    """Look at a recorded host at the time of its recording, with what was known then."""
    host, occasion = recorded(name)
    said = host.recording()
    memory = source.SOURCE.recalled(said.get("memories", {}).get(source.SOURCE.name))
    late = said.get("uptime", occasion.moment.uptime) - occasion.moment.uptime + later
    return source.collect(*recorded(name, memory, late))


def observed(recorded: Recorded, name: str) -> list[Observation]:
    return list(detector.judge(sampled(recorded, name), DEFAULTS))


def by_key(found: list[Observation]) -> dict[str, Observation]:
    return {o.key.removeprefix("sys/fs/cgroup/"): o for o in found}


def test_limits_of_the_node_are_named_with_the_setting_that_is_lower(recorded: Recorded) -> None:
    found = by_key(observed(recorded, "limits-exhausted"))

    assert found["kernel.pid_max"].severity is None
    assert found["kernel.pid_max"].subject.rule == "kernel.pid_max = 32768"
    assert found["fs.file-max"].severity is Severity.CRITICAL
    assert found["fs.file-max"].cures == ("SetSysctl",)


def test_a_pod_whose_forks_are_refused_is_named(recorded: Recorded) -> None:
    found = by_key(observed(recorded, "limits-exhausted"))

    pod = found["kubepods/burstable/pod8a7f0000-0000-4000-8000-000000000001"]
    assert pod.subject.pod == "shop/cart-1"
    assert pod.message == (
        "The pod shop/cart-1 has 1012 processes and threads of 4096, and 42 forks were refused in"
        " the last minutes: find out which program makes so many, or raise podPidsLimit of the"
        " kubelet."
    )
    assert found["kubepods"].message.startswith("All pods together have 29000 processes")


def test_a_user_is_named_with_the_pod_that_has_most(recorded: Recorded) -> None:
    found = by_key(observed(recorded, "limits-exhausted"))

    assert found["0/instances"].subject.holder == "user 0"
    assert found["0/instances"].subject.pod == "shop/cart-1"
    assert "of which cart[230] of pod shop/cart-1 has 101" in found["0/instances"].message
    assert found["0/watches"].subject.rule == "fs.inotify.max_user_watches = 192536"
    assert not [key for key in found if key.startswith("1000/")]


def test_a_healthy_host_has_no_finding(recorded: Recorded) -> None:
    assert observed(recorded, "limits-healthy") == []


def test_the_descriptors_are_asked_for_seldom(recorded: Recorded) -> None:
    first = sampled(recorded, "limits-healthy")
    memory = source.SOURCE.recalled(limits.remember(first))

    soon = source.collect(*recorded("limits-healthy", memory, 60.0))
    late = source.collect(*recorded("limits-healthy", memory, 1800.0))

    assert soon.asked == first.asked
    assert (late.asked or 0) > (first.asked or 0)


def test_the_descriptors_are_asked_for_often_where_it_gets_tight(recorded: Recorded) -> None:
    first = sampled(recorded, "limits-exhausted")
    memory = source.SOURCE.recalled(limits.remember(first))
    began = (first.asked or 0) - 1000.0

    soon = source.collect(*recorded("limits-exhausted", memory, began + 60.0))
    late = source.collect(*recorded("limits-exhausted", memory, began + 300.0))

    assert soon.asked == first.asked
    assert (late.asked or 0) > (first.asked or 0)


def test_a_host_that_tells_of_no_limit_says_so(recorded: Recorded) -> None:
    with pytest.raises(errors.AbsentError, match="loadavg"):
        sampled(recorded, "gssproxy-healthy")
