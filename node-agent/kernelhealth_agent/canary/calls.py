"""System calls that Python 3.11 has no name for."""

from __future__ import annotations

import ctypes
import errno
import os

NEWUSER, NEWNET = 0x10000000, 0x40000000
_SET_PDEATHSIG, _SET_NAME, _SIGKILL = 1, 15, 9
_LIBC = ctypes.CDLL(None, use_errno=True)


def unshare(flags: int) -> None:
    """Move the calling process into new namespaces; ``OSError``."""
    if _LIBC.unshare(flags):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def made_another_namespace() -> bool:
    """Move into a new network namespace if the quota allows another; ``OSError`` otherwise."""
    try:
        unshare(NEWNET)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return False
    return True


def die_with_parent() -> None:
    """Be killed when the parent ends, which must have no other thread."""
    _LIBC.prctl(_SET_PDEATHSIG, _SIGKILL)


def name_process(name: str) -> None:
    """Set the name by which the process is listed."""
    _LIBC.prctl(_SET_NAME, name.encode())
