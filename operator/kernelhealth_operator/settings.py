"""What an administrator can set; each from an environment variable ``KERNELHEALTH_<NAME>``."""

from __future__ import annotations

import socket
from datetime import timedelta
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from kernelhealth_api.duration import Duration


class Settings(BaseSettings):
    """The operator's settings, read once at start; durations are written like ``10m`` or ``90s``.

    Raises ``pydantic.ValidationError`` that names the variable when one cannot be used.
    """

    model_config = SettingsConfigDict(
        env_prefix="KERNELHEALTH_", frozen=True, extra="ignore", use_attribute_docstrings=True
    )

    namespace: str = "kernelhealth-system"
    """Namespace of the operator's own Lease."""

    kubeconfig: Path | None = None
    """A kubeconfig to use instead of the pod's service account; for running outside a cluster."""

    identity: str = Field(default_factory=socket.gethostname, min_length=1)
    """Who this replica is in the Lease; must differ between replicas (default: the host name)."""

    lease_name: str = Field("kernelhealth-operator", min_length=1)
    """Name of the Lease that the replicas compete for."""

    lease_duration: Duration = timedelta(seconds=15)
    """How long a lease holds that its holder does not renew; a standby waits as long."""

    renew_deadline: Duration = timedelta(seconds=10)
    """How long a leader that cannot renew goes on writing; must be below lease_duration."""

    retry_period: Duration = timedelta(seconds=2)
    """How often the lease is renewed, or tried for."""

    refresh_period: Duration = timedelta(minutes=10)
    """How often an agent writes its report even when nothing changed."""

    missed_refreshes: int = Field(3, ge=1, le=100)
    """After how many missed refreshes a node's health is Unknown."""

    silent_after: Duration | None = None
    """Overrides refresh_period times missed_refreshes."""

    metrics_host: str = "0.0.0.0"  # noqa: S104 - Prometheus comes from another pod.
    """Address that the metrics are served on."""

    metrics_port: int = Field(8081, ge=0, le=65535)
    """Port that the metrics are served on; 0 picks a free one and logs it."""

    liveness_host: str = "0.0.0.0"  # noqa: S104 - The kubelet comes from the node's address.
    """Address that ``/healthz`` is served on."""

    liveness_port: int = Field(8080, ge=1, le=65535)
    """Port that ``/healthz`` is served on."""

    workers: int = Field(8, ge=1, le=256)
    """How many nodes are worked on at once; decisions that need room are made one by one."""

    history_limit: int = Field(10, ge=1, le=1000)
    """How many ended NodeRemediations are kept per node."""

    history_ttl: Duration = timedelta(days=30)
    """How long an ended NodeRemediation is kept; the cool-down of its policy at least."""

    status_period: Duration = timedelta(seconds=2)
    """How often at most the status of one policy is written."""

    events_burst: int = Field(50, ge=1)
    """How many Events may be raised at once before they are rationed."""

    events_per_minute: float = Field(60.0, gt=0)
    """How many Events may be raised in the long run; what exceeds it is counted and dropped."""

    dry_run: bool = False
    """Decides everything and changes no Node; what would be done is logged."""

    log_level: str = Field("INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$")
    """DEBUG, INFO, WARNING or ERROR."""

    @property
    def silence(self) -> timedelta:
        """How long a node may go without a report before its health is Unknown."""
        if self.silent_after is not None:
            return self.silent_after
        return self.refresh_period * self.missed_refreshes

    @model_validator(mode="after")
    def _lease_times_fit(self) -> Self:
        if not self.retry_period < self.renew_deadline < self.lease_duration:
            raise ValueError(
                "the lease's times must grow: KERNELHEALTH_RETRY_PERIOD < "
                "KERNELHEALTH_RENEW_DEADLINE < KERNELHEALTH_LEASE_DURATION"
            )
        if self.silence <= timedelta(0):
            raise ValueError("KERNELHEALTH_SILENT_AFTER must be longer than nothing")
        return self
