"""Pods on the node of a bench: started with a program of the lab, waited for, heard, deleted.

A program is a module below the ``workloads`` of a scenario. A program in a pod costs an emulated
machine most of a minute, so that each tells what it sees, and nothing is asked of it.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from kernelhealth_e2e import images, pods
from kernelhealth_e2e.lab import pod_log
from kernelhealth_e2e.lab.bench import SECONDS
from kernelhealth_e2e.scene import PODS

if TYPE_CHECKING:
    from types import ModuleType

    from kernelhealth_e2e.lab.bench import Bench
    from kernelhealth_e2e.lab.pod_log import Event

DIRECTORY, PROGRAM = "/lab", "program.py"
"""Where a program is in its pod, and what it is called there unless it has a name of its own."""
READY = "--for=condition=Ready"
_BEGUN = "--for=jsonpath={.status.containerStatuses[0].containerID}"
_WHERE = f"--namespace={PODS}"


def program(
    bench: Bench, name: str, module: ModuleType, *arguments: str, file: str = PROGRAM
) -> pods.Wanted:
    """Return a privileged pod that runs the source of a module, where only Python is.

    What has made a fault must not make it again in the next boot: it never starts anew.
    """
    return pods.Wanted(
        PODS,
        name,
        privileged=True,
        directory=DIRECTORY,
        files=((file, inspect.getsource(module)),),
        image=images.AGENT.name,
        command=("python3", f"{DIRECTORY}/{file}"),
        arguments=arguments,
        restart="Never",
        node=bench.scene.name,
    )


def wait(bench: Bench, what: str, *names: str, seconds: float = SECONDS) -> None:
    """Wait until that is so of pods; *what* is as ``kubectl wait`` takes it."""
    every = (f"pod/{name}" for name in names)
    command = ("wait", what, *every, _WHERE, f"--timeout={seconds:.0f}s")
    bench.scene.cluster.kubectl(*command, seconds=seconds + 10)


def told(bench: Bench, name: str, event: str, seconds: float = SECONDS) -> Event:
    """Wait until the program of a pod has told that, and return it."""
    # There is no log to follow before it runs, and one that is over has one all the same.
    wait(bench, _BEGUN, name)
    return pod_log.heard(bench.scene.observer, PODS, name, event, seconds)


def delete(bench: Bench, *names: str, seconds: float = SECONDS) -> None:
    """Delete pods like any others, and wait until the kubelet is done with them."""
    command = ("delete", "pod", *names, _WHERE, "--wait", f"--timeout={seconds:.0f}s")
    bench.scene.cluster.kubectl(*command, seconds=seconds + 10)
