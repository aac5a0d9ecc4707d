"""The catalogue of the kernel's log, second part: processors and tasks that do not get on.

The patterns are those of kernel/watchdog.c, kernel/watchdog_hld.c (watchdog_perf.c since 6.5),
arch/powerpc/kernel/watchdog.c, kernel/rcu/tree_stall.h and tree_exp.h, kernel/hung_task.c,
kernel/workqueue.c and net/sunrpc/clnt.c, in the words of Linux 3.10 to 6.18.
"""

from __future__ import annotations

import re

from kernelhealth_agent.kernel import taints
from kernelhealth_agent.kernel.log_entries import NOTICE, Entry
from kernelhealth_api.detector import Reason, Severity

SOFT_LOCKUP = Entry(
    "SoftLockup",
    starts=("watchdog: BUG: soft", "NMI watchdog: BUG: soft", "BUG: soft lockup"),
    patterns=(
        re.compile(
            r"(?:(?:NMI )?watchdog: )?BUG: soft lockup - CPU#(?P<cpu>\d+) stuck for"
            r" (?P<seconds>\d+)s! \[(?P<task>.{1,16}):(?P<pid>\d+)\]"
        ),
    ),
    reason=Reason(
        "SoftLockup",
        Severity.CRITICAL,
        "A processor was kept by one task in the kernel for more than twice watchdog_thresh, 20 s"
        " by default, and nothing else ran on it.",
    ),
    key=("cpu",),
    counter="sys/kernel/softlockup_count",
    taint=taints.LOCKUP,
    certain=True,
    opens=True,
    title="A processor was locked up in the kernel",
    cost="what waits for that processor stands still",
    advice="drain the node and reboot it if it comes again; on a virtual machine see first whether"
    " the hypervisor took its processors away",
    cures=("Reboot",),
)
HARD_LOCKUP = Entry(
    "HardLockup",
    starts=("NMI watchdog: ", "watchdog: ", "Watchdog "),
    patterns=(
        re.compile(
            r"(?:NMI )?watchdog: (?:CPU ?\d+: )?Watchdog detected hard LOCKUP on cpu (?P<cpu>\d+)"
        ),
        re.compile(r"(?:watchdog: CPU |Watchdog CPU:)(?P<cpu>\d+) (?i:hard lockup)"),
    ),
    reason=Reason(
        "HardLockup",
        Severity.CRITICAL,
        "A processor took no interrupts for more than watchdog_thresh, 10 s by default.",
    ),
    key=("cpu",),
    counter="sys/kernel/hardlockup_count",
    opens=True,
    absorbs=frozenset({"SoftLockup"}),
    title="A processor was locked up with interrupts off",
    cost="the others soon wait for it",
    advice="drain the node and reboot it; have the hardware checked if it comes again",
    cures=("Reboot",),
)
RCU_STALL = Entry(
    "RCUStall",
    starts=("rcu: INFO: ", "INFO: rcu_", "INFO: srcu"),
    patterns=(
        re.compile(
            r"(?:rcu: )?INFO: (?P<flavour>s?rcu\w{0,30}) (?:self-)?detected (?:expedited )?"
            r"stalls? on (?:CPUs?|tasks)"
        ),
    ),
    reason=Reason(
        "RCUStall",
        Severity.WARNING,
        "A processor or task kept the kernel from freeing memory for rcu_cpu_stall_timeout, 21 to"
        " 60 s by default; Critical when it is repeated.",
    ),
    key=("flavour",),
    counter="sys/kernel/rcu_stall_count",
    opens=True,
    absorbs=frozenset({"RCUStall"}),
    worse="critical_rcu_stalls",
    title="RCU stall: the kernel waited in vain for a processor",
    cost="memory that is given back piles up meanwhile, and teardown of namespaces stands still",
    advice="look at the task that the report names; drain the node and reboot it if it comes again",
    cures=("Reboot",),
)
HUNG_TASKS = Entry(
    "HungTasks",
    starts=("INFO: task ",),
    patterns=(
        re.compile(
            r"INFO: task (?P<task>.{1,64}):(?P<pid>\d{1,10})(?: <[^>]{1,40}>)? blocked (?:in I/O"
            r" wait )?for more than (?P<seconds>\d+) seconds\."
        ),
    ),
    reason=Reason(
        "HungTasks",
        Severity.WARNING,
        "Tasks waited in the kernel, deaf even to SIGKILL, for more than hung_task_timeout_secs,"
        " 120 s by default.",
        critical="critical_hung_tasks",
    ),
    key=("task", "pid"),
    counter="proc/sys/kernel/hung_task_detect_count",
    certain=True,
    opens=True,
    title="A task hung in the kernel",
    cost="until it goes on nothing can kill it, and its pod cannot end",
    advice="look at /proc/PID/stack for what it waits for, most often a disk or an NFS server",
    cures=("Reboot",),
)
WORKQUEUE = Entry(
    "WorkqueueLockup",
    starts=("BUG: workqueue lockup",),
    patterns=(
        re.compile(
            r"BUG: workqueue lockup - pool (?P<pool>.{1,200}?) stuck for (?P<seconds>\d+)s!"
        ),
    ),
    reason=Reason(
        "WorkqueueLockup",
        Severity.WARNING,
        "Workers of the kernel made no progress for 30 s by default; Critical when repeated.",
    ),
    key=("pool",),
    worse="critical_workqueue_lockups",
    title="Workers of the kernel made no progress",
    cost="what they have to do, teardown and writing back among it, is not done",
    advice="drain the node and reboot it if it comes again",
    cures=("Reboot",),
)
NFS = Entry(
    "NFSServerNotResponding",
    starts=("nfs: server ",),
    patterns=(re.compile(r"nfs: server (?P<device>\S{1,128}) not responding\b"),),
    reason=Reason(
        "NFSServerNotResponding",
        Severity.WARNING,
        "An NFS server does not answer, and the kernel has not said since that it does again.",
    ),
    key=("device",),
    ends=re.compile(r"nfs: server (\S{1,128}) OK$"),
    level=NOTICE,
    title="An NFS server does not answer",
    cost="whoever touches its files hangs",
    advice="see to the server or the network; umount -f or -l frees what waits",
)
ENTRIES = (SOFT_LOCKUP, HARD_LOCKUP, RCU_STALL, HUNG_TASKS, WORKQUEUE, NFS)
