"""Another boot of a machine, as the NodeKernelHealth tells of it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from kernelhealth_e2e.lab.requirement import require
from kernelhealth_e2e.vm.node import boot_id

if TYPE_CHECKING:
    from kernelhealth_e2e.lab.bench import Bench
    from kernelhealth_e2e.observing import Object


def given_back(bench: Bench, before: Object, opens: datetime | None = None) -> str:
    """Wait until the node is given back, and say which boot it is in; *before* is the Node then."""
    bench.given_back()
    return said(bench.health("of a new boot", bool), boot_id(before), opens)


def said(health: Object, before: str, opens: datetime | None = None) -> str:
    """Return which boot a node is in; HarnessError where it is *before*, or is from before *opens*.

    A second before may be the clock's: the kernel tells when it booted in whole seconds.
    """
    boot, began = health["status"]["bootID"], health["status"]["bootTime"]
    require(boot != before, f"it still runs boot {before}")
    if opens is not None:
        early = datetime.fromisoformat(began) < opens - timedelta(seconds=1)
        require(not early, f"it booted at {began}, before the window opened at {opens}")
    return f"boot {boot}, begun {began}: in service and well"
