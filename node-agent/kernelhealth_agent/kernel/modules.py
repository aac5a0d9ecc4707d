"""Which parts of the kernel are there without asking them: /proc/modules, modules.builtin.

Many requests load the module that answers them, netlink's among them, and loading one can turn a
stalled teardown of namespaces into a node that starts no pod. So: look here first, then ask.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping

from kernelhealth_agent import errors

_USERS = re.compile(r"-|-?[0-9]{1,10}")  # A kernel that cannot unload modules prints a dash.


class Presence(enum.Enum):
    """Whether a part of the kernel is loaded or built in."""

    THERE = enum.auto()
    MISSING = enum.auto()
    UNKNOWN = enum.auto()


def loaded(content: bytes, path: str) -> dict[str, int]:
    """Return the number of users of each module that is loaded; -1 where it is not counted.

    Raises ``UnreadableError`` for a line that is none of /proc/modules.
    """
    found = {}
    for number, line in enumerate(content.decode(errors="replace").splitlines(), 1):
        fields = line.split()
        if len(fields) < 3 or not _USERS.fullmatch(fields[2]):
            raise errors.UnreadableError(path, "a line has no count of users", number)
        found[fields[0]] = -1 if fields[2].startswith("-") else int(fields[2])
    return found


def builtin(content: bytes) -> frozenset[str]:
    """Return the modules of modules.builtin, a path such as ``kernel/net/x-y.ko`` a line."""
    return frozenset(
        line.rsplit("/", 1)[-1].removesuffix(".ko").replace("-", "_")
        for line in content.decode(errors="replace").split()
    )


def presence(
    name: str, modules: Mapping[str, int] | None, built_in: frozenset[str] | None
) -> Presence:
    """Tell whether a module is there; *modules* is None for a kernel that can load none.

    In such a kernel all that can be there is, so asking is safe.
    """
    if modules is None or name in modules:
        return Presence.THERE
    if built_in is None:
        return Presence.UNKNOWN
    return Presence.THERE if name in built_in else Presence.MISSING
