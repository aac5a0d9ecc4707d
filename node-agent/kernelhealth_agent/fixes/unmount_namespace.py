"""UnmountNamespace: lets go of a namespace that only a forgotten mount keeps."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from functools import partial

from kernelhealth_agent import errors, namespace_files, reexamination
from kernelhealth_agent.attribution import Places
from kernelhealth_agent.fix import Aim, Fix
from kernelhealth_agent.hosts import Host
from kernelhealth_agent.hosts.deeds import Deed
from kernelhealth_agent.hosts.deeds.mounts import UnmountNamespaceFile
from kernelhealth_agent.kernel import link_owners
from kernelhealth_agent.kernel.namespaces import Mount, Namespace
from kernelhealth_agent.reexamination import Premises
from kernelhealth_api.cures import Stage
from kernelhealth_api.detector import Observation

_NAME = "UnmountNamespace"


def aims(observations: Iterable[Observation]) -> Iterator[Aim]:
    """Yield each namespace once, though both its links and itself may have been observed."""
    seen = set()
    for observation in observations:
        inode = observation.subject.namespace
        if _NAME in observation.cures and inode is not None and inode not in seen:
            seen.add(inode)
            whose = f" of pod {observation.subject.pod}" if observation.subject.pod else ""
            yield Aim(f"inode {inode}", f"network namespace {inode}{whose}", observation)


def objection(places: Places, host: Host, aim: Aim) -> str:
    """Return what speaks against it: somebody inside or on the way in, or another namespace."""
    now = reexamination.premises(host, aim.observation, places)
    space = now.inventory.namespaces.get(aim.observation.subject.namespace or 0)
    if space is None or not space.mounts:
        return "nothing has it mounted any more"
    if space.processes:
        return f"{space.processes} of the node's processes are inside, {space.pids[0]} for one"
    if (held := next(_held(host, space), None)) is not None:
        return f"process {held[0]} has it open as descriptor {held[1]}, so that it would stay"
    if not reexamination.is_same(host, aim.observation, space):
        return "another namespace has its number by now"
    return now.uncertainty() or now.claimant(space) or _unproven(now, space)


def _held(host: Host, space: Namespace) -> Iterator[tuple[int, int]]:
    """Yield the open descriptors of a namespace, as (pid, number).

    One that was opened by a mounted file reads like the path of that mount (fs/d_path.c: of the
    root of a mount d_dname is not asked), and not like a namespace: the inventory has none of them.
    """
    yield from space.descriptors
    paths = tuple(mount.path for mount in space.mounts)
    for name in host.names("proc"):
        if not name.isdigit() or int(name) == host.own_pid:
            continue
        with contextlib.suppress(errors.HostError):
            for number, target in host.links(f"proc/{name}/fd").items():
                if target.endswith(paths) and _leads(host, f"proc/{name}/fd/{number}", space):
                    yield int(name), int(number)


def _leads(host: Host, path: str, space: Namespace) -> bool:
    with contextlib.suppress(errors.HostError):
        return host.inode(path) == space.inode
    return False


def _unproven(now: Premises, space: Namespace) -> str:
    """Return that nothing proves that the namespace was a pod's which is gone, or nothing."""
    if space.pod is not None:
        return ""  # It is gone, or it would be the claimant.
    links = link_owners.residual_links(now.networks)
    if any(link.proven and link.space == space for link in links):
        return ""
    return "nothing proves that it was made for a pod that is gone"


def deeds(host: Host, aim: Aim) -> Iterator[Deed]:
    """Unmount it wherever it is mounted."""
    inode = aim.observation.subject.namespace or 0
    cookie = reexamination.number(aim.observation, "cookie")
    for mount in _mounts(host, inode):
        path = f"proc/{mount.pid}/ns/mnt"
        try:
            space = host.link(path)[5:-1]
        except errors.AbsentError:
            continue  # It ended, and its mounts with it, unless others see them: then it is told.
        if not space.isdecimal():
            raise errors.UnreadableError(path, f"{space!r} is no inode number")
        yield UnmountNamespaceFile(inode, mount.path, mount.pid, int(space), cookie)


def achieved(host: Host, aim: Aim) -> bool:
    """Whether no mount of that namespace is left; another one may have its number by then."""
    left = _mounts(host, aim.observation.subject.namespace or 0)
    return not any(_is_same(host, aim.observation, mount) for mount in left)


def _is_same(host: Host, observation: Observation, mount: Mount) -> bool:
    cookie = reexamination.number(observation, "cookie")
    return cookie is None or host.cookie(mount.file) in {None, cookie}


def _mounts(host: Host, inode: int) -> list[Mount]:
    found, _ = namespace_files.mounts(host, host.tasks())
    return found.get(inode, [])


def made(places: Places) -> Fix:
    """Return the fix for a host whose kubelet has its pods at these *places*."""
    looks = partial(objection, places), deeds, achieved
    return Fix(_NAME, Stage.RECLAIM, aims, *looks, at=made)


FIX = made(Places())
