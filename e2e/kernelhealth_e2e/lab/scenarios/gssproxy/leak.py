"""How a pod with gssproxy loses its network namespace to the kernel, and what is found of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kernelhealth_e2e.errors import HarnessError
from kernelhealth_e2e.lab.outcome import Stage
from kernelhealth_e2e.lab.scenarios.gssproxy import network_state, pods
from kernelhealth_e2e.scene import LEAK

if TYPE_CHECKING:
    from collections.abc import Callable

    from kernelhealth_e2e.lab.bench import Bench
    from kernelhealth_e2e.lab.scenarios.gssproxy.network_state import NetworkState
    from kernelhealth_e2e.lab.trial import Trial
    from kernelhealth_e2e.observing import Object

MODULE, CAUSE = "auth_rpcgss", "GssProxyPin"
USED, CONFIGURED = "UseGssProxyInContainer", "KernelNfsdEnabledInContainer"
_SOCKET = "/var/run/gssproxy.sock"


@dataclass(frozen=True, slots=True)
class Leak:
    """A namespace that outlived its pod; *before* is what the node was like without either."""

    pod: str
    before: NetworkState
    after: NetworkState


def made(
    bench: Bench, trial: Trial, name: str, meanwhile: Callable[[], object] = lambda: None
) -> Leak:
    """Let a pod live, be warned of and be deleted; what is left of it is found and named.

    *meanwhile* is done while the pod lives.
    """
    before = network_state.of(bench)
    with pods.gssproxy(bench, name) as pod:
        meanwhile()
        with trial.stage(Stage.DETECTED, "the living pod is warned of") as saying:
            saying.words = _warned(bench, pod)
    with trial.stage(Stage.REPRODUCED, "its namespace outlives the deleted pod") as saying:
        after = network_state.of(bench)
        saying.words = _outlived(pod, after)
    with trial.stage(Stage.DETECTED, f"{LEAK} of {pod}") as saying:
        found = bench.found(LEAK, pod)
        saying.words = str(found["message"])
    with trial.stage(Stage.NAMED, "the finding names cause, pod and link") as saying:
        saying.words = _named(found, after.lost_links)
    return Leak(pod, before, after)


def require_healed(before: NetworkState, now: NetworkState) -> None:
    """Raise where the links of the machine are others, or a namespace is still kept."""
    clients = now.transports.count(_SOCKET)
    if now.links.keys() != before.links.keys() or now.lost or now.away or clients:
        raise HarnessError(
            f"the links are {', '.join(sorted(now.links))}, before they were "
            f"{', '.join(sorted(before.links))}; the namespaces {sorted(now.lost)} and the devices "
            f"{', '.join(now.away) or '(none)'} are out of reach, and {clients} clients of "
            "gssproxy are left"
        )


def _warned(bench: Bench, pod: str) -> str:
    used = bench.found(USED, pod)
    configured = bench.found(CONFIGURED, pod)
    state, file = pods.client_state(bench, pod), configured["subject"].get("file")
    if state != "1" or file != pods.LINE or used["cause"] != CAUSE:
        raise HarnessError(
            f"the kernel has {state} for {pod}, the findings are about {file} and have the cause "
            f"{used['cause']}: wanted 1, {pods.LINE} and {CAUSE}"
        )
    return f"use-gss-proxy is {state} there, by {file}: {used['message']}"


def _outlived(pod: str, state: NetworkState) -> str:
    clients = state.transports.count(_SOCKET)
    counts = (len(state.lost), len(state.lost_links), len(state.away), clients)
    if counts != (1, 1, 1, 1):
        raise HarnessError(
            f"of {pod}, which is gone, were left: namespaces {sorted(state.lost)}, links "
            f"{', '.join(state.lost_links) or '(none)'}, functions that are away "
            f"{', '.join(state.away) or '(none)'}, clients of gssproxy {clients}; wanted one each"
        )
    return (
        f"the pod is gone; {state.lost_links[0]} leads to namespace id {min(state.lost)}, which no "
        f"process has; {state.away[0]} is driven and has no interface; SUNRPC still has a "
        f"transport to {_SOCKET}"
    )


def _named(found: Object, links: tuple[str, ...]) -> str:
    subject = found["subject"]
    if found["cause"] != CAUSE or not {*links} <= {*subject.get("interfaces", ())}:
        raise HarnessError(f"the finding names neither {CAUSE} nor {', '.join(links)}: {found}")
    return f"{found['cause']}: {subject['pod']}, {', '.join(links)}, held by {subject['holder']}"
