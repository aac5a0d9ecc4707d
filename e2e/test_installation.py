"""What was installed says how it is, explains itself, and goes without a trace."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from pydantic.alias_generators import to_snake

from kernelhealth_e2e import installation, processes, simulated_boot
from kernelhealth_e2e.cluster import Cluster
from kernelhealth_e2e.errors import ProcessError
from kernelhealth_e2e.namespaces import Outside, Place
from kernelhealth_e2e.scene import AGENT_METRICS, Scene, is_well
from kernelhealth_e2e.scraping import scrape

WHERE = f"--namespace={installation.NAMESPACE}"
KINDS = (
    "namespaces",
    "customresourcedefinitions",
    "clusterroles",
    "clusterrolebindings",
    "validatingadmissionpolicies",
    "validatingadmissionpolicybindings",
    "flowschemas",
    "prioritylevelconfigurations",
)
DOCUMENT = installation.TREE / "docs" / "metrics.md"
# The node sees the machine's own files there.
SHARED = ("/etc", "/opt")
GONE = re.compile(r"find: '.*': No such file or directory")


def test_the_liveness_probe_of_the_agent_passes(scene: Scene) -> None:
    probe = "-o=jsonpath={.spec.template.spec.containers[0].livenessProbe.exec.command}"
    command = json.loads(scene.kubectl("get", "daemonset/kernelhealth-agent", WHERE, probe))

    scene.kubectl("exec", "daemonset/kernelhealth-agent", WHERE, "--", *command)

    with pytest.raises(ProcessError, match="ended with status 1"):
        scene.kubectl(
            "exec", "daemonset/kernelhealth-agent", WHERE, "--", *command, "--minutes=0.00001"
        )


def test_a_person_may_have_the_agent_scan_its_node(scene: Scene) -> None:
    command = ("kernelhealth-agent", "scan", "--root", "/host", "--output", "json")

    found = json.loads(scene.kubectl("exec", "daemonset/kernelhealth-agent", WHERE, "--", *command))

    conditions = {one["type"]: one["status"] for one in found["conditions"]}
    assert conditions["NetworkNamespacesHealthy"] == "True"


def test_the_agent_serves_the_documented_metrics(scene: Scene) -> None:
    samples = scrape(scene.cluster.publish(AGENT_METRICS))
    looked = {name for name, value in samples.items() if value and "detector_success" in name}
    families = {name.partition("{")[0] for name in samples}

    missing = {
        name
        for name, meaning, detector in documented()
        if f'kernelhealth_detector_success{{detector="{detector}"}}' in looked
        and "absent where" not in meaning
    } - families

    assert len(looked) >= 3
    assert missing <= {name for name in missing if may_be_empty(name)}
    assert "kernelhealth_findings" in families


def test_one_of_the_two_operators_leads_and_counts_the_node(scene: Scene) -> None:
    address = "-o=jsonpath={.items[*].status.podIP}"
    label = "--selector=app.kubernetes.io/name=kernelhealth-operator"
    addresses = scene.kubectl("get", "pods", WHERE, label, address).split()

    scraped = [scrape(scene.cluster.publish(f"{one}:8081")) for one in addresses]

    assert sorted(samples["kernelhealth_leader"] for samples in scraped) == [0, 1]
    (leader,) = (samples for samples in scraped if samples["kernelhealth_leader"])
    assert leader['kernelhealth_nodes{health="Healthy"}'] == 1
    assert leader['kernelhealth_nodes{health="Unknown"}'] == 0


@pytest.mark.parametrize("field", ["nkh.status.findings", "khp.spec.disruption", "nr.spec"])
def test_kubectl_explains_every_field(scene: Scene, field: str) -> None:
    explained = scene.kubectl("explain", field)

    assert "DESCRIPTION:" in explained
    assert "FIELDS:" in explained
    assert "<no description>" not in explained


def test_the_manifests_are_removed_as_the_readme_says(scene: Scene) -> None:
    cluster = scene.cluster
    cluster.kubectl("apply", "-f", str(installation.POLICY))
    scene.followed("workers")
    there = {*objects(cluster), *traces_on(cluster)}

    try:
        cluster.kubectl("delete", "khp", "--all")
        installation.remove(cluster)
        left = {*objects(cluster), *traces_on(cluster)}
        marks = cluster.kubectl("get", "nodes", "--output=yaml")
    finally:
        installation.apply(cluster)
    scene.health("a healthy node again", is_well)

    assert len([name for name in there if "kernelhealth" in name]) >= 15
    assert {name for name in left if "kernelhealth" in name} == {"/run/kernelhealth"}
    assert not [name for name in left if name.startswith("veth")]
    assert "kernelhealth.io" not in marks
    assert "NamespacesHealthy" not in marks


def objects(cluster: Cluster) -> set[str]:
    """Return the names of everything that an installation could leave in the API."""
    listed = cluster.kubectl("get", ",".join(KINDS), "--output=name").split()
    roles = cluster.kubectl("get", "roles,rolebindings,leases", "--namespace=default", "-o=name")
    return {*listed, *roles.split()}


def traces_on(cluster: Cluster) -> set[str]:
    """Return the files of ours on the node, and all links and running containers."""
    found = files(cluster.node.place, "/run", "/var/lib/kubelet", *SHARED)
    machine = files(Outside(), *SHARED)
    links = cluster.node.output("ip", "-oneline", "link").splitlines()
    containers = cluster.node.output("ctr", "--namespace=k8s.io", "tasks", "ls", "-q")
    return {*(found - machine), *(line.split()[1] for line in links), *containers.split()}


def files(place: Place, *directories: str) -> set[str]:
    """Return the files with our name below directories; some go while one looks."""
    harness = ("10-kernelhealth.conflist", Path(simulated_boot.SOCKET).name)
    others = [part for name in harness for part in ("!", "-name", name)]
    ours = ("-name", "*kernelhealth*", *others)
    find = ("env", "LC_ALL=C", "find", *directories, "-xdev", *ours, "-prune")
    done = processes.run(find, place=place)
    assert done.returncode in {0, 1}
    assert [line for line in done.stderr.splitlines() if not GONE.fullmatch(line)] == []
    return set(done.stdout.split())


def documented() -> list[tuple[str, str, str]]:
    """Return name, meaning and detector of each metric in the document."""
    rows = [line.split("|") for line in DOCUMENT.read_text().splitlines() if "`kernelh" in line]
    return [
        (row[1].strip(" `"), row[3].strip(), to_snake(row[4].strip()))
        for row in rows
        if len(row) == 6
    ]


def may_be_empty(name: str) -> bool:
    """Tell whether a metric has labels, so that it has no series where there is nothing."""
    line = next(one for one in DOCUMENT.read_text().splitlines() if f"| `{name}` |" in one)
    return bool(line.split("|")[2].strip())
