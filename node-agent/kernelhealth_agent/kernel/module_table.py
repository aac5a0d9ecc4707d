"""Modules and who uses them: /proc/modules, kernel/module/procfs.c (m_show, print_unload_info).

::

    auth_rpcgss 192512 1 rpcsec_gss_krb5, Live 0x0000000000000000
    name        size   users by,[by,…]    state address
"""

from __future__ import annotations

from dataclasses import dataclass

from kernelhealth_agent.kernel import modules

_PERMANENT = "[permanent]"


@dataclass(frozen=True, slots=True)
class Module:
    """One loaded module; *users* counts all references, *by* names the modules among them.

    *users* is -1 where the kernel cannot unload modules. *permanent*: it has no way to end.
    """

    users: int
    by: frozenset[str] = frozenset()
    permanent: bool = False


def table(content: bytes, path: str) -> dict[str, Module]:
    """Return the loaded modules by name; ``UnreadableError`` for a line that is no module."""
    counts = modules.loaded(content, path)
    found = {}
    for line in content.decode(errors="replace").splitlines():
        fields = line.split()
        by = frozenset(fields[3].split(",")) - {"", "-"} if len(fields) > 3 else frozenset()
        found[fields[0]] = Module(counts[fields[0]], by - {_PERMANENT}, _PERMANENT in by)
    return found
