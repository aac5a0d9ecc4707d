"""What host this is: its boot, its kernel, its operating system."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from kernelhealth_agent import errors
from kernelhealth_agent.hosts import Host
from kernelhealth_agent.wording import printable

_BOOT = "proc/sys/kernel/random/boot_id"
_STAT = "proc/stat"
_KERNEL = "proc/sys/kernel/osrelease"
_SYSTEMS = ("etc/os-release", "usr/lib/os-release")
_LONGEST = 128


@dataclass(frozen=True, slots=True)
class Identity:
    """What tells this boot of this host from others; what cannot be read is None."""

    boot_id: str | None = None
    kernel_release: str | None = None
    os_image: str | None = None
    boot_time: datetime | None = None


def identify(host: Host) -> Identity:
    """Read what host this is.

    Source: os-release(5) for the name of the operating system, proc_stat(5) for when it booted.
    """
    image = None
    for path in _SYSTEMS:
        image = image or _pretty_name(_text(host, path))
    return Identity(_line(host, _BOOT), _line(host, _KERNEL), image, _boot_time(host))


def _boot_time(host: Host) -> datetime | None:
    # The line of interrupts before it is as long as the machine is large.
    for line in _text(host, _STAT, 1 << 20).splitlines():
        name, _, value = line.partition(" ")
        if name == "btime" and value.isascii() and value.isdigit() and len(value) < 12:
            return datetime.fromtimestamp(int(value), UTC)
    return None


def _text(host: Host, path: str, most: int = 65536) -> str:
    try:
        return host.read(path, most).decode(errors="replace")
    except errors.HostError:
        return ""


def _line(host: Host, path: str) -> str | None:
    return printable(_text(host, path).strip())[:_LONGEST] or None


def _pretty_name(text: str) -> str | None:
    for line in text.splitlines():
        name, _, value = line.partition("=")
        if name == "PRETTY_NAME":
            return printable(value.strip().strip("\"'"))[:_LONGEST] or None
    return None
