"""What keeps a network namespace that nothing leads to, and what would free it, in words."""

from __future__ import annotations

from kernelhealth_agent.kernel import leak_wording
from kernelhealth_agent.kernel.leaks import Explanation, NetworkNamespaces, Pin, Unreachable


def explained(lost: Unreachable, now: NetworkNamespaces) -> Explanation:
    """Return what is known of the holder, the surest knowledge first."""
    if lost.socket is not None:
        holder = f"socket {lost.socket.descriptor} of {lost.socket.process}"
        advice = f"{holder} keeps it; stop that process, no reboot is needed"
        return Explanation("HeldBySocket", holder, advice, ("StopHolder",))
    if lost.pin is not None:
        return _pinned(lost.pin)
    if lost.opened is not None and lost.opened.uses_gssproxy:
        return _pinned(Pin(lost.opened.inode, "gssproxy client", "gssproxy"))
    if lost.listed is not None and lost.listed.active == 0:
        return Explanation(
            "TeardownPending",
            "kernel (teardown)",
            "its last reference is gone, but the kernel has not dismantled it yet; if it stays, "
            "its teardown is stuck and only a reboot frees it",
            ("Reboot",),
        )
    return _unknown(lost, now)


def _pinned(pin: Pin) -> Explanation:
    waiting = f", with {pin.requests} requests unanswered" if pin.requests else ""
    told = f"the kernel's {pin.client} keeps it{waiting}"
    if pin.kind == "gssproxy":
        return Explanation(
            "GssProxyPin",
            "kernel (gssproxy client)",
            "the kernel's gssproxy client keeps it; unload auth_rpcgss, which frees it without a "
            "reboot; where that is built in or in use, reboot the node",
            ("BlockRpcGssModule", "UnloadRpcGssModule", "Reboot"),
        )
    if pin.kind == "nfs":
        advice = (
            f"{told}; unmount that file system wherever it is still mounted (umount -f -l), "
            "which frees it without a reboot"
        )
        return Explanation("NfsPin", f"kernel ({pin.client})", advice, ("Reboot",))
    advice = f"{told}; end what uses that service in the kernel, else only a reboot frees it"
    return Explanation("SunrpcPin", f"kernel ({pin.client})", advice, ("Reboot",))


def _unknown(lost: Unreachable, now: NetworkNamespaces) -> Explanation:
    """Say what may keep it: descriptors on their way, clients of an untold namespace, sockets."""
    told = f"the kernel itself or something in flight holds it{leak_wording.counted(lost.listed)}"
    guesses = [
        f"{x.waiting} descriptor{'' if x.waiting == 1 else 's'} in flight at socket "
        f"{x.descriptor} of {x.process}"
        for x in now.transit[:2]
    ]
    guesses += [f"its {pin.client}" for pin in now.stray[:2]]
    if lost.opened is not None and lost.opened.sockets:
        many = "" if lost.opened.sockets == 1 else "s"
        told = f"{told}, with {lost.opened.sockets} open socket{many} inside"
    holder = leak_wording.KERNEL
    if now.transit:
        holder = f"perhaps a socket in flight to {now.transit[0].process}"
    if guesses:
        advice = (
            f"{told}, perhaps {' or '.join(guesses)}; end that, and if the namespace stays, "
            "only a reboot frees it"
        )
    else:
        advice = f"{told}; end what used it, and if it stays, only a reboot frees it"
    if lost.listed is None and any(space.nsid is not None for space in now.listed or ()):
        advice = f"{advice} (the kernel's own list does not have it, so that it may be dying)"
    return Explanation("HeldByKernel", holder, advice, ("Reboot",))
