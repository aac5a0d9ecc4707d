"""The command lines of the control plane's programs, and how the API server says it is ready."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from kernelhealth_e2e.certificates import Authority, Pair
    from kernelhealth_e2e.controlplane import Settings

SERVICE_RANGE = "10.96.0.0/16"
SERVICE_ADDRESS = "10.96.0.1"
READY_PATH = "/readyz"
# Read by every component at its start; without it they end at once.
COMPONENT_PATH = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication"
_PROBE_SECONDS = 5.0


def etcd(data: Path, client: int, peer: int) -> tuple[str, ...]:
    """Give etcd's command line; both ports are on loopback."""
    clients, peers = f"http://127.0.0.1:{client}", f"http://127.0.0.1:{peer}"
    return (
        "etcd",
        f"--data-dir={data}",
        f"--listen-client-urls={clients}",
        f"--advertise-client-urls={clients}",
        f"--listen-peer-urls={peers}",
        f"--initial-advertise-peer-urls={peers}",
        f"--initial-cluster=default={peers}",
    )


@dataclass(frozen=True, slots=True)
class ApiServer:
    """kube-apiserver with the keys it uses; ``etcd`` is a port on loopback."""

    authority: Authority
    signing: Pair
    etcd: int
    port: int

    def argv(self, settings: Settings) -> tuple[str, ...]:
        """Issue the server's certificates and give its command line."""
        return (
            str(settings.binaries / "kube-apiserver"),
            f"--etcd-servers=http://127.0.0.1:{self.etcd}",
            f"--secure-port={self.port}",
            f"--bind-address={settings.bind}",
            *_advertised(settings.address),
            *self._keys(settings.address),
            f"--token-auth-file={settings.directory / 'tokens.csv'}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            f"--service-cluster-ip-range={SERVICE_RANGE}",
            "--allow-privileged=true",
            "--kubelet-preferred-address-types=InternalIP",
            *settings.flags,
        )

    def _keys(self, address: str) -> tuple[str, ...]:
        addresses = sorted({"127.0.0.1", address, SERVICE_ADDRESS})
        names = ("localhost", "kubernetes.default.svc", "kubernetes.default")
        alternatives = (*(f"IP:{one}" for one in addresses), *(f"DNS:{one}" for one in names))
        serving = self.authority.issue("kube-apiserver", "/CN=kube-apiserver", alternatives)
        subject = "/O=system:masters/CN=kube-apiserver-kubelet-client"
        client = self.authority.issue("kubelet-client", subject)
        return (
            f"--tls-cert-file={serving.certificate}",
            f"--tls-private-key-file={serving.key}",
            f"--client-ca-file={self.authority.pair.certificate}",
            f"--kubelet-client-certificate={client.certificate}",
            f"--kubelet-client-key={client.key}",
            f"--service-account-key-file={self.signing.certificate}",
            f"--service-account-signing-key-file={self.signing.key}",
            "--service-account-issuer=https://kubernetes.default.svc",
        )


def _advertised(address: str) -> tuple[str, ...]:
    # Endpoints may not be on loopback (the API refuses them), so there are none there.
    if address.startswith("127."):
        return ("--endpoint-reconciler-type=none",)
    return (f"--advertise-address={address}",)


def controller_manager(
    binaries: Path, kubeconfig: Path, ca: Path, signing: Pair
) -> tuple[str, ...]:
    """Give kube-controller-manager's command line."""
    return (
        str(binaries / "kube-controller-manager"),
        *_client(kubeconfig),
        f"--service-account-private-key-file={signing.key}",
        f"--root-ca-file={ca}",
        "--use-service-account-credentials",
    )


def scheduler(binaries: Path, kubeconfig: Path) -> tuple[str, ...]:
    """Give kube-scheduler's command line."""
    return (str(binaries / "kube-scheduler"), *_client(kubeconfig))


def _client(kubeconfig: Path) -> tuple[str, ...]:
    roles = ("", "authentication-", "authorization-")
    return (*(f"--{role}kubeconfig={kubeconfig}" for role in roles), "--leader-elect=false")


def answers(server: str, path: str, ca: Path, token: str) -> bool:
    """Tell whether the API server at a URL answers a GET of a path with 200."""
    request = urllib.request.Request(  # noqa: S310 - always https
        f"{server}{path}", headers={"Authorization": f"Bearer {token}"}
    )
    context = ssl.create_default_context(cafile=str(ca))
    # A machine's own proxy settings are not for loopback.
    direct = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    )
    try:
        with direct.open(request, timeout=_PROBE_SECONDS) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
