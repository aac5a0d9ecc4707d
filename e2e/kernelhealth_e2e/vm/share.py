"""The directory that a virtual machine sees as /share: what makes it a node, and its logs."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kernelhealth_e2e import nodefiles
from kernelhealth_e2e.vm.resources import GUEST

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kernelhealth_e2e.vm.machine import Network

_CA = "/etc/kubernetes/ca.crt"
_PLUGINS = "/opt/cni/bin"
_OWN_PLUGINS = ("lazy-ptp", "function-ptp")
_UNIT_FILES = ("units", "prepare.sh", "kubelet.sh", "system.conf")


@dataclass(frozen=True, slots=True)
class Guest:
    """What its files say about one node.

    ``reaches`` are the addresses of the cluster, ``pods`` is the range of its pods' addresses,
    ``cni`` the plugin that makes their links (of an ``mtu`` of its own, if that is not 0).
    ``modules`` are loaded at each boot, and ``files`` are laid beside the settings.
    """

    name: str
    binaries: Path
    network: Network
    port: int
    pods: str
    reaches: tuple[str, ...]
    labels: tuple[str, ...]
    taints: tuple[str, ...]
    cni: str = "ptp"
    modules: tuple[str, ...] = ()
    mtu: int = 0
    files: Mapping[str, Path] = field(default_factory=dict)

    def settings(self) -> str:
        """Give what the guest's scripts read."""
        values = {
            "name": self.name,
            "binaries": str(self.binaries),
            "address": self.network.address,
            "gateway": self.network.gateway,
            "reaches": " ".join(self.reaches),
            "labels": ",".join(self.labels),
            "taints": ",".join(self.taints),
            "modules": " ".join(self.modules),
        }
        return "".join(f'{key}="{value}"\n' for key, value in values.items())


def write(share: Path, guest: Guest, kubeconfig: str, ca: Path) -> None:
    """Fill the directory."""
    for name in ("etc", "cni", "logs", "files"):
        (share / name).mkdir(parents=True)
    for name, file in guest.files.items():
        shutil.copy(file, share / "files" / name)
    for name in _UNIT_FILES:
        copy = shutil.copytree if (GUEST / name).is_dir() else shutil.copy
        copy(GUEST / name, share / name)
    (share / "settings").write_text(guest.settings())
    for name in _OWN_PLUGINS:
        shutil.copy(GUEST / name, share / "cni")
    _write_etc(share / "etc", guest, kubeconfig, ca)


def _write_etc(etc: Path, guest: Guest, kubeconfig: str, ca: Path) -> None:
    nodefiles.write(etc, ca=Path(_CA), cgroup="")
    shutil.copy(ca, etc / "kubernetes")
    file = etc / "kubernetes/kubelet.kubeconfig"
    file.touch(mode=0o600)
    file.write_text(kubeconfig)
    _change(etc / "kubernetes/kubelet.yaml", {"port": guest.port})
    runtime = etc / "containerd/config.toml"
    runtime.write_text(runtime.read_text().replace("/usr/lib/cni", _PLUGINS))
    network = next((etc / "cni/net.d").iterdir())
    plugins = json.loads(network.read_text())["plugins"]
    plugins[0]["type"] = guest.cni
    if guest.mtu:
        plugins[0]["mtu"] = guest.mtu
    plugins[0]["ipam"]["ranges"] = [[{"subnet": guest.pods}]]
    _change(network, {"plugins": plugins})


def _change(file: Path, changes: dict[str, Any]) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}, indent=1))
