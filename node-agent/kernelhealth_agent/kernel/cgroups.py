"""Which pod and container a process belongs to: /proc/PID/cgroup, cgroups(7).

The kubelet names a pod's cgroup after its UID, with dashes (cgroupfs driver) or with underscores
(systemd driver), and the runtime the container's below it after the container::

    0::/kubepods/burstable/pod8a7f…-…/3f1c…
    0::/kubepods.slice/kubepods-pod8a7f…_….slice/cri-containerd-3f1c….scope
    0::/system.slice/containerd.service/kubepods-pod8a7f…_….slice:cri-containerd:3f1c…

The last is of a runtime that takes systemd's path for one of its own.
"""

from __future__ import annotations

import re

_POD = re.compile(
    r"kubepods.*?pod([0-9a-f]{8}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{12}"
    r"|[0-9a-f]{32})"
    r"(?:\.slice)?(?:[/:](?:[a-z-]+[-:])?([0-9a-f]{64}))?"
)
_CONTAINER = re.compile(r"[0-9a-f]{64}")


def pod(text: bytes) -> tuple[str, str | None] | None:
    """Return pod UID and container id of a process; None for one that is in no pod.

    The 32 digits without dashes are the UID of a static pod.
    """
    match = _POD.search(text.decode(errors="replace"))
    if match is None:
        return None
    return match[1].replace("_", "-"), match[2]


def enclosing(text: bytes) -> str | None:
    """Return the container that the kubelet of a process's pod runs in; None for the node itself.

    A node of kind is a container of Docker: ``0::/docker/4c1e…/kubelet/kubepods/pod8a7f…-…/3f1c…``.
    """
    for line in text.decode(errors="replace").splitlines():
        above, tree, _ = line.partition("kubepods")
        match = _CONTAINER.search(above)
        if tree and match is not None:
            return match[0]
    return None
