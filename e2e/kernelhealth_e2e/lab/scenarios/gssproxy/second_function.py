"""A network function that a machine has besides its own, and that a pod is given whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernelhealth_e2e.errors import HarnessError

if TYPE_CHECKING:
    from kernelhealth_e2e.lab.bench import Bench
    from kernelhealth_e2e.lab.scenarios.gssproxy.network_state import NetworkState

REASON = "StrandedDevice"
_NAME, _MAC = "eth1", "52:54:00:0e:00:01"
"""What its interface is called, on the machine and in the pod."""
HARDWARE = (
    *("-netdev", "user,id=second,ipv6=off,restrict=on,net=10.0.99.0/24"),
    *("-device", f"virtio-net-pci,netdev=second,mac={_MAC}"),
)


def stranded(bench: Bench, pod: str, state: NetworkState) -> str:
    """See that the function that is away is found, with pod and interface; return the message."""
    (device,) = state.away
    found = bench.found(REASON, pod)
    subject, address = found["subject"], state.functions[device]
    if (subject["device"], subject["interfaces"]) != (address, [_NAME]):
        raise HarnessError(f"the finding is not about {_NAME} of {address}: {found}")
    return str(found["message"])


def returned(state: NetworkState) -> str:
    """Say as what it has come back; raise where it has not."""
    names = [name for name, link in state.links.items() if link.address == _MAC]
    if len(names) != 1:
        raise HarnessError(f"no link of the machine has {_MAC}: the function has not come back")
    return f"{names[0]} ({_MAC}) is back on the machine"
