"""Who is in a network namespace, in words and as the subject of an observation."""

from __future__ import annotations

from kernelhealth_agent.kernel.namespaces import Namespace
from kernelhealth_api.v1alpha1.finding import Subject


def subject(space: Namespace, **known: str | None) -> Subject:
    """Return the subject that a namespace is, with more fields where they are *known*."""
    pod = space.pod
    fields = {"container": space.sandbox, **known}
    return Subject(
        namespace=space.inode,
        nsid=space.nsid,
        pod=pod.title if pod is not None and pod.name else None,
        pod_uid=None if pod is None else pod.uid,
        pod_known_by=None if pod is None else pod.known_by,
        **{name: value for name, value in fields.items() if value is not None},
    )


def within(space: Namespace) -> str:
    """Return who is in a namespace, as it is said within a sentence."""
    words = title(space)
    return words[0].lower() + words[1:]


def title(space: Namespace) -> str:
    """Return who is in a namespace: the pod, or what else is known."""
    if space.pod is not None and space.pod.name:
        return f"Pod {space.pod.title}"
    if space.pod is not None and space.pod.uid:
        return f"The pod with UID {space.pod.uid}"
    if space.pids:
        return f"Network namespace {space.inode} of process {space.pids[0]}"
    return f"Network namespace {space.inode}"
