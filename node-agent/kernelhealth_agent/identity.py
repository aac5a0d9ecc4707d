"""What host this is: its boot, its kernel, its operating system."""

from __future__ import annotations

from dataclasses import dataclass

from kernelhealth_agent import errors
from kernelhealth_agent.hosts import Host
from kernelhealth_agent.wording import printable

_BOOT = "proc/sys/kernel/random/boot_id"
_KERNEL = "proc/sys/kernel/osrelease"
_SYSTEMS = ("etc/os-release", "usr/lib/os-release")
_LONGEST = 128


@dataclass(frozen=True, slots=True)
class Identity:
    """What tells this boot of this host from others; what cannot be read is None."""

    boot_id: str | None = None
    kernel_release: str | None = None
    os_image: str | None = None


def identify(host: Host) -> Identity:
    """Read what host this is; os-release(5) for the name of the operating system."""
    image = None
    for path in _SYSTEMS:
        image = image or _pretty_name(_text(host, path))
    return Identity(_line(host, _BOOT), _line(host, _KERNEL), image)


def _text(host: Host, path: str) -> str:
    try:
        return host.read(path, 65536).decode(errors="replace")
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
