"""The namespaces that the kernel calls in use: listns(2), Linux 6.19.

It has those with an active reference, of a task, a mount or an open file, and not those that only
the kernel or a socket holds. NS_GET_ID gives the same numbers for namespaces that are known.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import struct
from dataclasses import dataclass

from kernelhealth_agent import errors
from kernelhealth_agent.hosts import nsfs
from kernelhealth_agent.kernel import listed_namespaces

_LISTNS = 470  # The same on all architectures, include/uapi/asm-generic/unistd.h.
_CLONE_NEWNET = 0x40000000
_REQUEST = struct.Struct("=IIQIIQ")  # include/uapi/linux/nsfs.h: struct ns_id_req.
_PAGE, _MOST = 512, 1 << 16


@dataclass(frozen=True, slots=True)
class ListedNamespaces:
    """All network namespaces in use, and which of them the namespace files *known* are.

    ``kernel.listed_namespaces`` decodes the answer.
    """

    known: tuple[str, ...]

    @property
    def name(self) -> str:
        """The name of the question."""
        return listed_namespaces.NAME

    def ask(self, root: str) -> bytes:
        """Ask; ``OSError``, or ``AbsentError`` before Linux 6.19.

        The list comes first: what is made afterwards cannot be missed in it.
        """
        active = _active()
        known = []
        for path in self.known:
            with contextlib.suppress(OSError):  # It ended meanwhile.
                descriptor = nsfs.opened(f"{root}{path}")
                try:
                    known.append(nsfs.identifier(descriptor))
                finally:
                    os.close(descriptor)
        return json.dumps({"active": active, "known": [x for x in known if x]}).encode()


def _active() -> list[int]:
    libc = ctypes.CDLL(None, use_errno=True)
    found: list[int] = []
    page = (ctypes.c_uint64 * _PAGE)()
    while len(found) < _MOST:
        after = found[-1] if found else 0
        request = _REQUEST.pack(_REQUEST.size, 0, after, _CLONE_NEWNET, 0, 0)
        count = libc.syscall(_LISTNS, request, page, _PAGE, 0)
        if count < 0 and ctypes.get_errno() == errno.ENOSYS:
            raise errors.AbsentError(listed_namespaces.NAME, "needs listns(2), Linux 6.19")
        if count < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        found += page[:count]
        if count < _PAGE:
            break
    return found
