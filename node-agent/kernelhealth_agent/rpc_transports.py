"""Reads the kernel's RPC clients, those of unreachable namespaces too."""

from __future__ import annotations

import contextlib
from collections import defaultdict

from kernelhealth_agent import errors
from kernelhealth_agent.hosts import Host
from kernelhealth_agent.kernel import rpc_xprt
from kernelhealth_agent.kernel.leaks import Pin
from kernelhealth_agent.kernel.rpc_xprt import Transport

PLACE = "sys/kernel/debug/sunrpc/rpc_xprt"
CLIENTS = "sys/kernel/debug/sunrpc/rpc_clnt"
READS = (f"{PLACE}/*/info", f"{CLIENTS}/*/xprt", f"{CLIENTS}/*/tasks")


def to_gssproxy(host: Host) -> list[Transport] | None:
    """Return the transports to gssproxy; None without debugfs or without RPC in the kernel."""
    found = _every(host)
    return None if found is None else [t for t in found.values() if t.to_gssproxy]


def pins(host: Host) -> tuple[Pin, ...] | None:
    """Return what the kernel's RPC clients hold; None where they cannot be looked at.

    Of a transport whose namespace the kernel does not tell, *netns* is None. Who has requests in
    flight comes first.
    """
    try:
        transports = _every(host)
        waiting = _waiting(host) if transports else {}
    except errors.HostError:
        return None
    if transports is None:
        return None
    found = (
        Pin(t.netns, t.title, _kind(t), waiting.get(name, 0)) for name, t in transports.items()
    )
    return tuple(sorted(found, key=lambda pin: (-pin.requests, pin.kind, pin.client)))


def _every(host: Host) -> dict[str, Transport] | None:
    """Return all transports by name; None without debugfs or without RPC in the kernel."""
    try:
        names = host.names(PLACE)
    except errors.AbsentError:
        return None
    found = {}
    for name in names:
        path = f"{PLACE}/{name}/info"
        with contextlib.suppress(errors.AbsentError):  # It went meanwhile.
            found[name] = rpc_xprt.transport(host.read(path), path)
    return found


def _waiting(host: Host) -> dict[str, int]:
    """Return how many requests wait on each transport, by its name."""
    found: dict[str, int] = defaultdict(int)
    with contextlib.suppress(errors.AbsentError):
        for name in host.names(CLIENTS):
            tasks = f"{CLIENTS}/{name}/tasks"
            with contextlib.suppress(errors.AbsentError):
                target = rpc_xprt.link_target(host.link(f"{CLIENTS}/{name}/xprt"))
                found[target] += rpc_xprt.requests(host.read(tasks), tasks)
    return found


def _kind(transport: Transport) -> str:
    if transport.to_gssproxy:
        return "gssproxy"
    return "nfs" if transport.to_nfs else "rpc"
