"""What a tenant runs on a virtual node: gssproxy, in a privileged pod with a network of its own."""

from __future__ import annotations

import contextlib
import inspect
from typing import TYPE_CHECKING

from kernelhealth_e2e import images, pods
from kernelhealth_e2e.faults import gssproxy, gssproxy_service
from kernelhealth_e2e.scene import PODS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kernelhealth_e2e.scene import Scene

_DIRECTORY, _PROGRAM = "/etc/gssproxy", "gssproxy.py"


@contextlib.contextmanager
def gssproxy_pod(scene: Scene, name: str) -> Iterator[str]:
    """Run it until the context is left, yielding its title: then it is deleted like any other.

    Its network namespace outlives it.
    """
    program = (_PROGRAM, inspect.getsource(gssproxy_service))
    wanted = pods.Wanted(
        PODS,
        name,
        privileged=True,
        directory=_DIRECTORY,
        files=(program, *gssproxy.CONFIGURATION.items()),
        image=images.AGENT.name,
        command=("python3", f"{_DIRECTORY}/{_PROGRAM}"),
        node=scene.name,
    )
    where = f"--namespace={PODS}"
    pods.create(scene.cluster, wanted)
    try:
        scene.kubectl("wait", "--for=condition=Ready", f"pod/{name}", where, "--timeout=80s")
        yield f"{PODS}/{name}"
    finally:
        scene.kubectl("delete", "pod", name, where, "--wait", "--timeout=80s")
