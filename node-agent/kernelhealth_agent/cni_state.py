"""Reads what CNI plugins and runtimes keep in files: results, leases, living sandboxes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from kernelhealth_agent import errors
from kernelhealth_agent.hosts import Host
from kernelhealth_agent.kernel import cni_cache, host_local, plugin_state, sandboxes
from kernelhealth_agent.kernel.cni_cache import Attachment
from kernelhealth_agent.kernel.host_local import Lease
from kernelhealth_agent.kernel.namespaces import Inventory, Pod

_MOST_FILES = 4096
_LARGEST = 1 << 18
_MOST_GROUPS = 4096
_WHOLE = 1 << 22  # Of a file that has all attachments of the node.
_T = TypeVar("_T")


def attachments(host: Host, blind: list[str]) -> tuple[Attachment, ...]:
    """Return what libcni and plugins remember; *blind* says of each file why it says nothing."""
    files = (f"{place}/{name}" for place in cni_cache.PLACES for name in _names(host, place))
    found = list(_decoded(host, files, cni_cache.attachment, blind))
    for several in _decoded(host, plugin_state.DECODERS, plugin_state.attachments, blind, _WHOLE):
        found += several
    return tuple(found)


def leases(host: Host, blind: list[str]) -> tuple[Lease, ...]:
    """Return the leases of host-local in all networks."""
    files = (
        f"{host_local.PLACE}/{network}/{name}"
        for network in _names(host, host_local.PLACE)
        for name in _names(host, f"{host_local.PLACE}/{network}")
        if host_local.is_address(name)
    )
    return tuple(_decoded(host, files, host_local.lease, blind))


def _names(host: Host, path: str) -> list[str]:
    """Return the names in a directory that need not be there."""
    try:
        return sorted(host.names(path))
    except errors.AbsentError:
        return []


def _decoded(
    host: Host,
    files: Iterable[str],
    decode: Callable[[bytes, str], _T | None],
    blind: list[str],
    largest: int = _LARGEST,
) -> Iterator[_T]:
    for number, path in enumerate(files):
        if number == _MOST_FILES:
            blind.append(f"only {_MOST_FILES} files were read, not {path} and those after it")
            return
        try:
            found = decode(host.read(path, largest), path)
        except errors.AbsentError:
            continue  # Released meanwhile.
        except errors.HostError as error:
            blind.append(str(error))
            continue
        if found is not None:
            yield found


def former(host: Host, inventory: Inventory) -> dict[str, Pod]:
    """Return the pods whose sandboxes are gone, by their addresses and the host's interfaces.

    An address may have been given to another pod since, so the living do not count; where it
    cannot be told who lives, nobody is named.
    """
    alive = living(host, inventory)
    if alive is None:
        return {}
    found: dict[str, Pod] = {}
    for attachment in attachments(host, []):
        if attachment.pod is not None and attachment.sandbox not in alive:
            for address in attachment.addresses:
                found[address] = Pod(*attachment.pod, None, "address")
            for name in attachment.host_links:
                found[name] = Pod(*attachment.pod, None, "cniCache")
    return found


def living(host: Host, inventory: Inventory) -> frozenset[str] | None:
    """Return the ids of all living containers; None where nothing lists them.

    A list is what the cgroups of the kubelet's pods are, or containerd's state directory. Other
    runtimes' state and the cgroups of processes add to it, but are no list of the pods.
    """
    listed = [_tasks(host), _grouped(host, inventory)]
    if all(ids is None for ids in listed):
        return None
    found = {space.sandbox for space in inventory.namespaces.values() if space.processes}
    for place in sandboxes.STATES:
        found.update(_names(host, place))
    for ids in listed:
        found.update(ids or ())
    return frozenset(id_ for id_ in found if id_)


def _tasks(host: Host) -> set[str] | None:
    """Return containerd's running containers in all its namespaces; None without Kubernetes'."""
    namespaces = _names(host, sandboxes.TASKS)
    if sandboxes.KUBERNETES not in namespaces:
        return None
    return {name for ns in namespaces for name in _names(host, f"{sandboxes.TASKS}/{ns}")}


def _grouped(host: Host, inventory: Inventory) -> set[str] | None:
    """Return the containers that have a cgroup in the kubelet's tree; None without one."""
    for tree in (*_trees(host, inventory), *sandboxes.DEFAULT_TREES):
        with contextlib.suppress(errors.AbsentError):
            return _below(host, tree)
    return None


def _trees(host: Host, inventory: Inventory) -> tuple[str, ...]:
    """Return where the tree is, by a pod's process: the kubelet may be told another top."""
    for space in inventory.namespaces.values():
        if space.pod is not None and space.pids:
            with contextlib.suppress(errors.AbsentError):
                return sandboxes.trees(host.read(f"proc/{space.pids[0]}/cgroup"))
    return ()


def _below(host: Host, tree: str) -> set[str]:
    """Return the containers below a tree; raises ``AbsentError`` where there is no tree."""
    found: set[str] = set()
    left = [f"{tree}/{name}" for name in host.names(tree) if sandboxes.is_parent(name)]
    for _ in range(_MOST_GROUPS):
        if not left:
            return found
        path = left.pop()
        for name in _names(host, path):
            if (container := sandboxes.container(name)) is not None:
                found.add(container)
            elif sandboxes.is_parent(name):
                left.append(f"{path}/{name}")
    raise errors.UnreadableError(tree, f"it has more than {_MOST_GROUPS} groups")
