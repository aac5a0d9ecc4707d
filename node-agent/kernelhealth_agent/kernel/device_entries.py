"""The catalogue of the kernel's log, third part: filesystems, hardware and warnings.

What has no reason is only counted here, because another detector judges it. The patterns are those
of fs/ext4/super.c, fs/xfs/xfs_error.c and xfs_fsops.c, fs/btrfs/messages.c,
arch/x86/kernel/cpu/mce/core.c, drivers/firmware/efi/cper.c, drivers/acpi/bert.c,
drivers/edac/edac_mc.c, mm/memory-failure.c, kernel/panic.c, net/core/dev.c, net/core/neighbour.c
and net/netfilter/nf_conntrack_core.c, in the words of Linux 3.10 to 6.18.
"""

from __future__ import annotations

import re

from kernelhealth_agent.kernel import taints
from kernelhealth_agent.kernel.log_entries import INFO, Entry
from kernelhealth_api.detector import Reason, Severity

_BOOT = 10.0
"""Seconds in which a kernel that starts tells what the boot before it left in the hardware."""
_EXT = r"EXT[234]-fs"
_DEVICE = r"(?P<device>[^)\s]{1,64})"
_EDAC = r"EDAC (?P<device>MC\d{{1,3}}): \d+ {} .{{0,200}}\bon .{{1,120}} \(.{{0,120}}page:0x"
_REPAIR = "drain the node, and check the filesystem and the disk before it is used again"

