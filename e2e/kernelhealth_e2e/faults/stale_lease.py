"""An address lease and a CNI result of a sandbox that there is not, as a missed CNI DEL leaves."""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import secrets
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path


def _sandbox() -> str:
    return secrets.token_hex(32)


@dataclass(frozen=True, slots=True)
class Attached:
    """A sandbox as the CNI knows it; *link* is the host's end of its veth pair."""

    namespace: str = "shop"
    pod: str = "cart-7"
    network: str = "kernelhealth-fault"
    address: str = "192.0.2.7"
    link: str = "veth0a1b2c3d"
    netns: str = "/var/run/netns/cni-00000000-0000-4000-8000-000000000007"
    sandbox: str = field(default_factory=_sandbox)


@contextlib.contextmanager
def stale_lease(root: Path, attached: Attached, *, result: bool = True) -> Iterator[Path]:
    """Write host-local's lease and, with *result*, libcni's cache file below *root*."""
    state = root / "var/lib/cni"
    lease = state / "networks" / attached.network / attached.address
    files = {lease: f"{attached.sandbox}\r\neth0"}
    if result:
        name = f"{attached.network}-{attached.sandbox}-eth0"
        files[state / "results" / name] = json.dumps(_cached(attached))
    made = [path for path in _parents(files) if not path.exists()]
    try:
        for path, text in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, newline="")
        yield lease
    finally:
        for path in files:
            path.unlink(missing_ok=True)
        for path in sorted(made, reverse=True):
            with contextlib.suppress(OSError):  # Never there, or others use it by now.
                path.rmdir()


def _parents(files: dict[Path, str]) -> set[Path]:
    return {parent for path in files for parent in path.parents}


def _cached(attached: Attached) -> dict[str, object]:
    ipam = {"type": "host-local", "ranges": [[{"subnet": f"{attached.address}/24"}]]}
    plugins = [{"type": "ptp", "ipam": ipam}]
    config = {"cniVersion": "1.0.0", "name": attached.network, "plugins": plugins}
    return {
        "kind": "cniCacheV1",
        "containerId": attached.sandbox,
        "config": base64.b64encode(json.dumps(config).encode()).decode(),
        "ifName": "eth0",
        "networkName": attached.network,
        "netns": attached.netns,
        "cniArgs": [
            ["IgnoreUnknown", "1"],
            ["K8S_POD_NAMESPACE", attached.namespace],
            ["K8S_POD_NAME", attached.pod],
            ["K8S_POD_INFRA_CONTAINER_ID", attached.sandbox],
        ],
        "result": {
            "cniVersion": "1.0.0",
            "interfaces": [
                {"name": attached.link, "mac": "02:00:00:00:00:01"},
                {"name": "eth0", "mac": "02:00:00:00:00:02", "sandbox": attached.netns},
            ],
            "ips": [{"address": f"{attached.address}/24", "gateway": "192.0.2.1", "interface": 1}],
        },
    }


def main() -> None:
    """Leave a lease until standard input ends."""
    parser = argparse.ArgumentParser(
        prog="stale_lease",
        description=__doc__,
        epilog="example: stale_lease --address 10.244.0.9 --network demo",
    )
    usual = Attached()
    parser.add_argument("--root", type=Path, default=Path("/"), help="where to leave it")
    parser.add_argument("--address", default=usual.address)
    parser.add_argument("--network", default=usual.network)
    arguments = parser.parse_args()
    attached = Attached(address=arguments.address, network=arguments.network)
    with stale_lease(arguments.root, attached) as made:
        print(made, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
