"""The catalogue of the kernel's log, first part: damage that only the next boot takes away.

The patterns are those of arch/x86/kernel/dumpstack.c, arch/x86/mm/fault.c, arch/arm64/mm/fault.c,
arch/arm64/kernel/traps.c, lib/bug.c, mm/page_alloc.c, mm/memory.c, fs/dcache.c, fs/super.c,
lib/list_debug.c, mm/slub.c and mm/kasan/report.c, in the words of Linux 3.10 to 6.18.
"""

from __future__ import annotations

import re

from kernelhealth_agent.kernel import taints
from kernelhealth_agent.kernel.log_entries import Entry
from kernelhealth_api.detector import Reason, Severity

_TASK = r"(?P<task>.{1,16}?)"
_DRAIN = "drain the node and reboot it"

OOPS = Entry(
    "KernelOops",
    starts=(
        "BUG: unable to handle ",
        "BUG: kernel NULL pointer",
        "Unable to handle kernel ",
        "kernel BUG at ",
        "Oops: ",
        "Internal error: ",
        "general protection fault",
        "invalid opcode: ",
        "divide error: ",
        "stack segment: ",
    ),
    patterns=(
        re.compile(r"BUG: (?:unable to handle (?:kernel |page )|kernel NULL pointer dereference)"),
        re.compile(r"Unable to handle kernel .{1,80} at virtual address [0-9a-f]{8,16}$"),
        re.compile(r"kernel BUG at (?P<where>\S{1,200}:\d+)!$"),
        re.compile(
            r"(?:Oops|Internal error|general protection fault|invalid opcode|divide error"
            r"|stack segment)\b.{0,160}: (?:BUG: )?[0-9a-f]{1,16} \[#(?P<die>\d+)\](?: [A-Z_0-9]+)*"
            r"\s*$"
        ),
        re.compile(
            r"Internal error: Oops - .{1,60}: [0-9a-f]{1,16} \[#(?P<die>\d+)\](?: [A-Z_0-9]+)*\s*$"
        ),
    ),
    reason=Reason(
        "KernelOops",
        Severity.CRITICAL,
        "The kernel ran into a fault of its own and went on: the task was killed in the middle of"
        " its work, with the locks that it held.",
    ),
    key=("die", "where"),
    counter="sys/kernel/oops_count",
    taint=taints.DIED,
    certain=True,
    lasts=True,
    opens=True,
    absorbs=frozenset({"KernelOops"}),
    title="The kernel oopsed",
    cost="locks and references of the killed task stay taken for ever",
    advice=_DRAIN,
    cures=("Reboot",),
)
BAD_PAGE = Entry(
    "BadPageState",
    starts=("BUG: Bad page ",),
    patterns=(
        re.compile(
            rf"BUG: Bad page (?:state|map|cache) in process {_TASK}"
            r" {1,2}(?:pfn:(?P<pfn>[0-9a-f]{1,16})|pte:[0-9a-f]{1,16}.*)\s*$"
        ),
    ),
    reason=Reason(
        "BadPageState",
        Severity.CRITICAL,
        "The kernel found the record of a page of memory in a state that cannot be: something wrote"
        " where it should not, or the memory is broken.",
    ),
    key=("pfn", "task"),
    taint=taints.BAD_PAGE,
    certain=True,
    lasts=True,
    opens=True,
    suppressed=re.compile(r"BUG: Bad page (?:state|map): (\d{1,9}) messages suppressed"),
    title="The kernel found a page of memory in a bad state",
    cost="data may be corrupted, and such pages are lost",
    advice=f"{_DRAIN}, and test its memory should it come again",
    cures=("Reboot",),
)
DENTRY = Entry(
    "DentryStillInUse",
    starts=("BUG: Dentry ",),
    patterns=(
        re.compile(
            r"BUG: Dentry \S{1,40} *\{i=[0-9a-f]{1,16},n=(?P<file>.{0,255}?)\} +still in use"
            r" \((?P<users>-?\d+)\) \[unmount of (?P<filesystem>\S{1,64}) (?P<device>\S{1,64})\]"
        ),
    ),
    reason=Reason(
        "DentryStillInUse",
        Severity.CRITICAL,
        "A filesystem was unmounted although the kernel still held one of its files: a reference"
        " was lost, and what it points to is gone.",
    ),
    key=("filesystem", "device", "file"),
    lasts=True,
    opens=True,
    absorbs=frozenset({"KernelWarned"}),
    title="The kernel unmounted a filesystem with a file of it still in use",
    cost="memory leaks with each such unmount, and an oops may follow",
    advice=_DRAIN,
    cures=("Reboot",),
)
BUSY_INODES = Entry(
    "BusyInodes",
    starts=("VFS: Busy inodes after unmount of ",),
    patterns=(
        re.compile(
            r"VFS: Busy inodes after unmount of (?P<device>\S{1,64}?)"
            r"(?:\.? \((?P<filesystem>[^)]{1,64})\)|\.\s.*|\.?)$"
        ),
    ),
    reason=Reason(
        "BusyInodes",
        Severity.CRITICAL,
        "A filesystem was unmounted although inodes of it were in use: whoever uses them next"
        " touches freed memory.",
    ),
    key=("filesystem", "device"),
    lasts=True,
    opens=True,
    title="The kernel unmounted a filesystem with inodes of it still in use",
    cost="whoever touches them next may crash the kernel or corrupt memory",
    advice=_DRAIN,
    cures=("Reboot",),
)
CORRUPTION = Entry(
    "KernelMemoryCorrupted",
    starts=("list_add corruption", "list_del corruption", "BUG: KASAN: ", "BUG "),
    patterns=(
        re.compile(r"(?P<what>list_(?:add|del) corruption)\b[.,:]"),
        re.compile(r"BUG: (?P<what>KASAN: \S{1,60}) in (?P<where>\S{1,120})"),
        re.compile(
            r"BUG (?P<what>\S{1,60}) \((?:Not tainted|Tainted: [A-Z ]{1,40})[^)]*\): \S.{0,80}$"
        ),
    ),
    reason=Reason(
        "KernelMemoryCorrupted",
        Severity.CRITICAL,
        "The kernel's own checks found one of its lists or objects overwritten.",
    ),
    key=("what", "where"),
    lasts=True,
    opens=True,
    absorbs=frozenset({"KernelOops", "KernelWarned"}),
    title="The kernel found its own memory overwritten",
    cost="anything may be wrong from here on",
    advice=_DRAIN,
    cures=("Reboot",),
)
ENTRIES = (BAD_PAGE, DENTRY, BUSY_INODES, CORRUPTION, OOPS)
