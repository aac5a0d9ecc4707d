"""What tenants run in the scenario of gssproxy: the service itself, and an NFS server's module."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from kernelhealth_e2e import pods
from kernelhealth_e2e.lab import node_pods
from kernelhealth_e2e.lab.node_pods import READY
from kernelhealth_e2e.lab.scenarios.gssproxy import image
from kernelhealth_e2e.scene import PODS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kernelhealth_e2e.lab.bench import Bench

_SECONDS = 240
_SUCCEEDED = "--for=jsonpath={.status.phase}=Succeeded"
_WHERE = f"--namespace={PODS}"
_DIRECTORY, _FILE = "/etc/gssproxy", "gssproxy.conf"
# As packages had it until it became a file of its own beside this one.
_CONFIGURATION = """\
[gssproxy]

[service/nfs-server]
  mechs = krb5
  socket = /run/gssproxy.sock
  cred_store = keytab:/etc/krb5.keytab
  trusted = yes
  kernel_nfsd = {kernel_nfsd}
  euid = 0
"""
LINE = f"{_DIRECTORY}/{_FILE}:8"
"""Where the configuration switches kernel_nfsd on."""


@contextmanager
def gssproxy(bench: Bench, name: str, kernel_nfsd: str = "yes") -> Iterator[str]:
    """Run gssproxy in a privileged pod with a network of its own, yielding the pod's title.

    At the end the pod is deleted like any other.
    """
    configuration = _CONFIGURATION.format(kernel_nfsd=kernel_nfsd)
    pods.create(
        bench.scene.cluster,
        pods.Wanted(
            PODS,
            name,
            privileged=True,
            directory=_DIRECTORY,
            files=((_FILE, configuration),),
            image=image.NAME,
            command=("gssproxy", "--interactive"),
            node=bench.scene.name,
        ),
    )
    try:
        node_pods.wait(bench, READY, name, seconds=_SECONDS)
        yield f"{PODS}/{name}"
    finally:
        node_pods.delete(bench, name, seconds=_SECONDS)


def client_state(bench: Bench, title: str) -> str:
    """Return what the kernel says in a pod of whether it is a client of gssproxy there: 1 if so."""
    name = title.rpartition("/")[2]
    return bench.scene.kubectl(
        "exec", name, _WHERE, "--", "cat", "/proc/net/rpc/use-gss-proxy"
    ).strip()


def load(bench: Bench, module: str) -> None:
    """Load a module of the kernel, as a pod that brings a file server does; it stays loaded."""
    name = f"loads-{module}"
    wanted = pods.Wanted(
        PODS,
        name,
        privileged=True,
        host_network=True,
        image=image.NAME,
        command=("modprobe", module),
        restart="Never",
        node=bench.scene.name,
        directories=("/usr/lib/modules",),
    )
    pods.create(bench.scene.cluster, wanted)
    try:
        node_pods.wait(bench, _SUCCEEDED, name, seconds=_SECONDS)
    finally:
        node_pods.delete(bench, name, seconds=_SECONDS)


def bystander(bench: Bench, name: str) -> None:
    """Start a pod that has nothing to do with any of it."""
    pods.create(bench.scene.cluster, pods.Wanted(PODS, name, node=bench.scene.name))
    node_pods.wait(bench, READY, name, seconds=_SECONDS)


def running(bench: Bench) -> list[str]:
    """Return the names of the tenants' pods on the node."""
    there = f"--field-selector=spec.nodeName={bench.scene.name}"
    names = "jsonpath={.items[*].metadata.name}"
    return bench.scene.kubectl("get", "pods", _WHERE, there, "-o", names).split()
