"""Mounts of NFS in a mount table, /proc/PID/mountinfo, and in fstab(5), exports(5): who needs GSS.

fs/nfs/super.c (nfs_show_mount_options) prints the security of a mount among the options of its
super block: ``sec=krb5``, ``krb5i`` or ``krb5p``. The server's own file system is ``nfsd``.
"""

from __future__ import annotations

import re

_NFS = frozenset({"nfs", "nfs4"})
_KERBEROS = re.compile(r"(?:^|,)sec=(?:[a-z0-9]+:)*krb5[ip]?(?:[,:]|$)")


def kerberos(table: bytes) -> list[str]:
    """Return the mount points of NFS with Kerberos, as the kernel writes them."""
    return [point for point, kind, options in _mounts(table, b"krb5") if _is_secured(kind, options)]


def servers(table: bytes) -> list[str]:
    """Return the mount points of the NFS server's own file system."""
    return [point for point, kind, _ in _mounts(table, b"nfsd") if kind == "nfsd"]


def wanted(fstab: bytes) -> list[int]:
    """Return the lines of fstab(5) that mount NFS with Kerberos."""
    found = []
    for number, line in enumerate(fstab.decode(errors="replace").split("\n"), 1):
        fields = line.split()
        if len(fields) >= 4 and not fields[0].startswith("#") and _is_secured(*fields[2:4]):
            found.append(number)
    return found


def exported(exports: bytes) -> list[int]:
    """Return the lines of exports(5) that are no comments."""
    lines = exports.decode(errors="replace").split("\n")
    return [
        number for number, line in enumerate(lines, 1) if line.strip() and line.lstrip()[0] != "#"
    ]


def _is_secured(kind: str, options: str) -> bool:
    return kind in _NFS and _KERBEROS.search(options) is not None


def _mounts(table: bytes, word: bytes) -> list[tuple[str, str, str]]:
    """Return (mount point, type, options of the super block) of each line with that word."""
    found = []
    for line in table.split(b"\n") if word in table else ():
        before, dash, after = line.decode(errors="replace").partition(" - ")
        fields, kind = before.split(" "), after.split(" ")
        if dash and len(fields) > 4 and len(kind) > 2:
            found.append((fields[4], kind[0], kind[2]))
    return found
