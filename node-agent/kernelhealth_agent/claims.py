"""Which ids of network namespaces may be claimed to be out of reach."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from kernelhealth_agent import errors, privileges
from kernelhealth_agent.hosts import Host, Task
from kernelhealth_agent.kernel.namespaces import Namespace, Remembered


def unless_sealed(
    ids: set[int],
    reached: Collection[int | None],
    sealed: Sequence[Namespace],
    memory: Mapping[int, Remembered],
) -> set[int]:
    """Return the ids without those that may be of a namespace whose mount cannot be opened.

    An id that is remembered is that of another namespace, for the sealed ones are not remembered.
    """
    if not sealed:
        return ids
    told = {*reached, *(past.nsid for past in memory.values())}
    return {nsid for nsid in ids if nsid in told}


def doubts(host: Host, tasks: Sequence[Task], sealed: Sequence[Namespace]) -> tuple[str, ...]:
    """Return a sentence for everything that might lead to a namespace and cannot be looked at.

    Raises ``ForbiddenError`` for an agent that may ask no process but its own: nothing can be
    said then. A privileged one is refused by single processes at the most.
    """
    found = [_sealed(space) for space in sealed]
    hidden = [task.pid for task in tasks if not task.mntns]
    if hidden:
        path = f"proc/{hidden[0]}/fd" + (f" and {len(hidden) - 1} others" if hidden[1:] else "")
        if _is_unprivileged(host):
            raise errors.ForbiddenError(path, "CAP_SYS_PTRACE")
        found.append(
            f"{path} may not be read even with CAP_SYS_PTRACE: a network namespace that is only "
            "held from there seems leaked"
        )
    return tuple(found)


def _sealed(space: Namespace) -> str:
    mount = space.mounts[0]
    return (
        f"{mount.file} is network namespace {space.inode} and cannot be opened, as when something "
        "is mounted over it: until it is unmounted, leaks are told only of remembered pods"
    )


def _is_unprivileged(host: Host) -> bool:
    if host.own_pid is None:
        return False  # A recording was made by whoever could.
    lacking = privileges.missing(host.read(f"proc/{host.own_pid}/status"))
    return any("CAP_SYS_PTRACE" in sentence for sentence in lacking)
