"""What the lab plays: scenarios, the runs they consist of, and the machines they are played on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kernelhealth_e2e.lab.outcome import Stage

if TYPE_CHECKING:
    from kernelhealth_e2e.lab.bench import Bench
    from kernelhealth_e2e.lab.trial import Trial
    from kernelhealth_e2e.lab.workshop import Workshop
    from kernelhealth_e2e.vm.kernel import Kernel
    from kernelhealth_e2e.vm.node import Settings

ALL_STAGES = tuple(Stage)


@dataclass(frozen=True, slots=True)
class Run:
    """One course of a scenario, from a healthy node to a healthy node.

    ``play`` raises where something is not as it must be. ``stages`` are those that it must have
    recorded when it returns.
    """

    name: str
    title: str
    play: Callable[[Bench, Trial], None]
    stages: tuple[Stage, ...] = ALL_STAGES


@dataclass(frozen=True, slots=True)
class Scenario:
    """A failure, played on kernels.

    ``on`` has the runs of each kernel, by the lab's name of the kernel; they follow each other on
    one virtual machine, which ``machine`` describes. ``always`` names, by kernel, the runs that are
    played in each test run, and not in ``make lab`` only. ``impossible`` says, by kernel or by
    another word, what cannot be made, what was tried, and the error.
    """

    name: str
    title: str
    on: Mapping[str, tuple[Run, ...]]
    machine: Callable[[Kernel, Workshop], Settings]
    always: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    impossible: Mapping[str, str] = field(default_factory=dict)
