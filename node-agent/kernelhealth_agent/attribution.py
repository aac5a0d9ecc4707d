"""Whose a network namespace is: the pods of the node, and which of them a process belongs to."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterable, Mapping

from kernelhealth_agent import errors
from kernelhealth_agent.hosts import Host
from kernelhealth_agent.kernel import cgroups, naming
from kernelhealth_agent.kernel.namespaces import Namespace, Pod, Remembered

_PROCESSES_ASKED = 3
_PODS_TO_DOUBT = 2


@dataclasses.dataclass(frozen=True, slots=True)
class Places:
    """Where the kubelet keeps what says which pods there are, below the host's root."""

    pods: str = "var/lib/kubelet/pods"
    logs: str = "var/log/pods"


def pods(host: Host, places: Places) -> dict[str, Pod] | None:
    """Return the pods that the kubelet has on the node, by UID; None where that cannot be told.

    The directory of a pod goes when the pod is gone; that of its logs has its name and may stay
    longer. Without the first the second has to do.
    """
    named = _logged(host, places.logs)
    try:
        present = host.names(places.pods)
    except errors.HostError:
        return named
    names = named or {}
    return {uid: names.get(uid, Pod("", "", uid, "cgroup")) for uid in present}


def named(host: Host, places: Places) -> dict[str, Pod]:
    """Return the pods whose names can still be told, by UID: also of those that are gone."""
    return _logged(host, places.logs) or {}


def doubt(
    present: Mapping[str, Pod],
    known: Mapping[str, Pod],
    spaces: Iterable[Namespace],
    places: Places,
) -> str | None:
    """Return why the pods that are *present* cannot be the node's; None where they may well be.

    A kubelet with another root directory (k0s, microk8s) may have left an empty one behind: then
    every pod would seem to have outlived itself. One may, but not all that are *known* by logs.
    """
    every = (space.pod.uid for space in spaces if space.pod is not None and space.processes)
    running = {uid for uid in every if uid in known}
    if len(running) < _PODS_TO_DOUBT or any(uid in present for uid in running):
        return None
    return (
        f"{places.pods} has none of the {len(running)} pods that run and have logs, so that it is "
        "not the kubelet's: set KERNELHEALTH_KUBELET_PODS to the directory of its pods"
    )


def _logged(host: Host, logs: str) -> dict[str, Pod] | None:
    """Return the pods that have a directory for logs, NAMESPACE_NAME_UID, by UID."""
    found: dict[str, Pod] = {}
    try:
        for name in host.names(logs):
            namespace, _, rest = naming.printable(name).partition("_")
            pod, _, uid = rest.partition("_")
            if uid:
                found[uid] = Pod(namespace, pod, uid, "cgroup")
    except errors.HostError:
        return None
    return found


def attributed(
    host: Host, space: Namespace, known: Mapping[str, Pod], memory: Mapping[int, Remembered]
) -> Namespace:
    """Return a namespace with its pod: by a process's cgroup, or else by memory."""
    past = memory.get(space.inode)
    found = _by_cgroup(host, space)
    if found is not None:
        uid, sandbox = found
        same = past is not None and (past.pod.uid, past.sandbox, past.nsid) == (*found, space.nsid)
        cookie = past.cookie if past is not None and same else None
        return dataclasses.replace(
            space,
            pod=_named(uid, known, past),
            sandbox=sandbox,
            cookie=_cookie(host, space) if cookie is None else cookie,
        )
    if past is None or not _is_same(host, space, past):
        return space
    remembered = dataclasses.replace(past.pod, known_by="memory")
    return dataclasses.replace(space, pod=remembered, sandbox=past.sandbox, cookie=past.cookie)


def _by_cgroup(host: Host, space: Namespace) -> tuple[str, str | None] | None:
    """Return pod UID and container id of the first process that is in a pod."""
    for pid in space.pids[:_PROCESSES_ASKED]:
        with contextlib.suppress(errors.HostError):
            text = host.read(f"proc/{pid}/cgroup")
            found = cgroups.pod(text)
            if found is not None and not _is_foreign(host, text):
                return found
    return None


def _is_foreign(host: Host, text: bytes) -> bool:
    """Whether a pod is of a cluster inside a container of this host, whose kubelet is another."""
    container = cgroups.enclosing(text)
    return container is not None and container.encode() not in host.read("proc/1/cgroup")


def _is_same(host: Host, space: Namespace, past: Remembered) -> bool:
    """Whether a namespace is the remembered one, and not the next that got its inode number."""
    if None not in (space.nsid, past.nsid) and space.nsid != past.nsid:
        return False  # A namespace keeps its id for as long as it is.
    cookie = None if past.cookie is None else _cookie(host, space)
    return cookie is None or cookie == past.cookie


def _cookie(host: Host, space: Namespace) -> int | None:
    """Return what tells a namespace from every other of this boot; None where nothing does."""
    with contextlib.suppress(errors.HostError):
        return host.cookie(space.file or "")
    return None


def _named(uid: str, known: Mapping[str, Pod], past: Remembered | None) -> Pod:
    """Return the pod of that UID; its name may be remembered although its log directory is gone."""
    pod = known.get(uid)
    if (pod is None or not pod.name) and past is not None and past.pod.uid == uid:
        return past.pod
    return pod or Pod("", "", uid, "cgroup")
