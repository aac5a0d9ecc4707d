"""What an administrator can set; each from an environment variable ``KERNELHEALTH_<NAME>``."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from kernelhealth_api.duration import Duration


class Settings(BaseSettings):
    """The agent's settings, read once at start; durations are written like ``10m`` or ``90s``.

    Raises ``pydantic.ValidationError`` that names the variable when one cannot be used.
    """

    model_config = SettingsConfigDict(
        env_prefix="KERNELHEALTH_", frozen=True, extra="ignore", use_attribute_docstrings=True
    )

    node_name: str | None = Field(None, min_length=1, max_length=253)
    """Name of the Node, and of the NodeKernelHealth object that is reported to."""

    root: str = Field("/", pattern="^/")
    """Where the host's root directory is mounted."""

    run_dir: Path = Path("/run/kernelhealth")
    """Directory of the state that survives a restart of the agent, but not one of the host."""

    kubelet_pods: str = "var/lib/kubelet/pods"
    """Directory of the kubelet's pods, below the root."""

    pod_logs: str = "var/log/pods"
    """Directory of the pods' logs, below the root."""

    plugin_dir: Path | None = None
    """Directory with files of plugins (``*.json``), which are run as the agent is: none without."""

    look_inside_by_device: bool = False
    """Open network namespaces that only their id leads to, by a tap device that is put into each
    for a moment, once an hour: tells their inode numbers and sockets. Programs that follow devices
    see it come and go."""

    period: Duration = timedelta(seconds=60)
    """Time between two rounds when the kernel tells nothing; 10 % more or less by chance."""

    cpu_share: float = Field(0.008, gt=0, le=1)
    """How much of one processor looking may use on average: where it takes much, it looks less
    often. More of it finds things sooner on machines that are slow, or emulated."""

    refresh_period: Duration = timedelta(minutes=10)
    """How often the report is written even when nothing changed, at the latest."""

    deadline: Duration = timedelta(seconds=20)
    """How long one source may take before it is given up."""

    metrics_address: str = "0.0.0.0"  # noqa: S104 - Prometheus comes from another node.
    """Address that the metrics are served on."""

    metrics_port: int = Field(9469, ge=0, le=65535)
    """Port that the metrics are served on; 0 picks a free one and logs it."""

    api_server: str | None = Field(None, pattern="^https?://")
    """URL of the API server; in a pod it is known without."""

    service_account: Path = Path("/var/run/secrets/kubernetes.io/serviceaccount")
    """Directory with ``token`` and ``ca.crt``; the token is read anew for each request."""

    first_report_spread: Duration = timedelta(seconds=5)
    """A first report waits for up to this long by chance, so that agents do not come at once."""

    log_level: str = Field("INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$")
    """DEBUG, INFO, WARNING or ERROR."""

    hands: str = Field("live", pattern="^(live|refuse-host-wide)$")
    """How far treatments may go: ``live``; or ``refuse-host-wide``, which leaves modules, sysctls
    and boots alone, for a node that is somebody's own machine."""

    reboot_hook: str | None = Field(None, pattern="^/", max_length=80)
    """Path on the host of a unix socket whose owner reboots it in its own way: it is sent the line
    ``reboot BOOT_ID REQUEST_ID`` and answers ``ok``, or why not. Otherwise systemd is told to."""

    kept_dir: str = "var/lib/kernelhealth/kept"
    """Directory, below the root, where what treatments replaced is kept for good."""

    treatment_deadline: Duration = timedelta(minutes=3)
    """How long one treatment may take before it is given up and called failed."""

    @field_validator("period", "refresh_period", "deadline", "treatment_deadline")
    @classmethod
    def _long_enough(cls, value: timedelta) -> timedelta:
        if value < timedelta(seconds=1):
            raise ValueError("must be 1s or longer")
        return value

    @field_validator("kubelet_pods", "pod_logs", "kept_dir")
    @classmethod
    def _below_the_root(cls, value: str) -> str:
        return value.strip("/")
