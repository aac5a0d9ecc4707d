"""Switches kernel_nfsd off in a configuration of gssproxy, and leaves all else as it was."""

from __future__ import annotations

from kernelhealth_agent.kernel import gssproxy


def switched_off(content: bytes) -> bytes:
    """Return a configuration in which no service has kernel_nfsd on."""
    while (number := gssproxy.kernel_nfsd(content)) is not None:
        lines = content.split(b"\n")
        line = lines[number - 1]
        key, _, value = line.partition(b"=")
        ending = value[len(value.rstrip()) :]
        lines[number - 1] = key + b"= no" + ending
        content = b"\n".join(lines)
    return content
