"""Every cure that a finding may name: what it does, at which stage, and what it risks.

Findings name cures by these names, mildest first, and nothing else: it is a closed list.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final


class Stage(enum.StrEnum):
    """What a cure achieves."""

    FIX_CONFIG = "fixConfig"
    """It stops the cause; what leaked stays."""
    RECLAIM = "reclaim"
    """It frees what leaked, without a reboot."""
    REBOOT = "reboot"
    """It begins anew."""
    BY_HAND = "byHand"
    """A person has to decide, since it ends something that may be wanted."""


@dataclass(frozen=True, slots=True)
class Cure:
    """One cure; a *risky* one is only ever done where a policy names it."""

    name: str
    stage: Stage
    summary: str
    risky: bool = False


CURES: Final = (
    Cure(
        "DisableKernelNfsd",
        Stage.FIX_CONFIG,
        "Switches kernel_nfsd off in the configuration of the host's own gssproxy, by a drop-in"
        " that can be taken away again.",
    ),
    Cure(
        "BlockRpcGssModule",
        Stage.FIX_CONFIG,
        "Keeps the module auth_rpcgss from being loaded: without it no container can make the"
        " kernel a client of gssproxy. Only where the node mounts nothing with sec=krb5.",
    ),
    Cure(
        "RemoveSuppressPrefixRule",
        Stage.FIX_CONFIG,
        "Deletes the IPv6 policy rule with suppress_prefixlength. Traffic that relied on it,"
        " a full-tunnel VPN say, is routed differently from then on.",
        risky=True,
    ),
    Cure(
        "DisableIPv6RPFilter",
        Stage.FIX_CONFIG,
        "Takes the reverse path filter of IPv6 out of the packet filter, so that packets with"
        " forged senders are no longer dropped by it.",
        risky=True,
    ),
    Cure(
        "SetSysctl",
        Stage.FIX_CONFIG,
        "Raises one kernel limit to a catalogued value; it uses more memory when it is used.",
    ),
    Cure(
        "SetSkbDeferMax",
        Stage.FIX_CONFIG,
        "Sets net.core.skb_defer_max to 0, so that no packet waits on another processor's list"
        " and keeps a connection tracking entry.",
    ),
    Cure(
        "UnloadRpcGssModule",
        Stage.RECLAIM,
        "Unloads auth_rpcgss, which frees every namespace that its client of gssproxy holds."
        " Refused by the kernel while nfsd, rpcsec_gss_krb5 or a mount uses the module.",
    ),
    Cure(
        "UnmountNamespace",
        Stage.RECLAIM,
        "Unmounts the file that keeps a namespace of a pod that is gone.",
    ),
    Cure(
        "DeleteResidualLink",
        Stage.RECLAIM,
        "Deletes a network link of the host that was made for a pod that is gone, once it is"
        " proven that neither a pod nor a namespace in use is at its other end.",
        risky=True,
    ),
    Cure(
        "RebindDevice",
        Stage.RECLAIM,
        "Unbinds a network function from its driver and binds it again: its interface comes back"
        " in the host's namespace, down and perhaps under another name.",
    ),
    Cure(
        "ReleaseAddress",
        Stage.RECLAIM,
        "Removes the lease, cached result or rule that keeps the address of a pod that is gone.",
        risky=True,
    ),
    Cure(
        "RepairSocket",
        Stage.RECLAIM,
        "Puts one socket into repair mode and out of it again: leaving it sends a window probe and"
        " sets the window's bookkeeping right. Nobody is disconnected.",
    ),
    Cure(
        "DestroySocket",
        Stage.RECLAIM,
        "Ends one connection at both ends; the programs see an error and connect anew.",
    ),
    Cure(
        "DropCaches",
        Stage.RECLAIM,
        "Writes to vm.drop_caches, so that page cache and inodes let go of what they hold. Reads"
        " come from disks for a while.",
        risky=True,
    ),
    Cure(
        "StopHolder",
        Stage.BY_HAND,
        "Somebody ends the process or pod that holds on to what is left, when it can be spared.",
    ),
    Cure(
        "Reboot",
        Stage.REBOOT,
        "Boots the node anew, after its pods were drained: it frees whatever the kernel lost.",
    ),
)
"""All cures, those that stop a cause first."""


def named(name: str) -> Cure | None:
    """Return the cure of that name, or None."""
    return next((cure for cure in CURES if cure.name == name), None)
