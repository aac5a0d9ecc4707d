"""Leases of the host-local address manager: one file per address and network.

``var/lib/cni/networks/NETWORK/ADDRESS`` holds the container and, in later versions, its interface
on a line of its own (containernetworking/plugins: plugins/ipam/host-local/backend/disk). A file
without a container is what a machine leaves that lost power while the lease was written; it
reserves the address all the same.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from kernelhealth_agent import errors
from kernelhealth_agent.kernel import naming

PLACE = "var/lib/cni/networks"


@dataclass(frozen=True, slots=True)
class Lease:
    """One address that is given away; *sandbox* is empty where the file names none."""

    file: str
    network: str
    address: str
    sandbox: str


def is_address(name: str) -> bool:
    """Whether a file is a lease, by its name; ``lock`` and ``last_reserved_ip.0`` are none."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def lease(text: bytes, file: str) -> Lease:
    """Decode a lease, whose file is the address, in the directory of its network.

    Raises ``UnreadableError`` for bytes that are no text and a name that is no address.
    """
    directory, _, name = file.rpartition("/")
    network = naming.printable(directory.rpartition("/")[2])
    try:
        address = str(ipaddress.ip_address(name))
    except ValueError as error:
        raise errors.UnreadableError(file, "its name is no address") from error
    try:
        lines = text.decode().split()
    except UnicodeDecodeError as error:
        raise errors.UnreadableError(file, "it is no text") from error
    return Lease(file, network, address, lines[0] if lines else "")
