"""Container ids in names of directories and in cgroup paths: which sandboxes live.

A container's cgroup is named after it, ``ID``, ``cri-containerd-ID.scope`` or ``crio-ID.scope``
(containerd and CRI-O with the cgroupfs and systemd drivers), below that of its pod.
"""

from __future__ import annotations

import re

TASKS = "run/containerd/io.containerd.runtime.v2.task"
"""State of every running container by containerd's namespace (k8s.io) and id."""
STATES = ("run/runc", "run/crun")
"""State of the containers that CRI-O and podman run, by id."""
KUBERNETES = "k8s.io"

_CONTAINER = re.compile(r"(?:[a-z-]+-)?([0-9a-f]{64})(?:\.scope)?")
_PARENT = re.compile(r"kubepods(?:\.slice)?|burstable|besteffort|pod[0-9a-f_-]{32,36}|kubepods-.*")
_TREE = re.compile(r"\d+:([^:]*):(.*?/kubepods(?:\.slice)?)(?:/.*)?")
_CGROUPS = "sys/fs/cgroup"
DEFAULT_TREES = tuple(
    f"{_CGROUPS}/{tree}"
    for tree in ("kubepods.slice", "kubepods", "systemd/kubepods.slice", "systemd/kubepods")
)


def container(name: str) -> str | None:
    """Return the container id in the name of a cgroup; None for another directory."""
    match = _CONTAINER.fullmatch(name)
    return None if match is None else match[1]


def bare(sandbox: str) -> str:
    """Return a CNI container id without what a runtime puts before it (nerdctl: default-ID)."""
    return container(sandbox) or sandbox


def is_parent(name: str) -> bool:
    """Whether a directory in the tree can have cgroups of containers below it."""
    return _PARENT.fullmatch(name) is not None


def trees(text: bytes) -> tuple[str, ...]:
    """Return where the tree of pods may be, by /proc/PID/cgroup of a process in a pod.

    A hierarchy is mounted under its controllers' names (v1), or is the only one (v2, whose line
    has no controller, at the top or under ``unified``).
    """
    found = []
    for line in text.decode(errors="replace").splitlines():
        match = _TREE.fullmatch(line)
        if match is None or ".." in match[2]:
            continue
        controllers = match[1].removeprefix("name=")
        tops = [controllers] if controllers else ["", "unified"]
        found += [f"{_CGROUPS}/{top}{match[2]}".replace("//", "/") for top in tops]
    return tuple(found)
