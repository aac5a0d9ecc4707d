"""``make demo``: set up, play, sum up, tear down.

Exit status: 0 when every step was really seen, 1 when one was not, 2 when it could not be played.
"""

from __future__ import annotations

import argparse
import os
import sys
import time

from rich.console import Console
from rich.table import Table

from kernelhealth_e2e import cache, installation, interruption, provision, runs
from kernelhealth_e2e.cache import Cache
from kernelhealth_e2e.cluster import Cluster, Settings
from kernelhealth_e2e.demo import cure, leak, traps
from kernelhealth_e2e.demo.stage import Of, Stage
from kernelhealth_e2e.errors import HarnessError, UnavailableError
from kernelhealth_e2e.observing import NotSeenError, Observer
from kernelhealth_e2e.progress import Progress


def main() -> int:
    """Play the demo."""
    parser = argparse.ArgumentParser(
        prog="make demo",
        description="Pods leak their network namespaces on a real cluster: seen, cordoned, cured.",
        epilog="example: make demo KEEP=1",
    )
    parser.add_argument("--keep", action="store_true", help="leave the cluster running")
    parser.add_argument("--clean", action="store_true", help="only remove a cluster that was kept")
    arguments = parser.parse_args()
    progress = Progress(stream=sys.stdout)
    removed = runs.sweep(runs.base(os.environ), kept_too=True)
    if removed:
        progress.say(f"removed {', '.join(removed)}")
    if arguments.clean:
        return 0
    try:
        with interruption.unwinding():
            return _play(progress, keep=arguments.keep)
    except KeyboardInterrupt:
        progress.say("interrupted; everything was torn down")
        return 130
    except UnavailableError as error:
        progress.say(f"the demo cannot be played here: {error}")
        return 2


def _play(progress: Progress, *, keep: bool) -> int:
    kept = Cache(cache.directory(os.environ))
    binaries = provision.for_node(os.environ, kept, progress)
    settings = Settings(binaries, runs.base(os.environ), kept, progress, keep=keep)
    with Cluster(settings) as cluster:
        stage = Stage(cluster, Observer(binaries / "kubectl", cluster.kubeconfig))
        try:
            _story(stage)
        except HarnessError as error:
            progress.say(f"NOT SEEN: {error}" if isinstance(error, NotSeenError) else str(error))
            _sum_up(stage, failed=str(error).partition("; it is")[0])
            return 1
        _sum_up(stage)
        if keep:
            _say_how_to_use(stage)
    return 0


def _story(stage: Stage) -> None:
    with stage.cluster.settings.progress.step("loading the images of agent and operator"):
        installation.load_images(stage.cluster)
    with stage.cluster.settings.progress.step("kubectl apply -k manifests/overlays/demo"):
        installation.apply(stage.cluster)
    stage.await_(
        "a healthy node", lambda health: health.get("status", {}).get("health") == "Healthy"
    )
    stage.show("get", "nodekernelhealth")
    stage.show("apply", "-f", str(installation.POLICY.relative_to(installation.TREE)))
    stage.await_(
        "the policy is in force and governs the node",
        lambda policy: policy.get("status", {}).get("nodes") == 1,
        of=Of("kernelhealthpolicy", "workers"),
    )
    stage.await_(
        "the agent has the policy's thresholds",
        lambda health: health["status"].get("policy") == "workers",
    )
    leak.play(stage)
    cure.play(stage)
    traps.gssproxy(stage)
    traps.suppress_prefix(stage)


def _sum_up(stage: Stage, failed: str = "") -> None:
    table = Table("", "what was seen", "after", "as it was said", title="NodeKernelHealth demo")
    for seen in stage.seen:
        table.add_row("ok", seen.what, f"{seen.seconds:.1f} s", seen.detail)
    if failed:
        table.add_row("FAILED", failed, "", "")
    console = Console() if sys.stdout.isatty() else Console(width=140)
    console.print(table)
    total = time.monotonic() - stage.cluster.settings.progress.started
    outcome = "one was not" if failed else "all seen"
    console.print(f"{len(stage.seen)} steps seen, {outcome}; {total:.0f} s in all")


def _say_how_to_use(stage: Stage) -> None:
    print(
        f"""
The cluster is left running:
  export KUBECONFIG={stage.cluster.kubeconfig}
  {stage.cluster.settings.binaries}/kubectl get nkh -o wide
  {stage.cluster.settings.binaries}/kubectl explain nkh.status.findings
Remove it with: make demo-clean"""
    )


if __name__ == "__main__":
    sys.exit(main())
