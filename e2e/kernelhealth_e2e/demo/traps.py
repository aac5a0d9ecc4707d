"""The other chapters: misconfigurations that will cost the node something, seen before they do."""

from __future__ import annotations

from pathlib import Path

from kernelhealth_e2e import pods
from kernelhealth_e2e.demo.stage import Stage, about, message
from kernelhealth_e2e.faults.gssproxy import CONFIGURATION

_LATCH = "/proc/net/rpc/use-gss-proxy"


def gssproxy(stage: Stage) -> None:
    """Show a privileged container whose gssproxy would pin its namespace."""
    stage.say("a privileged pod starts with gssproxy's kernel_nfsd = yes: legacy/nfs-gateway")
    wanted = pods.Wanted(
        "legacy",
        "nfs-gateway",
        privileged=True,
        directory="/etc/gssproxy",
        files=tuple(CONFIGURATION.items()),
    )
    pod = pods.start(stage.cluster, wanted)
    reason = "KernelNfsdEnabledInContainer"
    stage.await_(
        "KernelNfsdEnabledInContainer names pod, file and line",
        about(reason, pod.title),
        detail=message(reason),
    )
    if Path(_LATCH).exists():
        with pods.fault(stage.cluster, "use_gss_proxy", str(pod.pid)):
            reason = "UseGssProxyInContainer"
            stage.await_(
                "UseGssProxyInContainer names the pod",
                about(reason, pod.title),
                detail=message(reason),
            )
    else:
        stage.say(
            f"{_LATCH} does not exist: this kernel has no auth_rpcgss, the file is all there is"
        )
    _show_findings(stage)
    pods.delete(stage.cluster, pod)


def suppress_prefix(stage: Stage) -> None:
    """Show an IPv6 rule that suppresses routes beside a filter that asks for them."""
    stage.say(
        "a pod starts, and gets a suppress_prefixlength rule and an nft fib rule: vpn/gateway"
    )
    pod = pods.start(stage.cluster, pods.Wanted("vpn", "gateway", privileged=True))
    reason = "SuppressPrefixTrap"
    with pods.fault(stage.cluster, "suppress_prefix", "--pid", str(pod.pid)):
        stage.await_(
            "SuppressPrefixTrap names pod, rule and filter",
            about(reason, pod.title),
            detail=message(reason),
        )
        _show_findings(stage)
    pods.delete(stage.cluster, pod)


def _show_findings(stage: Stage) -> None:
    columns = '{range .status.findings[*]}{.severity}{"\\t"}{.reason}{"\\t"}{.message}{"\\n"}{end}'
    stage.show("get", "nkh", stage.node, "-o", f"jsonpath={columns}")
