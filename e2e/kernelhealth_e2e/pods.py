"""Pods of a test or a demo on the harness's node, and faults that are made from inside the node."""

from __future__ import annotations

import contextlib
import json
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kernelhealth_e2e import pauseimage
from kernelhealth_e2e.cluster import Cluster
from kernelhealth_e2e.errors import HarnessError

_FAULTS = "kernelhealth_e2e.faults"
_BEGINNING_SECONDS = 120
_TIDYING_SECONDS = 60
_NOTICED_SECONDS, _PAUSE_SECONDS = 90, 0.25
_KNOWN_TO_THE_AGENT = "/run/kernelhealth/state.json"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A pod: *files* are put into *directory*, by name, through a ConfigMap.

    It waits until it is deleted, unless another *image* does something else with *arguments*, or
    runs another *command*. The scheduler finds it a node, unless it is given one. It sees
    directories of that node at the same paths (*directories*) and, if asked, its processes.
    """

    namespace: str
    name: str
    privileged: bool = False
    directory: str = ""
    files: tuple[tuple[str, str], ...] = ()
    host_network: bool = False
    image: str = pauseimage.NAME
    arguments: tuple[str, ...] = ()
    restart: str = "Always"
    command: tuple[str, ...] = ()
    node: str | None = None
    directories: tuple[str, ...] = ()
    host_processes: bool = False


@dataclass(frozen=True, slots=True)
class Started:
    """A pod that runs; *pid* is its sandbox's process as the node sees it."""

    namespace: str
    name: str
    uid: str
    pid: int

    @property
    def title(self) -> str:
        """The pod as namespace/name."""
        return f"{self.namespace}/{self.name}"


def start(cluster: Cluster, wanted: Wanted) -> Started:
    """Create a pod, with its namespace if that is missing, and wait until it is Ready."""
    create(cluster, wanted)
    where = f"--namespace={wanted.namespace}"
    ready = ("wait", "--for=condition=Ready", f"pod/{wanted.name}", where, "--timeout=90s")
    cluster.kubectl(*ready, seconds=100)
    uid = cluster.kubectl("get", "pod", wanted.name, where, "-o", "jsonpath={.metadata.uid}")
    return Started(wanted.namespace, wanted.name, uid, inner_pid(cluster.node.pod_pids(uid)[0]))


def create(cluster: Cluster, *wanted: Wanted) -> None:
    """Create pods, with their namespaces where those are missing, and wait for nothing."""
    parts = {json.dumps(part): None for one in wanted for part in _objects(one)}
    cluster.kubectl("apply", "-f", "-", stdin="\n---\n".join(parts), seconds=120)


def delete(cluster: Cluster, pod: Started) -> None:
    """Delete a pod and wait until the kubelet is done with it."""
    where = f"--namespace={pod.namespace}"
    cluster.kubectl("delete", "pod", pod.name, where, "--wait", "--timeout=90s", seconds=100)


def noticed(cluster: Cluster, pod: Started) -> None:
    """Wait until the node's agent has seen a running pod: only those it can name afterwards.

    It looks once things have calmed down, 2 s later at most, and seldom when it has used up its
    share of a processor: a pod that is gone sooner leaves a namespace that is nobody's.
    """
    deadline = time.monotonic() + _NOTICED_SECONDS
    while pod.uid not in cluster.node.output("cat", _KNOWN_TO_THE_AGENT):
        if time.monotonic() > deadline:
            raise HarnessError(f"the agent has not seen pod {pod.title} in {_NOTICED_SECONDS} s")
        time.sleep(_PAUSE_SECONDS)  # Of a file that is replaced nothing tells across a mount.


@contextlib.contextmanager
def fault(cluster: Cluster, module: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run a fault maker on the node, until the context is left; it has said that it is at work."""
    command = [sys.executable, "-m", f"{_FAULTS}.{module}", *arguments]
    pipe = subprocess.PIPE
    with cluster.node.place.entrance(bound=True) as before_exec:
        maker = subprocess.Popen(
            command,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            text=True,
            preexec_fn=before_exec,  # noqa: PLW1509 - only system calls, prepared beforehand
        )
    with maker:
        try:
            if not _has_begun(maker):
                maker.kill()
                said = maker.stderr.read().strip() if maker.stderr else ""
                raise HarnessError(
                    f"`{' '.join(command)}` made no fault within {_BEGINNING_SECONDS} s: {said}"
                )
            yield maker
        finally:
            # The end of its input lets it tidy up, also when the test has failed.
            with contextlib.suppress(subprocess.TimeoutExpired):
                maker.communicate(timeout=_TIDYING_SECONDS)
            if maker.poll() is None:
                maker.kill()


def _has_begun(maker: subprocess.Popen[str]) -> bool:
    """Wait until a fault maker says that it is at work; one that has ended is not."""
    if maker.stdout is None:
        return False
    speaks, _, _ = select.select([maker.stdout], [], [], _BEGINNING_SECONDS)
    return bool(speaks and maker.stdout.readline())


def inner_pid(pid: int) -> int:
    """Return a process's pid in the innermost pid namespace but its own: as the node sees it."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("NSpid:"):
            return int(line.split()[2])
    raise HarnessError(f"/proc/{pid}/status has no line NSpid: the kernel is older than 4.1")


def _objects(wanted: Wanted) -> Iterator[dict[str, Any]]:
    metadata = {"name": wanted.name, "namespace": wanted.namespace}
    yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": wanted.namespace}}
    spec = _spec(wanted)
    if wanted.files:
        data = dict(wanted.files)
        yield {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
    yield {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _spec(wanted: Wanted) -> dict[str, Any]:
    container = {
        "name": "main",
        "image": wanted.image,
        "command": list(wanted.command),
        "args": list(wanted.arguments),
        "imagePullPolicy": "Never",
        "securityContext": {"privileged": wanted.privileged},
        "volumeMounts": [{"name": name, "mountPath": path} for name, path, _ in _volumes(wanted)],
    }
    return {
        "nodeName": wanted.node,
        "hostNetwork": wanted.host_network,
        "hostPID": wanted.host_processes,
        "volumes": [{"name": name, **source} for name, _, source in _volumes(wanted)],
        "restartPolicy": wanted.restart,
        "terminationGracePeriodSeconds": 1,
        "automountServiceAccountToken": False,
        "containers": [container],
    }


def _volumes(wanted: Wanted) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield the name, the path in the container and the source of each volume."""
    if wanted.files:
        yield "files", wanted.directory, {"configMap": {"name": wanted.name}}
    for number, directory in enumerate(wanted.directories):
        source = {"path": directory, "type": "Directory"}
        yield f"directory-{number}", directory, {"hostPath": source}
