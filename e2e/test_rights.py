"""What the tokens of the running agent and operator can do, and what they cannot."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from kernelhealth_e2e import installation, processes
from kernelhealth_e2e.accounts import Account
from kernelhealth_e2e.cluster import Cluster

NAMESPACE = installation.NAMESPACE
IMAGINARY = "node-z"
APPLY = ("patch", "nkh", "--type=merge")
STATUS = (*APPLY, "--subresource=status")
PROBLEMS = "--patch=" + json.dumps({"status": {"problems": "written by a test"}})
UNSCHEDULABLE = "--patch=" + json.dumps({"spec": {"unschedulable": True}})
TOKEN = "/var/lib/kubelet/pods/{uid}/volumes/kubernetes.io~projected/*/token"  # noqa: S105


@dataclass(frozen=True, slots=True)
class Holder:
    """Somebody with a token."""

    kubectl: Path
    kubeconfig: Path

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return processes.run((str(self.kubectl), f"--kubeconfig={self.kubeconfig}", *arguments))

    def refusal(self, *arguments: str) -> str:
        """Return why a request was refused, empty where it was not."""
        answer = self.run(*arguments)
        return answer.stderr if answer.returncode else ""


@pytest.fixture(scope="module")
def agent(installed: Cluster) -> Holder:
    """Whoever has the token of the running agent."""
    return holder(installed, "agent", token_of(installed, "kernelhealth-agent"))


@pytest.fixture(scope="module")
def operator(installed: Cluster) -> Holder:
    """Whoever has the token of a running operator."""
    return holder(installed, "operator", token_of(installed, "kernelhealth-operator"))


@pytest.fixture(scope="module")
def nodeless(installed: Cluster) -> Holder:
    """Whoever has a token of the agent's account that was made for no pod."""
    asked = ("create", "token", "kernelhealth-agent", f"--namespace={NAMESPACE}")
    return holder(installed, "nodeless", installed.kubectl(*asked).strip())


@pytest.fixture
def imaginary(installed: Cluster) -> Iterator[str]:
    """A NodeKernelHealth of a node that there is not."""
    report = {
        "apiVersion": "kernelhealth.io/v1alpha1",
        "kind": "NodeKernelHealth",
        "metadata": {"name": IMAGINARY},
    }
    installed.kubectl("create", "-f", "-", stdin=json.dumps(report))
    yield IMAGINARY
    installed.kubectl("delete", "nkh", IMAGINARY)


def test_the_agent_reads_and_reports_its_own_node(agent: Holder, installed: Cluster) -> None:
    node = installed.settings.node_name

    read = agent.run("get", "nkh", node, "--output=name")
    written = agent.run(*STATUS, node, '--patch={"status": {"truncated": false}}')

    assert read.stdout.strip() == f"nodekernelhealth.kernelhealth.io/{node}"
    assert written.returncode == 0, written.stderr


def test_the_agent_cannot_report_another_node(agent: Holder, imaginary: str) -> None:
    refusal = agent.refusal(*STATUS, imaginary, PROBLEMS)

    assert "an agent writes only the report of its own node node-a, not of node-z" in refusal


def test_a_token_that_names_no_node_reports_nothing(nodeless: Holder, imaginary: str) -> None:
    refusals = [nodeless.refusal(*STATUS, name, PROBLEMS) for name in ("node-a", imaginary)]

    assert all("the token names no node" in refusal for refusal in refusals)


@pytest.mark.parametrize(
    "request_",
    [
        (*APPLY, "node-a", '--patch={"spec": {"policy": "mine"}}'),
        ("delete", "nkh", "node-a"),
        ("get", "nkh"),
        ("get", "nodes"),
        ("get", "node", "node-a"),
        ("patch", "node", "node-a", UNSCHEDULABLE),
        ("patch", "node", "node-a", "--subresource=status", '--patch={"status": {}}'),
        ("get", "pods", f"--namespace={NAMESPACE}"),
        ("get", "secrets", f"--namespace={NAMESPACE}"),
        ("get", "configmaps", f"--namespace={NAMESPACE}"),
        ("get", "events", "--namespace=default"),
        ("get", "khp"),
        ("get", "nr"),
        ("create", "token", "kernelhealth-operator", f"--namespace={NAMESPACE}"),
    ],
    ids=" ".join,
)
def test_the_agent_is_refused(agent: Holder, request_: tuple[str, ...]) -> None:
    refusal = agent.refusal(*request_)

    assert "Forbidden" in refusal or "forbidden" in refusal


@pytest.mark.parametrize(
    ("verb", "resource", "namespace"),
    [
        (verb, resource, namespace)
        for verb in ("get", "list", "watch", "create", "update", "patch", "delete")
        for resource in ("secrets", "pods", "configmaps", "serviceaccounts", "pods/exec")
        for namespace in (NAMESPACE, "kube-system")
    ],
)
def test_the_operator_may_not(operator: Holder, verb: str, resource: str, namespace: str) -> None:
    answer = operator.run("auth", "can-i", verb, resource, f"--namespace={namespace}")

    assert answer.stdout.strip() == "no"


@pytest.mark.parametrize(
    "request_",
    [
        ("get", "secrets", "--all-namespaces"),
        ("exec", f"--namespace={NAMESPACE}", "daemonset/kernelhealth-agent", "--", "id"),
        ("delete", "node", "node-a"),
        ("delete", "nkh", "node-a"),
        ("create", "token", "kernelhealth-agent", f"--namespace={NAMESPACE}"),
        ("create", "clusterrolebinding", "mine", "--clusterrole=cluster-admin", "--user=me"),
        ("patch", "khp", "any", "--type=merge", '--patch={"spec": {"mode": "Auto"}}'),
        ("get", "leases", "--namespace=kube-system"),
    ],
    ids=" ".join,
)
def test_the_operator_is_refused(operator: Holder, request_: tuple[str, ...]) -> None:
    refusal = operator.refusal(*request_)

    assert "Forbidden" in refusal or "forbidden" in refusal


def test_the_operator_reads_nodes_and_reports(operator: Holder) -> None:
    answer = operator.run("get", "nodes,nkh,khp,nr", "--output=name")

    assert answer.returncode == 0, answer.stderr
    assert "node/node-a" in answer.stdout


def holder(cluster: Cluster, name: str, token: str) -> Holder:
    kubeconfig = cluster.control_plane.kubeconfig_for(Account(f"test:{name}", token=token))
    return Holder(cluster.settings.binaries / "kubectl", kubeconfig)


def token_of(cluster: Cluster, name: str) -> str:
    """Read the token of a running pod where the kubelet keeps it, as a thief on the node would."""
    label = f"--selector=app.kubernetes.io/name={name}"
    path = "-o=jsonpath={.items[0].metadata.uid}"
    uid = cluster.kubectl("get", "pods", f"--namespace={NAMESPACE}", label, path)
    return cluster.node.output("sh", "-c", f"cat {TOKEN.format(uid=uid)}").strip()
