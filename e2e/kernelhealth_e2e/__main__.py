"""``python -m kernelhealth_e2e``: prepare a machine, keep a cluster running, take it down.

prepare   install packages, build the Kubernetes programs and fetch the kernel of virtual machines,
          so that later runs start at once
up        start a cluster that stays, and print how to use it
down      remove every cluster that stayed, and what crashed runs have left
"""

from __future__ import annotations

import os
import sys

from kernelhealth_e2e import cache, interruption, provision, runs
from kernelhealth_e2e.cache import Cache
from kernelhealth_e2e.cluster import Cluster, Settings
from kernelhealth_e2e.errors import HarnessError, UnavailableError
from kernelhealth_e2e.progress import Progress
from kernelhealth_e2e.vm import kernel


def main(arguments: list[str]) -> int:
    """Do one command; 0 when it was done, 1 when it could not be, 2 when there is no such."""
    commands = {"prepare": _prepare, "up": _up, "down": _down}
    command = commands.get(arguments[0]) if len(arguments) == 1 else None
    if not command:
        print(__doc__, file=sys.stderr)
        return 2
    progress = Progress()
    try:
        with interruption.unwinding():
            command(Cache(cache.directory(os.environ)), progress)
    except HarnessError as error:
        progress.say(str(error))
        return 1
    return 0


def _prepare(store: Cache, progress: Progress) -> None:
    progress.say(f"Kubernetes programs: {provision.for_node(os.environ, store, progress)}")
    provision.for_images(progress)
    try:
        provision.for_virtual_machines(progress)
        progress.say(f"kernel of virtual machines: {kernel.debian(store, progress).release}")
    except UnavailableError as reason:
        progress.say(str(reason))


def _up(store: Cache, progress: Progress) -> None:
    programs = provision.for_node(os.environ, store, progress)
    settings = Settings(programs, runs.base(os.environ), store, progress, keep=True)
    with Cluster(settings) as cluster:
        print(cluster.instructions())


def _down(_: Cache, progress: Progress) -> None:
    removed = runs.sweep(runs.base(os.environ), kept_too=True)
    progress.say(f"removed {', '.join(removed) or 'nothing: no cluster was left'}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
