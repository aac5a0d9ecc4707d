"""Kernel modules, unloaded: delete_module(2)."""

from __future__ import annotations

import ctypes
import errno
import os
from dataclasses import dataclass
from typing import ClassVar

from kernelhealth_agent import errors
from kernelhealth_agent.kernel import module_table

_TABLE = "proc/modules"
_NUMBERS = {
    "x86_64": 176,
    "aarch64": 106,
    "riscv64": 106,
    "loongarch64": 106,
    "ppc64le": 129,
    "s390x": 129,
    "armv7l": 129,
    "i686": 129,
}
"""delete_module by machine: no C library has a function for it that every program may call."""
_WHY = {
    errno.EPERM: "the agent lacks CAP_SYS_MODULE",
    errno.EBUSY: "it is being loaded or unloaded, or has no way to end",
    errno.EWOULDBLOCK: "something uses it",
}


@dataclass(frozen=True, slots=True)
class UnloadModule:
    """One module goes, if nothing uses it; nobody waits for it to become unused."""

    module: str
    host_wide: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """What is unloaded."""
        return f"the module {self.module} is unloaded"

    def do(self, root: str, keep: str) -> None:  # noqa: ARG002 - It replaces nothing.
        """Unload it; that it is not loaded is fine.

        ``AbsentError`` for a kernel without modules, ``OSError`` where it refuses.
        """
        try:
            with open(f"{root.rstrip('/')}/{_TABLE}", "rb") as file:
                loaded = module_table.table(file.read(), _TABLE)
        except FileNotFoundError as error:
            raise errors.AbsentError(_TABLE, "is not there: no module can be unloaded") from error
        if self.module not in loaded:
            return
        number = _NUMBERS.get(os.uname().machine)
        if number is None:
            why = f"has no known number on {os.uname().machine}: unload {self.module} by hand"
            raise errors.AbsentError("delete_module(2)", why)
        libc = ctypes.CDLL(None, use_errno=True)
        # O_NONBLOCK, without which some kernels wait, and new users are refused meanwhile.
        if libc.syscall(number, self.module.encode(), os.O_NONBLOCK):
            code = ctypes.get_errno()
            if code != errno.ENOENT:
                why = _WHY.get(code, os.strerror(code))
                raise OSError(code, f"{self.module} cannot be unloaded: {why}")
