"""Processes of pods: the files of the pids controller, kernel/cgroup/pids.c.

The kubelet limits the processes of a pod (``podPidsLimit``), and those of all pods together.
``pids.events`` counts forks that were refused: since Linux 6.11 with cgroup v2 where the limit is
and above (73e75e6fc352), otherwise where the process is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kernelhealth_agent import errors
from kernelhealth_agent.kernel import cgroups, recent_growth
from kernelhealth_agent.kernel.namespaces import Pod
from kernelhealth_agent.kernel.recent_growth import Marks
from kernelhealth_agent.kernel.tenants import Tenant

_REFUSED = re.compile(rb"^max (\d{1,18})$", re.MULTILINE)
_GROUP = re.compile(rb":(/[^\n]*?kubepods(?:\.slice)?)(?:/|$)", re.MULTILINE)
_TIER = re.compile(r"burstable|besteffort|\S*kubepods-(burstable|besteffort)\.slice")


@dataclass(frozen=True, slots=True)
class PodPids:
    """The processes and threads of a pod, or of all pods where it is without *tenant*.

    *recent* is how many forks were refused in the last minutes, as *marks* allow to tell.
    """

    path: str
    tenant: Tenant | None
    current: int
    maximum: int
    recent: int
    marks: Marks


def is_pod(name: str) -> bool:
    """Whether a group of that name is a pod."""
    return cgroups.pod(f"kubepods/{name}".encode(errors="surrogatepass")) is not None


def is_tier(name: str) -> bool:
    """Whether a group of that name holds the pods of one class of service."""
    return _TIER.fullmatch(name) is not None


def number(content: bytes) -> int:
    """Return the number of a file; 0 where there is none."""
    text = content.strip()
    return int(text) if re.fullmatch(rb"[0-9]{1,18}", text) else 0


def maximum(content: bytes) -> int | None:
    """Return the limit of pids.max; None for ``max``, which is none."""
    return number(content) or None


def refused(events: bytes) -> int:
    """Return how many forks pids.events says were refused; 0 where it does not say."""
    match = _REFUSED.search(events)
    return int(match[1]) if match else 0


def group(cgroup: bytes) -> str | None:
    """Return the group of all pods, by /proc/PID/cgroup of a process of one."""
    match = _GROUP.search(cgroup)
    return match[1].decode(errors="replace") if match else None


def pods(
    answer: bytes, path: str, known: Mapping[str, Pod], before: Mapping[str, Marks], uptime: float
) -> tuple[PodPids, ...]:
    """Decode a list of [path, processes, limit, refused forks]; *before* are the marks by path.

    Raises ``UnreadableError`` for anything else.
    """
    try:
        rows = json.loads(answer)
    except (ValueError, RecursionError) as error:
        raise errors.UnreadableError(path, f"it is no JSON: {error}") from error
    if not isinstance(rows, list) or not all(_is_row(row) for row in rows):
        raise errors.UnreadableError(path, "it is no list of a path and three numbers each")
    return tuple(
        PodPids(
            path=group,
            tenant=_tenant(group, known),
            current=current,
            maximum=most,
            recent=recent_growth.growth(before.get(group), (refusals,))[0],
            marks=recent_growth.marked(before.get(group), (refusals,), uptime),
        )
        for group, current, most, refusals in rows
    )


def _tenant(path: str, known: Mapping[str, Pod]) -> Tenant | None:
    found = cgroups.pod(path.encode(errors="surrogatepass"))
    if found is None:
        return None
    return Tenant(None, known.get(found[0]) or Pod("", "", found[0], "cgroup"))


def _is_row(row: Any) -> bool:
    return (
        isinstance(row, list)
        and [type(field) for field in row] == [str, int, int, int]
        and row[2] > 0
        and all(0 <= number < 1 << 62 for number in row[1:])
    )
