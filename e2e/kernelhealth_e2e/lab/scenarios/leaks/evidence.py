"""What must be seen of lost memory and of the kernel's complaints, and what must not."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kernelhealth_e2e.demo.stage import finding
from kernelhealth_e2e.errors import HarnessError
from kernelhealth_e2e.lab.requirement import require
from kernelhealth_e2e.lab.scenarios.leaks.workloads.leaks import CACHE
from kernelhealth_e2e.scene import findings

if TYPE_CHECKING:
    from kernelhealth_e2e.lab.scenarios.leaks.pods import Builds
    from kernelhealth_e2e.observing import Object

LEAK, CAUSE, TAINTED = "SlabLeak", "KmallocPerNamespaceLeak", "KernelTainted"
OBJECTS = 256
"""Objects of 1 KiB that the faulty kernel loses with each network namespace."""
_FEW = 400
"""Objects that come and go in a cache that others use as well."""
_NEAR = 0.3
_PER = re.compile(r", (\d+\.\d) objects with each new (?:namespace|network interface)")
CORRUPTING = ("BadPageState", "DentryStillInUse", "BusyInodes", "KernelOops")
COMPLAINTS = {
    "KernelWarned": "of module leak",
    "BadPageState": '"BUG: Bad page state in process python3',
    "DentryStillInUse": "n=lost-dentry}",
    "BusyInodes": '"VFS: Busy inodes after unmount of tmpfs',
    "KernelOops": "leak_oops",
}
"""By their reasons what must be said of the kernel's complaints: whom or what they name."""


def leaks(builds: Builds) -> bool:
    """Tell whether memory was lost with each namespace."""
    return builds.objects >= (1 - _NEAR) * OBJECTS * builds.namespaces


def is_silent(builds: Builds) -> bool:
    """Tell whether none was."""
    return abs(builds.objects) < _FEW


def said(builds: Builds) -> str:
    """Say what became of builds."""
    rows = ", ".join(builds.caches)
    return (
        f"{builds.namespaces} network namespaces came and went: {builds.objects} objects of 1 KiB"
        f" more of {CACHE}, which /proc/slabinfo calls {rows}"
    )


def lost(health: Object) -> Object | None:
    """Return the finding about the cache of the module, if there is one."""
    for one in findings(health):
        if one["reason"] == LEAK and CACHE in one["subject"].get("holder", ""):
            return one
    return None


def is_forecast(health: Object) -> bool:
    """Tell whether it is known how fast the cache grows, and when memory is used up."""
    found = lost(health) or {}
    return bool(found.get("perHour") and found.get("exhaustion"))


def forecast(health: Object) -> str:
    """Return the figures of the growth."""
    found = lost(health) or {}
    return (
        f"{found['severity']} {LEAK}: {found['perHour'] / (1 << 20):.0f} MiB an hour, memory ends"
        f" at {found['exhaustion']}"
    )


def is_explained(health: Object) -> bool:
    """Tell whether it is known with what the cache grows, and by how much each time."""
    found = lost(health) or {}
    per = _PER.search(found.get("message", ""))
    if found.get("cause") != CAUSE or per is None:
        return False
    return abs(float(per[1]) - OBJECTS) <= _NEAR * OBJECTS


def named(health: Object, builds: Builds) -> str:
    """Return the finding's words; HarnessError where they do not give all names of the cache."""
    found = lost(health) or {}
    message = str(found.get("message", ""))
    for name in (CACHE, *builds.caches):
        require(name in message, f"{LEAK} does not name {name}: {message}")
    require(CACHE not in builds.caches, f"nothing was merged: slabinfo has {CACHE} itself")
    return f"{found['severity']} {LEAK}, cause {found['cause']}: {message}"


def is_everything(health: Object) -> bool:
    """Tell whether each complaint was found."""
    return {one["reason"] for one in findings(health)} >= COMPLAINTS.keys()


def complained(health: Object) -> str:
    """Return what is found; HarnessError where a finding does not say whom or what it names."""
    words = list[str]()
    for reason, name in COMPLAINTS.items():
        found = finding(health, reason) or {}
        message, severity = found.get("message", ""), found.get("severity")
        require(name in message, f"{reason} does not say {name!r}: {message or 'it is not there'}")
        usual = "Critical" if reason in CORRUPTING else "Info"
        require(severity == usual, f"{reason} is {severity} and not {usual}")
        words.append(f"{severity} {reason}: {message}")
    return "; ".join(words)


def unreclaimable(meminfo: str) -> int:
    """Return the bytes of slab memory that the kernel cannot give back, of /proc/meminfo."""
    for line in meminfo.splitlines():
        if line.startswith("SUnreclaim:"):
            return int(line.split()[1]) << 10
    raise HarnessError("/proc/meminfo has no line SUnreclaim")


def only_tainted(health: Object) -> str:
    """Return what is said of a module that does no harm; HarnessError where more is said."""
    status = health.get("status", {})
    found = findings(health)
    reasons = sorted({one["reason"] for one in found})
    require(reasons in ([], [TAINTED]), f"a kernel that loses nothing has {', '.join(reasons)}")
    require(status.get("health") == "Healthy", f"its health is {status.get('health')}")
    return f"health {status['health']}; besides {', '.join(reasons) or 'nothing'}, an Info"
