"""What one look at the kernel's log saw, as the detector judges it."""

from __future__ import annotations

from dataclasses import dataclass

from kernelhealth_agent.kernel.log_memory import Memory, Readings
from kernelhealth_agent.moments import Moment


@dataclass(frozen=True, slots=True)
class Sample:
    """What is known of the boot at a *moment*: *memory* holds what the log said up to then.

    *readings* are counters and taint bits of now; *blind* says what was not read, a sentence each.
    """

    moment: Moment
    memory: Memory
    readings: Readings
    blind: tuple[str, ...] = ()
