"""The agent that may do everything is for virtual machines: on the machine itself none starts.

What it does there is played in the lab: test_lab.py.
"""

from __future__ import annotations

import json

from kernelhealth_e2e import installation
from kernelhealth_e2e.cluster import Cluster
from kernelhealth_e2e.observing import Object, Observer
from kernelhealth_e2e.vm.installation import applied
from kernelhealth_e2e.vm.node import LABEL, LABELLED

WHERE = f"--namespace={installation.NAMESPACE}"
OF_LAB = "app.kubernetes.io/instance=lab"


def test_the_agent_that_may_do_everything_does_not_start_on_the_machine_itself(
    installed: Cluster,
) -> None:
    machine = installed.settings.node_name
    installed.kubectl("label", "node", machine, f"{LABEL}={LABELLED}")
    try:
        with applied(installed):
            of_lab = ("pods", f"spec.nodeName={machine}", "--selector", OF_LAB)
            (pod,) = created(installed, *of_lab)
            refuses(installed, pod["metadata"]["name"])
            (refused,) = created(installed, *of_lab)
    finally:
        installed.kubectl("label", "node", machine, f"{LABEL}-")
        installation.await_ready(installed)

    assert refused["metadata"]["uid"] == pod["metadata"]["uid"]
    assert refused["status"]["phase"] == "Pending"


def refuses(cluster: Cluster, pod: str) -> None:
    """Wait until the kubelet says that a pod is for other machines, whatever else it says of it."""

    def tells(event: Object) -> bool:
        about, message = event.get("involvedObject", {}), str(event.get("message", ""))
        wanted = (about.get("name"), event.get("reason")) == (pod, "FailedMount")
        return wanted and '"only-here"' in message and "is not a file" in message

    kubectl = cluster.settings.binaries / "kubectl"
    observer = Observer(kubectl, cluster.kubeconfig, installation.NAMESPACE)
    observer.wait("events", "", f"{pod} is not started, for want of a file", tells, 80)


def created(cluster: Cluster, kind: str, fields: str, *selector: str) -> list[Object]:
    """Wait until there are such objects in our namespace, and return them."""
    which = (kind, WHERE, f"--field-selector={fields}", *selector)
    cluster.kubectl("wait", "--for=create", *which, "--timeout=80s", seconds=90)
    listed: Object = json.loads(cluster.kubectl("get", *which, "--output=json"))
    return list(listed["items"])
