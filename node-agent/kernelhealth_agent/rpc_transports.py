"""Reads the kernel's RPC transports to gssproxy, those of unreachable namespaces too."""

from __future__ import annotations

import contextlib

from kernelhealth_agent import errors
from kernelhealth_agent.hosts import Host
from kernelhealth_agent.kernel import rpc_xprt
from kernelhealth_agent.kernel.rpc_xprt import Transport

PLACE = "sys/kernel/debug/sunrpc/rpc_xprt"


def to_gssproxy(host: Host) -> list[Transport] | None:
    """Return the transports to gssproxy; None without debugfs or without RPC in the kernel."""
    try:
        names = host.names(PLACE)
    except errors.AbsentError:
        return None
    found = []
    for name in names:
        path = f"{PLACE}/{name}/info"
        with contextlib.suppress(errors.AbsentError):  # It went meanwhile.
            found.append(rpc_xprt.transport(host.read(path), path))
    return [transport for transport in found if transport.to_gssproxy]
