"""Plays a scenario on one kernel: boots a machine, goes through the runs, and records them."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from kernelhealth_e2e.errors import HarnessError
from kernelhealth_e2e.lab.bench import SECONDS, Bench
from kernelhealth_e2e.lab.kernels import catalogue
from kernelhealth_e2e.lab.outcome import Boot, Outcome, Subject
from kernelhealth_e2e.lab.trial import Trial
from kernelhealth_e2e.lab.workshop import Workshop
from kernelhealth_e2e.scene import Scene, is_well
from kernelhealth_e2e.vm.installation import installed_on
from kernelhealth_e2e.vm.node import VirtualNode

if TYPE_CHECKING:
    from kernelhealth_e2e.cluster import Cluster
    from kernelhealth_e2e.lab.scenario import Run, Scenario
    from kernelhealth_e2e.vm.kernel import Kernel


def play(cluster: Cluster, scenario: Scenario, name: str) -> tuple[Outcome, ...]:
    """Play all runs of a scenario on the kernel of that name; what goes wrong is in the outcomes.

    A machine on which a run went wrong is not given to the next one.
    """
    workshop = Workshop(cluster.settings.cache, cluster.settings.progress)
    left, outcomes = list(scenario.on[name]), list[Outcome]()
    release = ""
    try:
        kernel = catalogue.get(name, workshop.cache, workshop.progress)
        release = kernel.release
        while left:
            outcomes += _on_one_machine(cluster, scenario, name, kernel, left, workshop)
    except Exception as error:  # noqa: BLE001 - whatever it was, it belongs in the table
        outcomes += [_refused(scenario, run, name, release, error) for run in left]
    return tuple(outcomes)


def _on_one_machine(  # noqa: PLR0913, PLR0917 - what a machine is made of
    cluster: Cluster,
    scenario: Scenario,
    name: str,
    kernel: Kernel,
    left: list[Run],
    workshop: Workshop,
) -> list[Outcome]:
    outcomes, settings = list[Outcome](), scenario.machine(kernel, workshop)
    begun = time.monotonic()
    with VirtualNode(cluster, settings) as node:
        boot = _boot(node, time.monotonic() - begun)
        with installed_on(node):
            scene = Scene(cluster, node.observer, node.name, SECONDS)
            bench = Bench(node, scene, name, workshop)
            bench.health("a healthy node", is_well)
            while left and all(outcome.passed for outcome in outcomes):
                outcomes.append(_run(bench, scenario, left.pop(0), boot))
    return outcomes


def _run(bench: Bench, scenario: Scenario, run: Run, boot: Boot) -> Outcome:
    trial, error = Trial(f"{scenario.name}/{run.name} on {bench.name}", bench.workshop.progress), ""
    try:
        run.play(bench, trial)
        bench.scene.clean()
    except Exception as problem:  # noqa: BLE001 - whatever it was, it belongs in the table
        error = _said(problem)
        with contextlib.suppress(HarnessError):
            bench.abandon()
    subject = Subject(scenario.name, run.name, bench.name, bench.node.settings.kernel.release)
    return Outcome(subject, run.stages, tuple(trial.steps), boot, error)


def _refused(scenario: Scenario, run: Run, name: str, release: str, error: Exception) -> Outcome:
    subject = Subject(scenario.name, run.name, name, release)
    return Outcome(subject, run.stages, (), error=_said(error))


def _boot(node: VirtualNode, seconds: float) -> Boot:
    kernel, disk = node.settings.kernel.tree, node.machine.hardware.disk
    files = (Path(directory, name) for directory, _, names in os.walk(kernel) for name in names)
    return Boot(seconds, sum(map(_mib, files)), _mib(disk))


def _mib(file: Path) -> float:
    # What it takes up, and not how long it is: the disk is mostly holes.
    return file.lstat().st_blocks * 512 / (1 << 20)


def _said(error: Exception) -> str:
    words = str(error) if isinstance(error, HarnessError) else f"{type(error).__name__}: {error}"
    return words.strip() or type(error).__name__
