"""What the pods of the scenario wedge read from the kernel, and what its control puts up with."""

from __future__ import annotations

import os

import pytest

from kernelhealth_agent import catalogue
from kernelhealth_e2e.errors import HarnessError
from kernelhealth_e2e.lab.scenarios.wedge import control
from kernelhealth_e2e.lab.scenarios.wedge.workloads import crowd, deeds


def test_the_links_of_a_crowd_are_told_from_others() -> None:
    head = ["Inter-|   Receive", " face |bytes    packets"]

    assert crowd.crowded([*head, "    lo:       0       0", "crowd7:     420       6"])
    assert not crowd.crowded([*head, "    lo:       0       0", " eth0:      70       1"])


def test_state_and_time_are_read_behind_a_name_with_brackets() -> None:
    ticks = os.sysconf("SC_CLK_TCK")
    zeros = " 0" * 10

    stat = f"25 (kworker/u4:1+(netns)) R{zeros} {3 * ticks} {2 * ticks} 0 0 20 0 1 0 32"

    assert deeds.fields(stat) == ("R", 5.0)


def test_a_stack_is_read_as_the_names_of_functions() -> None:
    stack = ["[<0>] wedge_hold+0xa3/0xe0 [wedge]", "[<0>] cleanup_net+0x273/0x430"]

    assert deeds.functions(stack) == ["wedge_hold", "cleanup_net"]


def test_an_unknown_deed_is_refused() -> None:
    with pytest.raises(KeyError, match="dance"):
        deeds.main(["dance"])


def test_the_control_puts_up_with_the_mark_of_the_module_alone() -> None:
    control.require_silence(set())
    control.require_silence({"KernelTainted"})

    with pytest.raises(HarnessError, match=r"was found: NamespaceTeardownStalled$"):
        control.require_silence({"KernelTainted", "NamespaceTeardownStalled"})


def test_the_control_watches_for_reasons_that_the_agent_knows() -> None:
    known = {reason.name for _, detector in catalogue.every() for reason in detector.reasons}

    assert {*control.WRONG} <= known
