"""A veth pair that outlived its pod, named as a CNI plugin names it after the pod.

Either nobody uses its other end any more (``idle``: the namespace is only held by the mount that
the runtime forgot), or the plugin stopped half-way and both ends are in the host (``host``).
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import sys
import uuid
from collections.abc import Iterator

from pyroute2 import IPRoute

from kernelhealth_e2e.faults import held_namespace
from kernelhealth_e2e.faults.namespace import sandbox
from kernelhealth_e2e.faults.veth import cut, veth

WAYS = ("idle", "host")


def link_name(namespace: str, pod: str, prefix: str = "cali") -> str:
    """Return the name of the host's end: Calico's recipe, and with ``eni`` the AWS VPC CNI's."""
    digest = hashlib.sha1(f"{namespace}.{pod}".encode(), usedforsecurity=False).hexdigest()
    return f"{prefix}{digest[:11]}"


@contextlib.contextmanager
def abandoned_veth(name: str, way: str = "idle") -> Iterator[str]:
    """Abandon a veth pair; yields the name of the host's end. All goes with the context."""
    made = _idle(name) if way == "idle" else _host(name)
    with made:
        yield name


@contextlib.contextmanager
def _idle(name: str) -> Iterator[None]:
    with sandbox() as pod:
        where = f"/run/netns/cni-{uuid.uuid4()}"
        with veth(pod.pid, "192.0.2.7/24", name), held_namespace.mount(pod.file, where):
            pod.stop()
            yield


@contextlib.contextmanager
def _host(name: str) -> Iterator[None]:
    with IPRoute() as netlink:
        netlink.link("add", ifname=name, kind="veth", peer={"ifname": f"x{name}"[:15]})
    try:
        yield
    finally:
        cut(name)


def main() -> None:
    """Abandon a veth pair until standard input ends."""
    parser = argparse.ArgumentParser(
        prog="abandoned_veth",
        description=__doc__,
        epilog="example: abandoned_veth idle shop cart-7",
    )
    parser.add_argument("way", choices=WAYS)
    parser.add_argument("namespace", help="namespace of a pod that there is not")
    parser.add_argument("pod", help="name of that pod")
    parser.add_argument("--prefix", default="cali", help="cali, eni, azv or gke")
    arguments = parser.parse_args()
    name = link_name(arguments.namespace, arguments.pod, arguments.prefix)
    with abandoned_veth(name, arguments.way):
        print(name, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
