"""Where the API server is and how to prove who we are.

Both forms are read by the Kubernetes client's own loaders; only the token is read here, since it
changes under a running operator: the kubelet replaces a bound token's file about hourly.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import yaml
from kubernetes.aio.client import Configuration
from kubernetes.aio.config.config_exception import ConfigException
from kubernetes.aio.config.incluster_config import InClusterConfigLoader
from kubernetes.aio.config.kube_config import load_kube_config

from kernelhealth_operator.cluster.errors import AccessUnusable

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class Credentials(Protocol):
    """What goes into the Authorization header, now."""

    def header(self) -> str | None:
        """The header's value, None where a client certificate is enough."""

    async def renew(self) -> bool:
        """Reads the source again after a 401; True when the header is another one now."""


@dataclass(frozen=True, slots=True)
class Access:
    """One API server as one user; *tls* is None for a plain http server only."""

    server: str
    tls: ssl.SSLContext | None
    credentials: Credentials
    server_name: str | None = None
    proxy: str | None = None


class TokenFile:
    """A token in a file that someone replaces; looked at before every request (one stat)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None
        self._token = self._read()

    def header(self) -> str | None:
        """The newest token as a bearer header."""
        self._look()
        return f"Bearer {self._token}"

    async def renew(self) -> bool:
        """Reads the file even if it looks the same; True when the token is another one now."""
        before, self._seen = self._token, None
        self._look()
        return self._token != before

    def _look(self) -> None:
        # A file that is away for a moment does not take away a token that may well be valid.
        try:
            if self._stamp() != self._seen:
                self._token = self._read()
        except (OSError, AccessUnusable):
            return

    def _stamp(self) -> tuple[int, int]:
        stat = os.stat(self._path)  # noqa: PTH116 - per request: half the price of Path.stat
        return stat.st_ino, stat.st_mtime_ns

    def _read(self) -> str:
        try:
            self._seen = self._stamp()
            token = self._path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise AccessUnusable(
                f"The service account's token cannot be read from {self._path}: {error}. Run as a "
                "pod with automountServiceAccountToken, or name a kubeconfig."
            ) from error
        if not token:
            raise AccessUnusable(f"The token file {self._path} is empty; mount the token again.")
        return token


class KubeconfigUser:
    """The user of a kubeconfig's context; the file is loaded again after a 401."""

    def __init__(self, path: Path, context: str | None, header: str | None) -> None:
        self._path = path
        self._context = context
        self._header = header

    def header(self) -> str | None:
        """The header as the kubeconfig had it when it was last loaded."""
        return self._header

    async def renew(self) -> bool:
        """Loads the kubeconfig again; True when the header is another one now."""
        before = self._header
        try:
            configuration = await _load(self._path, self._context)
        except AccessUnusable:
            return False  # Being written just now, perhaps; the 401 says what is wrong.
        self._header = configuration.api_key.get("BearerToken")
        return self._header != before


def from_service_account(environ: Mapping[str, str], directory: Path = SERVICE_ACCOUNT) -> Access:
    """The access of a pod; raises AccessUnusable outside of one."""
    configuration = _blank()
    token, certificate = directory / "token", directory / "ca.crt"
    try:
        InClusterConfigLoader(  # type: ignore[no-untyped-call]
            str(token), str(certificate), try_refresh_token=False, environ=environ
        ).load_and_set(configuration)
    except (ConfigException, OSError) as error:
        raise AccessUnusable(
            f"The service account in {directory} cannot be used: {error} Run as a pod with "
            "automountServiceAccountToken, or name a kubeconfig."
        ) from error
    return Access(configuration.host, _tls(configuration), TokenFile(token))


async def from_kubeconfig(path: Path, context: str | None = None) -> Access:
    """The access that a kubeconfig's *context* (default: its current one) describes."""
    configuration = await _load(path, context)
    user = KubeconfigUser(path, context, configuration.api_key.get("BearerToken"))
    return Access(
        configuration.host,
        _tls(configuration),
        user,
        configuration.tls_server_name,
        configuration.proxy,
    )


async def _load(path: Path, context: str | None) -> Configuration:
    configuration = _blank()
    try:
        await load_kube_config(  # type: ignore[no-untyped-call]
            str(path), context, client_configuration=configuration, persist_config=False
        )
    except (ConfigException, OSError, TypeError, ValueError, yaml.YAMLError) as error:
        raise AccessUnusable(f"The kubeconfig {path} cannot be used: {error}") from error
    return configuration


def _blank() -> Configuration:
    # Configuration() copies a process-wide default that another library may have set.
    blank: Configuration = type.__call__(Configuration)
    return blank


def _tls(configuration: Configuration) -> ssl.SSLContext | None:
    if not configuration.host.startswith("https"):
        return None
    context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
    # Python 3.13 began to refuse authorities without a key usage, as many clusters have.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if not configuration.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, configuration.key_file)
    return context
