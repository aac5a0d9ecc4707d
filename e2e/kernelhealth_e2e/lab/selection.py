"""Which scenarios are played on which kernels, by what a person asks for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from kernelhealth_e2e.errors import HarnessError
from kernelhealth_e2e.lab.scenario import Scenario

Chosen = tuple[tuple[Scenario, str], ...]


class SelectionError(HarnessError):
    """What was asked for is not there; the message says what is."""


def chosen(scenarios: Iterable[Scenario], scenario: str = "", kernel: str = "") -> Chosen:
    """Return each scenario with each of its kernels that fits; empty words fit everything."""
    every = tuple((one, name) for one in scenarios for name in one.on)
    found = tuple(
        (one, name) for one, name in every if scenario in {"", one.name} and kernel in {"", name}
    )
    if not found:
        there = ", ".join(f"{one.name} on {name}" for one, name in every)
        asked = f"scenario {scenario or '(any)'} on kernel {kernel or '(any)'}"
        raise SelectionError(f"the lab has no {asked}; it has: {there}")
    return found


def always(scenarios: Iterable[Scenario]) -> Chosen:
    """Return what is played in each test run: scenarios that have only those runs left."""
    found = list[tuple[Scenario, str]]()
    for scenario in scenarios:
        for kernel, names in scenario.always.items():
            runs = tuple(run for run in scenario.on[kernel] if run.name in names)
            found.append((replace(scenario, on={kernel: runs}), kernel))
    return tuple(found)
