"""The other chapters: misconfigurations that will cost the node something, seen before they do."""

from __future__ import annotations

from pathlib import Path

from kernelhealth_e2e import pods
from kernelhealth_e2e.demo.stage import Stage, about, message
from kernelhealth_e2e.faults.gssproxy import CONFIGURATION

_LATCH = "rpc/use-gss-proxy"


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
    _show_latch(stage, pod)
    _show_findings(stage)
    pods.delete(stage.cluster, pod)


def _show_latch(stage: Stage, pod: pods.Started) -> None:
    """Show the value in the pod's namespace; nobody writes the 1, which would leak it for good."""
    if not Path(f"/proc/net/{_LATCH}").exists():
        stage.say(f"no {_LATCH} here: this kernel has no auth_rpcgss, the file is all there is")
        return
    value = stage.cluster.node.output("cat", f"/proc/{pod.pid}/net/{_LATCH}").strip()
    meaning = {"1": "it will leak", "0": "decided against gssproxy"}.get(value, "still undecided")
    stage.say(f"{_LATCH} of the pod is {value}: {meaning}")


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
