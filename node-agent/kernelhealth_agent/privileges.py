"""What this process may not do, and what it cannot see for that. Pure."""

from __future__ import annotations

from kernelhealth_agent import errors

STATUS = "proc/self/status"
# Numbers from include/uapi/linux/capability.h.
_NEEDED = {
    21: ("CAP_SYS_ADMIN", "it cannot look inside other network namespaces"),
    19: (
        "CAP_SYS_PTRACE",
        "it cannot see the namespaces, descriptors and files of other processes",
    ),
    2: ("CAP_DAC_READ_SEARCH", "it cannot read files that belong to others"),
    12: ("CAP_NET_ADMIN", "it cannot list packet filters, and large netlink answers may be cut"),
}
_DAC_OVERRIDE = 1


def missing(status: bytes) -> tuple[str, ...]:
    """Return a sentence for each capability that a process lacks; proc_pid_status(5), CapEff.

    Raises ``UnreadableError`` where the file does not say.
    """
    for line in status.splitlines():
        name, _, value = line.partition(b":")
        if name == b"CapEff":
            try:
                effective = int(value, 16)
            except ValueError as error:
                raise errors.UnreadableError(STATUS, f"CapEff is {value!r}") from error
            return tuple(
                f"the agent lacks {capability}: {blind}"
                for number, (capability, blind) in _NEEDED.items()
                if not _has(effective, number)
            )
    raise errors.UnreadableError(STATUS, "there is no CapEff")


def _has(effective: int, number: int) -> bool:
    # CAP_DAC_OVERRIDE includes reading and searching.
    covers = (number, _DAC_OVERRIDE) if number == 2 else (number,)
    return any(effective >> each & 1 for each in covers)
