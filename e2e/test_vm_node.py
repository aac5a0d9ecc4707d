"""The agent that may do everything is for virtual machines: on the machine itself none starts.

What it does there is played in the lab: test_lab.py.
"""

from __future__ import annotations

import json

from kernelhealth_e2e import installation
from kernelhealth_e2e.cluster import Cluster
from kernelhealth_e2e.observing import Object
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
            refusal = f"involvedObject.name={pod['metadata']['name']},reason=FailedMount"
            events = created(installed, "events", refusal)
            (refused,) = created(installed, *of_lab)
    finally:
        installed.kubectl("label", "node", machine, f"{LABEL}-")
        installation.await_ready(installed)

    assert any('"only-here"' in event["message"] for event in events)
    assert any("is not a file" in event["message"] for event in events)
    assert refused["metadata"]["uid"] == pod["metadata"]["uid"]
    assert refused["status"]["phase"] == "Pending"


def created(cluster: Cluster, kind: str, fields: str, *selector: str) -> list[Object]:
    """Wait until there are such objects in our namespace, and return them."""
    which = (kind, WHERE, f"--field-selector={fields}", *selector)
    cluster.kubectl("wait", "--for=create", *which, "--timeout=80s", seconds=90)
    listed: Object = json.loads(cluster.kubectl("get", *which, "--output=json"))
    return list(listed["items"])
