"""Kernel settings below /proc/sys."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import ClassVar

from kernelhealth_agent import errors
from kernelhealth_agent.kernel import sysctl, sysctl_limits

_LONGEST = 64


@dataclass(frozen=True, slots=True)
class SetSysctl:
    """One number below /proc/sys is set, if it is *before* now; None for one nobody can read."""

    sysctl: str
    value: int
    before: int | None
    host_wide: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """What is set, and what it was."""
        was = "" if self.before is None else f" (it was {self.before})"
        return f"{self.sysctl} = {self.value}{was}"

    def do(self, root: str, keep: str) -> None:
        """Write it; a note of what it was is left in *keep*.

        ``UnreadableError`` where it is another number by now, ``OSError`` where the kernel refuses.
        """
        path = sysctl_limits.path(self.sysctl)
        full = f"{root.rstrip('/')}/{path}"
        if self.before is not None:
            self._check(full, path)
            with open(f"{keep}/{self.sysctl}", "w", encoding="ascii") as file:
                file.write(f"{self.before}\n")
                file.flush()
                os.fsync(file.fileno())
        descriptor = os.open(full, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
        try:
            os.write(descriptor, f"{self.value}\n".encode())
        finally:
            os.close(descriptor)

    def _check(self, full: str, path: str) -> None:
        with open(full, "rb") as file:
            now = sysctl.number(file.read(_LONGEST), path)
        if now != self.before:
            why = f"it is {now} by now and not {self.before}, so it was left alone"
            raise errors.UnreadableError(path, why)
