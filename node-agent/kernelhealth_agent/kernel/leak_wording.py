"""What outlived its pod, in words: namespaces."""

from __future__ import annotations

from kernelhealth_agent.kernel.leaks import Hidden, Listed
from kernelhealth_agent.kernel.namespaces import Pod
from kernelhealth_api.v1alpha1.finding import Subject

KERNEL = "kernel, or a socket in flight"


def hidden(found: Hidden) -> tuple[str, Subject]:
    """Return message and subject of a namespace that only the kernel's own list shows."""
    space, pod = found.listed, found.past.pod if found.past else None
    told = f"{title(space.inode, None)}{of(pod)} is still in the kernel's own list, but no process"
    told = f"{told}, mount, descriptor or id leads to it; "
    if found.socket is not None:
        holder = f"socket {found.socket.descriptor} of {found.socket.process}"
        message = f"{told}{holder} keeps it: stop that process."
    elif found.past is not None:
        holder = KERNEL
        message = f"{told}{unknown_holder(space)}"
    else:
        holder = KERNEL
        message = (
            f"{told}the kernel itself or something in flight holds it{_counted(space)}. No pod is "
            "known to have lost it: it may be a service manager's, for a service that has exited."
        )
    subject = Subject(
        namespace=space.inode,
        holder=holder,
        container=found.past.sandbox if found.past else None,
        **whose(pod, "memory"),
    )
    return message, subject


def unknown_holder(listed: Listed | None) -> str:
    """Return what to do about a namespace that is held by nobody knows whom."""
    told = f"the kernel itself or something in flight holds it{_counted(listed)}"
    return f"{told}: if it stays, reboot the node."


def title(inode: int | None, nsid: int | None) -> str:
    """Return a namespace by what is known of it."""
    names = [str(inode)] if inode is not None else []
    names += [f"nsid {nsid}"] if nsid is not None else []
    return f"Network namespace {' '.join(names[:1])}{''.join(f' ({n})' for n in names[1:])}"


def of(pod: Pod | None) -> str:
    """Return whose namespace it is."""
    return f" of pod {pod.title}" if pod else " of an unknown pod"


def whose(pod: Pod | None, known_by: str | None) -> dict[str, str | None]:
    """Return the fields of a subject that name a pod."""
    if pod is None:
        return {}
    return {"pod": pod.title, "pod_uid": pod.uid, "pod_known_by": known_by or pod.known_by}


def _counted(listed: Listed | None) -> str:
    if listed is None:
        return ""
    return f" (the kernel counts {listed.active} reference{'' if listed.active == 1 else 's'})"
