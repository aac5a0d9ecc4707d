"""Breadth: on each kernel every detector has something to say, if only that it cannot tell."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from kernelhealth_agent import catalogue
from kernelhealth_e2e.errors import HarnessError
from kernelhealth_e2e.lab.outcome import Stage
from kernelhealth_e2e.lab.scenario import Run, Scenario
from kernelhealth_e2e.vm.node import Settings

if TYPE_CHECKING:
    from kernelhealth_e2e.lab.bench import Bench
    from kernelhealth_e2e.lab.trial import Trial
    from kernelhealth_e2e.lab.workshop import Workshop
    from kernelhealth_e2e.observing import Object
    from kernelhealth_e2e.vm.kernel import Kernel

_AGENT = "kernelhealth-agent"
_SCAN = (_AGENT, "scan", "--root", "/host", "--confirm-after", "1s")
_KERNELS = ("5.10", "6.1", "6.12", "newest", "6.1-built", "6.1-bare")
_BLIND = "partly blind: "


def _machine(kernel: Kernel, _: Workshop) -> Settings:
    return Settings(kernel)


def _play(bench: Bench, trial: Trial) -> None:
    with trial.stage(Stage.VERIFIED, "`scan` in the agent's container") as saying:
        conditions = json.loads(bench.on(*_SCAN, "--output", "json"))["conditions"]
        saying.words = summary(conditions, len(catalogue.every()))


def summary(conditions: list[Object], detectors: int) -> str:
    """Say how many detectors answered, and in their words what the others lack.

    HarnessError where one kept silent, found something, or failed.
    """
    if len(conditions) != detectors:
        raise HarnessError(f"{len(conditions)} of {detectors} detectors answered `scan`")
    answered, rest = 0, list[str]()
    for one in conditions:
        if one["status"] == "True":
            answered += 1
            _, _, blind = one["message"].partition(_BLIND)
            rest += [f"{one['type']} is partly blind: {blind}"] if blind else []
        elif (one["status"], one["reason"]) == ("Unknown", "NotAvailable"):
            rest.append(f"{one['type']} is NotAvailable: {one['message']}")
        else:
            raise HarnessError(f"{one['type']} is {one['reason']}: {one['message']}")
    return "; ".join((f"{answered} of {detectors} detectors have what they need", *rest))


_SCANNED = Run("scan", "A healthy node: no detector fails.", _play, (Stage.VERIFIED,))

SCENARIO = Scenario(
    "breadth",
    "The agent's `scan` on several kernels, one of which lacks much of what it asks for.",
    dict.fromkeys(_KERNELS, (_SCANNED,)),
    _machine,
)
