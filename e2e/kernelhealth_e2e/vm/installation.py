"""The agent on virtual nodes: the shipped DaemonSet, bound to them, and free to do everything."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from kernelhealth_e2e.installation import NAMESPACE
from kernelhealth_e2e.vm.resources import OVERLAY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kernelhealth_e2e.cluster import Cluster
    from kernelhealth_e2e.vm.node import VirtualNode

AGENT = "daemonset/kernelhealth-agent-lab"
_OURS = "--selector=app.kubernetes.io/instance=lab"
_WHERE = f"--namespace={NAMESPACE}"
_SECONDS = 240


@contextmanager
def installed_on(*nodes: VirtualNode) -> Iterator[None]:
    """Run the agent on the virtual nodes of one cluster while the context lasts.

    It is ready on all of them by then. What it reported goes with it.
    """
    kubectl, names = nodes[0].cluster.kubectl, (node.name for node in nodes)
    try:
        with applied(nodes[0].cluster):
            wait = ("wait", f"--for=jsonpath={{.status.numberReady}}={len(nodes)}", AGENT, _WHERE)
            kubectl(*wait, f"--timeout={_SECONDS}s", seconds=_SECONDS + 10)
            yield
    finally:
        kubectl("delete", "nodekernelhealths", "--ignore-not-found", *names)


@contextmanager
def applied(cluster: Cluster) -> Iterator[None]:
    """Let the DaemonSet be there while the context lasts, on whatever nodes it finds."""
    try:
        cluster.kubectl("apply", "--kustomize", str(OVERLAY), _OURS)
        yield
    finally:
        cluster.kubectl("delete", AGENT, _WHERE, "--ignore-not-found")
