"""What is remembered of pods' network namespaces for when nothing leads to them any more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from kernelhealth_agent.kernel.namespaces import Inventory, Namespace, Remembered

_MOST = 4096
_MOST_WITHOUT_ID = 256


def remember(inventory: Inventory) -> dict[int, Remembered]:
    """Return the memory after a look: the pods' namespaces that are reached, and the lost ones.

    A namespace out of reach is remembered while its id is in the kernel and nobody else's: then
    it is leaked, or a later look says whether it is. One that had no id may be leaked as well,
    which only the kernel's own list can tell, so that the newest 256 of those are remembered. 4096
    at the most, the newest.
    """
    in_use = {space.nsid for space in inventory.namespaces.values()}
    lost = [past for past in inventory.memory.values() if past.inode not in inventory.namespaces]
    ids = inventory.nsids | inventory.open
    kept = [past for past in lost if past.nsid in ids and past.nsid not in in_use]
    kept += _newest((past for past in lost if past.nsid is None), _MOST_WITHOUT_ID)
    kept += [
        Remembered(space.inode, space.nsid, space.pod, space.sandbox, inventory.taken, space.cookie)
        for space in inventory.namespaces.values()
        if space.pod is not None
    ]
    return {past.inode: past for past in _newest(kept, _MOST)}


def out_of_sight(
    memory: Mapping[int, Remembered],
    spaces: Mapping[int, Namespace],
    answered: datetime | None,
) -> bool:
    """Whether a remembered namespace without an id, which only descriptors can show, is lost.

    One that was out of sight before they *answered* is no question any more.
    """
    return any(
        past.nsid is None and inode not in spaces and (answered is None or past.seen >= answered)
        for inode, past in memory.items()
    )


def _newest(kept: Iterable[Remembered], most: int) -> list[Remembered]:
    return sorted(kept, key=lambda past: past.seen, reverse=True)[:most]
