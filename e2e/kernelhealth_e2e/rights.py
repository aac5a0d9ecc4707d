"""What accounts may do, as the API server sees it: some time after they were given the right."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from kernelhealth_e2e.errors import HarnessError, ProcessError

if TYPE_CHECKING:
    from kernelhealth_e2e.controlplane import ControlPlane

_SECONDS = 60.0


def known(plane: ControlPlane, user: str, *right: str) -> None:
    """Wait until *user* has a right, in words of ``kubectl auth can-i``: a verb, a kind, flags.

    The authorizer hears of roles and bindings through watches (kubernetes, plugin/pkg/auth/
    authorizer/rbac), and nothing tells when it has; asking again takes a process each time.
    """
    deadline = time.monotonic() + _SECONDS
    while not _may(plane, user, right):
        if time.monotonic() > deadline:
            words = " ".join(right)
            raise HarnessError(f"{user} was given the right, and may not {words}: see its roles")


def _may(plane: ControlPlane, user: str, right: tuple[str, ...]) -> bool:
    try:
        plane.kubectl("auth", "can-i", *right, f"--as={user}")
    except ProcessError:
        return False
    return True
