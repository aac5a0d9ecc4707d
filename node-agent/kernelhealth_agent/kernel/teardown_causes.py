"""What keeps network namespaces from being destroyed, by the functions that the kernel is in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

_GENERIC = frozenset(
    {
        "msleep",
        "__mutex_lock",
        "mutex_lock",
        "down_read",
        "down_read_killable",
        "down_write",
        "down_write_killable",
        "rwsem_down_read_failed_killable",
        "rwsem_down_read_slowpath",
        "rwsem_down_write_failed",
        "rwsem_down_write_slowpath",
        "schedule",
        "__schedule",
        "schedule_timeout",
        "schedule_timeout_uninterruptible",
        "wait_for_completion",
        "synchronize_rcu",
        "__wait_rcu_gp",
        "ops_exit_list",
        "ops_undo_list",
        "cleanup_net",
        "process_one_work",
        "process_scheduled_works",
        "worker_thread",
        "kthread",
        "ret_from_fork",
        "ret_from_fork_asm",
        "ret_from_kernel_thread",
        "kernel_thread_starter",
    }
)


@dataclass(frozen=True, slots=True)
class Cause:
    """An id of the catalogue, the functions that tell it, and what cures it, mildest first."""

    name: str
    functions: frozenset[str]
    cures: tuple[str, ...] = ("Reboot",)


CONNTRACK = Cause(
    "ConntrackCleanupLoop",
    frozenset(
        {
            "nf_conntrack_cleanup_net_list",
            "nf_conntrack_pernet_exit",
            "nf_ct_iterate_cleanup_net",
            "nf_ct_iterate_cleanup",
            "get_next_corpse",
        }
    ),
    ("SetSkbDeferMax", "Reboot"),
)
FRAGMENTS = Cause(
    "FragmentAccounting",
    frozenset({"inet_frags_exit_net", "inet_evict_bucket", "ipv4_frags_exit_net"}),
)
REFERENCE = Cause(
    "NetdevReferenceLeak",
    frozenset({"netdev_run_todo", "netdev_wait_allrefs", "netdev_wait_allrefs_any"}),
)
REGISTRATION = Cause("ModuleRegistrationBlocked", frozenset())
_KNOWN = (CONNTRACK, FRAGMENTS, REFERENCE)


def of(functions: Iterable[str]) -> Cause | None:
    """Return the cause that functions tell; None for none of those that are known."""
    seen = frozenset(functions)
    return next((cause for cause in _KNOWN if cause.functions & seen), None)


def telling(stack: Iterable[str]) -> str:
    """Return the innermost function that is not one of those every wait has; empty for none."""
    # What a compiler splits off keeps the name of the function before a dot.
    return next(
        (frame for frame in stack if frame.split()[0].partition(".")[0] not in _GENERIC), ""
    )


def module(stack: Iterable[str]) -> str:
    """Return the module that the innermost function of any module is of; empty for none."""
    return next((frame.split()[1].strip("[]") for frame in stack if " [" in frame), "")