# A filesystem that is mounted anew was looked after; ext4 is silent about unmounting before 6.2.
_MOUNTED = re.compile(
    r"(?:EXT[234]-fs|XFS) \(([^)\s]{1,64})\): (?:(?:re-)?mounted\b|[Uu]nmounting [Ff]ilesystem"
    r"|Mounting V\d)"
)
READ_ONLY = Entry(
    "FilesystemReadOnly",
    starts=("EXT", "XFS (", "BTRFS "),
    patterns=(
        re.compile(rf"{_EXT} (?:error )?\((?:device )?{_DEVICE}\): .{{0,120}}?[Rr]emounting f"),
        re.compile(rf"XFS \({_DEVICE}\): .{{0,200}}?(?:[Ss]hutting down f|has been shut down)"),
        re.compile(rf"BTRFS(?: \w+)? \(device {_DEVICE}(?: state \w+)?\): forced readonly"),
    ),
    reason=Reason(
        "FilesystemReadOnly",
        Severity.CRITICAL,
        "The kernel made a filesystem read-only, or shut it down, because of an error.",
    ),
    key=("device",),
    ends=_MOUNTED,
    level=INFO,
    title="The kernel put a filesystem out of use after an error",
    cost="nothing can be written to it any more",
    advice=_REPAIR,
)
CORRUPTED = Entry(
    "FilesystemCorrupted",
    starts=("EXT", "XFS (", "BTRFS "),
    patterns=(
        re.compile(rf"{_EXT} error \(device {_DEVICE}\)(?:: (?P<where>\w{{1,64}}:\d+))?"),
        re.compile(
            rf"XFS \({_DEVICE}\): (?:Metadata corruption detected|Internal error"
            r"|Corruption (?:detected|of in-memory data)|metadata I/O error|log I/O error)"
        ),
        re.compile(rf"BTRFS critical \(device {_DEVICE}(?: state \w+)?\): corrupt"),
    ),
    reason=Reason(
        "FilesystemCorrupted",
        Severity.CRITICAL,
        "The kernel read something from a filesystem that cannot be right.",
    ),
    key=("device",),
    ends=_MOUNTED,
    suppressed=re.compile(r"EXT4-fs error: (\d{1,9}) callbacks suppressed"),
    title="The kernel found a filesystem damaged",
    cost="files may be lost, and it may become read-only",
    advice=_REPAIR,
)
HARDWARE = Entry(
    "HardwareError",
    starts=("mce: [Hardware Error]", "[Hardware Error]", "{", "EDAC ", "Memory failure: 0x"),
    patterns=(
        # Bit 61 of the bank's status, 2 of its first digit: the processor could not correct it.
        re.compile(
            r"(?:mce: )?\[Hardware Error\]: (?P<device>CPU \d+): Machine Check(?: Exception)?:"
            r" [0-9a-f]{1,16} Bank \d+: [2367abef][0-9a-f]{15}"
        ),
        re.compile(r"(?:\{\d+\})?\[Hardware Error\]: +event severity: (?:fatal|recoverable)"),
        re.compile(_EDAC.format("UE")),
        re.compile(r"Memory failure: 0x(?P<pfn>[0-9a-f]{1,16}): recovery action"),
    ),
    reason=Reason(
        "HardwareError",
        Severity.CRITICAL,
        "The hardware reported an error that it could not correct.",
    ),
    key=("device", "pfn"),
    taint=taints.MACHINE_CHECK,
    not_before=_BOOT,
    lasts=True,
    title="The hardware reported an error that it could not correct",
    cost="data was lost, and the next one may end the node",
    advice="drain the node and have the part replaced",
)
CORRECTED = Entry(
    "HardwareErrorsCorrected",
    starts=("mce: [Hardware Error]", "[Hardware Error]", "{", "EDAC "),
    patterns=(
        re.compile(r"mce: \[Hardware Error\]: Machine check events logged"),
        re.compile(r"(?:\{\d+\})?\[Hardware Error\]: +event severity: corrected"),
        re.compile(_EDAC.format("CE")),
    ),
    reason=Reason(
        "HardwareErrorsCorrected",
        Severity.INFO,
        "The hardware reported errors and corrected them; a Warning when there are many.",
    ),
    key=("device",),
    not_before=_BOOT,
    level=INFO,
    worse="many_corrected_errors",
    title="The hardware reported errors and corrected them",
    cost="many of them announce one that cannot be corrected",
    advice="see the counters of EDAC or rasdaemon, and plan a replacement",
)
WARNED = Entry(
    "KernelWarned",
    starts=("WARNING: ",),
    patterns=(
        re.compile(
            r"WARNING: (?:CPU: \d+ PID: (?P<pid>\d+) )?at (?P<where>\S{1,160}:\d+)"
            r"(?: (?P<function>[^\s+]{1,100})\S*(?: \[(?P<module>\w{1,56})\])?)?"
        ),
        re.compile(
            r"WARNING: (?P<where>\S{1,160}:\d+) at (?P<function>[^\s+]{1,100})\S*"
            r"(?: \[(?P<module>\w{1,56})\])?, CPU#\d+: (?P<task>.{1,16})/(?P<pid>\d+)"
        ),
    ),
    reason=Reason(
        "KernelWarned",
        Severity.INFO,
        "The kernel met something that its authors hold to be impossible, and went on.",
    ),
    key=("where",),
    counter="sys/kernel/warn_count",
    taint=taints.WARNED,
    opens=True,
    absorbs=frozenset({"KernelWarned"}),
    title="The kernel warned of itself",
    cost="most such warnings are harmless, some come before a leak or an oops",
    advice="report it to whoever maintains the kernel or the module",
)
COUNTED = (
    # One such line is nothing: those that last are the detector namespace_teardown's.
    Entry(
        "UnregisterNetdevice",
        starts=("unregister_netdevice: ",),
        patterns=(re.compile(r"unregister_netdevice: waiting for (?P<device>\S{1,16}) to become"),),
        level=INFO,
    ),
    Entry(
        "ConntrackTableFull",
        starts=("nf_conntrack: ",),
        patterns=(re.compile(r"nf_conntrack: (?:nf_conntrack: )?table full, dropping packet"),),
        level=INFO,
    ),
    Entry(
        "NeighbourTableFull",
        starts=("neighbour: ", "Neighbour table", "IPv4: Neighbour table"),
        patterns=(
            re.compile(r"neighbour: \S{1,20}: neighbor table overflow!"),
            re.compile(r"(?:IPv4: )?Neighbour table overflow"),
        ),
        level=INFO,
    ),
)
ENTRIES = (READ_ONLY, CORRUPTED, HARDWARE, CORRECTED, WARNED, *COUNTED)
