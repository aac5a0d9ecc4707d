from __future__ import annotations

from kernelhealth_agent.fixes.set_skb_defer_max import FIX
from kernelhealth_agent.surgery import End

from .conftest import Machine, observation

PATH = "proc/sys/net/core/skb_defer_max"
FOUND = observation("NamespaceTeardownStalled")


def test_it_is_set_to_0_and_what_it_was_is_kept(machine: Machine) -> None:
    machine.write(PATH, "64\n")

    (result,) = machine.treat(FIX, FOUND, FOUND)

    assert result.end is End.ACHIEVED
    assert machine.read(PATH) == "0\n"
    assert (machine.kept / "net.core.skb_defer_max").read_text() == "64\n"


def test_it_is_refused_where_it_is_0_already(machine: Machine) -> None:
    machine.write(PATH, "0\n")

    (result,) = machine.treat(FIX, FOUND)

    assert (result.end, result.why) == (End.REFUSED, "it is 0 already")


def test_it_is_refused_by_kernels_that_defer_nothing(machine: Machine) -> None:
    (result,) = machine.treat(FIX, FOUND)

    assert (result.end, result.why) == (End.REFUSED, f"{PATH} does not exist on this host")
