"""How CNI plugins name the host's end of a pod's link, and how that leads back to the pod.

Most hash the pod's name, so a name is recognised by hashing the pods that are known; IFNAMSIZ
leaves 15 characters for prefix and digits. Sources, each in the plugin's own repository:

- Calico ``cali``: libcalico-go, first 11 digits of SHA-1 of ``namespace.pod``; the prefix is
  Felix's InterfacePrefix.
- AWS VPC CNI ``eni`` and ``vlan``: pkg/networkutils/names.go, the same; the pod's further
  interfaces hash ``namespace.pod.1``, ….
- Terway ``cali``: pkg/link/veth.go, ``namespace.podeth1`` for further interfaces.
- Azure CNI ``azv``: network/endpoint_linux.go, the same as Calico, or else the first 7 digits of
  the sandbox. GKE ``gke``: not published, tried alike.
- Cilium ``lxc``: pkg/datapath/connector, first 12 digits of SHA-256 of ``container:interface``,
  formerly of the container alone.
- bridge, ptp, flannel, kubenet: ``veth`` and 8 random digits; only the CNI result cache knows.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping

_FURTHER = 4
_DIGITS = 11
_HASHED = re.compile(r"(?:(cali)|(eni|vlan)|(azv)|(gke))[0-9a-f]{11}")
_PLUGINS = ("Calico or Terway", "the AWS VPC CNI", "the Azure CNI", "GKE")
_AZURE = re.compile(r"azv[0-9a-f]{7}")
_CILIUM = re.compile(r"lxc[0-9a-f]{12}")


def plugin(name: str) -> str | None:
    """Return which CNI plugin names links so; None for a name that anything might have."""
    if _CILIUM.fullmatch(name):
        return "Cilium"
    if _AZURE.fullmatch(name):
        return "the Azure CNI"
    match = _HASHED.fullmatch(name)
    if match is None or match.lastindex is None:
        return None
    return _PLUGINS[match.lastindex - 1]


def digits(namespace: str, pod: str) -> Iterable[str]:
    """Yield the digits that the links of a pod can end with, the first interface's first."""
    title = f"{namespace}.{pod}"
    yield _sha1(title)
    for number in range(1, _FURTHER):
        yield _sha1(f"{title}.{number}")
        yield _sha1(f"{title}eth{number}")


def by_digits(pods: Iterable[tuple[str, str]]) -> dict[str, tuple[str, str]]:
    """Return (namespace, name) by the digits that the names of a pod's links end with."""
    return {found: pod for pod in pods for found in digits(*pod)}


def hashed_pod(name: str, table: Mapping[str, tuple[str, str]]) -> tuple[str, str] | None:
    """Return the pod of a link by the table of ``by_digits``, whatever its prefix."""
    if _DIGITS < len(name) <= 15:
        return table.get(name[-_DIGITS:])
    return None


def by_sandbox(sandboxes: Iterable[str]) -> dict[str, str]:
    """Return the sandbox by the names that Cilium, and Azure without a pod, give to its links."""
    found = {}
    for sandbox in sandboxes:
        found[f"azv{sandbox[:7]}"] = sandbox
        for key in (f"{sandbox}:eth0", sandbox):
            found[f"lxc{hashlib.sha256(key.encode()).hexdigest()[:12]}"] = sandbox
    return found


def _sha1(text: str) -> str:
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()[:_DIGITS]
