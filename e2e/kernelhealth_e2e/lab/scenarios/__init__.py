"""The scenarios of the lab, in the order in which they are played: a module or a package each."""

from __future__ import annotations

from kernelhealth_e2e.lab.scenario import Scenario
from kernelhealth_e2e.lab.scenarios import (
    age,
    breadth,
    gssproxy,
    leaks,
    suppress_prefix,
    wedge,
    zero_window,
)

SCENARIOS: tuple[Scenario, ...] = (
    gssproxy.SCENARIO,
    suppress_prefix.SCENARIO,
    zero_window.SCENARIO,
    wedge.SCENARIO,
    leaks.SCENARIO,
    age.SCENARIO,
    breadth.SCENARIO,
)
