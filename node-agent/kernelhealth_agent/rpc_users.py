"""Finds who needs the module auth_rpcgss: NFS with Kerberos, as a client or as a server."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterator

from kernelhealth_agent import errors
from kernelhealth_agent.hosts import Host
from kernelhealth_agent.kernel import gssproxy, module_table, naming, nfs_mounts
from kernelhealth_agent.kernel.module_table import Module

MODULE, KERBEROS = "auth_rpcgss", "rpcsec_gss_krb5"
_TABLE = "proc/modules"
_STATE = "net/rpc/use-gss-proxy"
_LONGEST_TABLE = 16 << 20
_FOLDER, _SUFFIX = "etc/gssproxy", ".conf"


def modules(host: Host) -> dict[str, Module]:
    """Return the loaded modules; ``AbsentError`` for a kernel that can load none."""
    return module_table.table(host.read(_TABLE), _TABLE)


def is_built_in(host: Host, loaded: dict[str, Module]) -> bool:
    """Whether the kernel has the code without having loaded the module."""
    if MODULE in loaded:
        return False
    try:
        host.read(f"proc/1/{_STATE}", 64)
    except errors.AbsentError:
        return False
    return True


def kerberos(host: Host, loaded: dict[str, Module]) -> str:
    """Return who uses NFS with Kerberos at present, as half a sentence, or nothing.

    Raises ``HostError`` where the mounts of some process cannot be seen.
    """
    if "nfsd" in loaded:
        return "nfsd is loaded: the host is an NFS server"
    for pid, table in _mount_tables(host):
        for points, what in (
            (nfs_mounts.servers(table), "the NFS server's file system"),
            (nfs_mounts.kerberos(table), "NFS with sec=krb5"),
        ):
            if points:
                return f"process {pid} has {what} mounted at {naming.short(points[0])}"
    return ""


def _mount_tables(host: Host) -> Iterator[tuple[int, bytes]]:
    """Yield a process and the mount table of each mount namespace that has processes."""
    seers: dict[int, list[int]] = defaultdict(list)
    for task in sorted(host.tasks(), key=lambda task: task.pid):
        if task.mntns:
            seers[task.mntns].append(task.pid)
        elif task.pid != 1 or not _has_kernel_threads(host):
            raise errors.ForbiddenError(f"proc/{task.pid}/ns/mnt", "CAP_SYS_PTRACE")
    for pids in seers.values():
        seen = _seen(host, pids)
        if seen is not None:
            yield seen


def _has_kernel_threads(host: Host) -> bool:
    """Whether process 2 is kthreadd, which sees the mounts of a process 1 that is guarded."""
    try:
        return host.read("proc/2/comm", 64) == b"kthreadd\n" and bool(host.link("proc/2/ns/mnt"))
    except errors.HostError:
        return False


def _seen(host: Host, pids: list[int]) -> tuple[int, bytes] | None:
    """Return the mount table that the first process sees that is still there."""
    doubt: errors.HostError | None = None
    for pid in pids:
        path = f"proc/{pid}/mountinfo"
        try:
            table = host.read(path, _LONGEST_TABLE)
        except errors.AbsentError:
            continue
        except errors.UnreadableError as error:
            doubt = error  # What a process that just ended has is an invalid argument.
            continue
        if len(table) >= _LONGEST_TABLE:
            raise errors.UnreadableError(path, f"it is longer than {_LONGEST_TABLE >> 20} MiB")
        return pid, table
    if doubt is not None:
        raise doubt
    return None


def intended(host: Host) -> str:
    """Return where the host is configured for NFS with Kerberos or as a server, or nothing."""
    for directory, name, lines in (
        ("etc", "fstab", nfs_mounts.wanted),
        ("etc", "exports", nfs_mounts.exported),
    ):
        content = _file(host, directory, name)
        if content is not None and (numbers := lines(content)):
            return f"/{directory}/{name}:{numbers[0]} is for NFS with Kerberos, or an NFS server"
    return ""


def _file(host: Host, directory: str, name: str) -> bytes | None:
    """Return a file of the host's; ``UnreadableError`` where it is there and was not read."""
    try:
        folder = host.folder("", directory, name)
    except errors.AbsentError:
        return None
    content = folder.files.get(name)
    for omitted in folder.omitted:
        if content is None:
            raise errors.UnreadableError(f"{directory}/{name}", omitted)
    return content


def client(host: Host) -> str:
    """Return in which network namespace in use the kernel is a client of gssproxy, or nothing.

    What the host itself has become a client for is in use as long as its gssproxy is configured so.
    Raises ``HostError`` where it cannot be told.
    """
    spaces: dict[int, list[int]] = defaultdict(list)
    for task in sorted(host.tasks(), key=lambda task: task.pid):
        spaces[task.netns].append(task.pid)
    for inode, pids in spaces.items():
        if _state(host, pids) != gssproxy.USED:
            continue
        if pids[0] != 1:
            return f"the kernel is a client of gssproxy for process {pids[0]} (net:[{inode}])"
        if configured := own(host):
            return f"the host's own gssproxy is a user of it, by /{_FOLDER}/{min(configured)}"
    return ""


def _state(host: Host, pids: list[int]) -> int | None:
    for pid in pids:
        path = f"proc/{pid}/{_STATE}"
        with contextlib.suppress(errors.AbsentError):
            return gssproxy.state(host.read(path, 64), path)
    return None


def own(host: Host) -> dict[str, bytes]:
    """Return the files by which the host's own gssproxy makes the kernel its client, by name.

    Raises ``UnreadableError`` where one of its files cannot be read.
    """
    try:
        folder = host.folder("", _FOLDER, _SUFFIX)
    except errors.AbsentError:
        return {}
    if folder.omitted:
        raise errors.UnreadableError(_FOLDER, folder.omitted[0])
    return {
        name: content
        for name, content in folder.files.items()
        if gssproxy.kernel_nfsd(content) is not None
    }
