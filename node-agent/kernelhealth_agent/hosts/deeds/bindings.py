"""Devices, taken from their driver and given back to it: Documentation/ABI/testing/sysfs-bus."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import ClassVar

from kernelhealth_agent import errors

_WORD = re.compile(r"[A-Za-z0-9][-A-Za-z0-9_.:+]*")


@dataclass(frozen=True, slots=True)
class Rebind:
    """A device is unbound from its driver and bound again: what it has of interfaces is made anew.

    The driver unregisters an interface wherever it is (net/core/dev.c: unregister_netdev), and
    makes the next one in the host's namespace.
    """

    bus: str
    device: str
    driver: str
    host_wide: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """What is rebound."""
        return f"device {self.device} is unbound from {self.driver} and bound again"

    def do(self, root: str, keep: str) -> None:  # noqa: ARG002 - It replaces nothing.
        """Unbind and bind; ``OSError`` says at which of the two it stopped.

        Both at once, since a device without a driver is worse than one that is out of reach: where
        nothing but the unbinding was done, binding is all that is left to do by hand.
        """
        for word in (self.bus, self.device, self.driver):
            if _WORD.fullmatch(word) is None:
                raise errors.UnreadableError("sys/bus", f"{word!r} is no name on a bus")
        directory = f"{root.rstrip('/')}/sys/bus/{self.bus}/drivers/{self.driver}"
        # Who is not bound has no link here: then binding is what is missing.
        if os.path.islink(f"{directory}/{self.device}"):
            _write(f"{directory}/unbind", self.device)
        try:
            _write(f"{directory}/bind", self.device)
        except OSError as error:
            raise OSError(
                error.errno,
                f"{self.device} was unbound and could not be bound again ({error.strerror}):"
                f" echo {self.device} > /sys/bus/{self.bus}/drivers/{self.driver}/bind",
            ) from error


def _write(path: str, text: str) -> None:
    """Write to an attribute that is there; in one call, as sysfs wants it."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)
