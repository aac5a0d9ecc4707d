"""What the tokens of the running agent and operator can do, and what they cannot."""

from __future__ import annotations

import json
import re
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from kernelhealth_e2e import installation, processes
from kernelhealth_e2e.accounts import Account
from kernelhealth_e2e.cluster import Cluster

NAMESPACE = installation.NAMESPACE
IMAGINARY = "node-z"
REPORTS = "/apis/kernelhealth.io/v1alpha1/nodekernelhealths"
PROBLEMS = {"status": {"problems": "written by a test"}}
UNSCHEDULABLE = "--patch=" + json.dumps({"spec": {"unschedulable": True}})
READ = {"get", "list", "watch"}
OWN = {
    "nodes": READ | {"patch"},
    "nodes/status": {"patch"},
    "kernelhealthpolicies.kernelhealth.io": READ,
    "kernelhealthpolicies.kernelhealth.io/status": {"patch"},
    "nodekernelhealths.kernelhealth.io": {"list", "watch", "create", "patch"},
    "nodekernelhealths.kernelhealth.io/status": {"patch"},
    "noderemediations.kernelhealth.io": READ | {"create", "delete"},
    "noderemediations.kernelhealth.io/status": {"patch"},
}
DRAIN = {
    "pods": {"list", "delete"},
    "pods/eviction": {"create"},
    "poddisruptionbudgets.policy": {"list"},
}
REBOOT = {"daemonsets.apps": {"get"}}  # kured's, which has its lock.
MEDIK8S = {
    "fenceagentsremediation": "fence-agents-remediation",
    "machinedeletionremediation": "machine-deletion-remediation",
    "selfnoderemediation": "self-node-remediation",
}
REPLACE = {
    "machines.cluster.x-k8s.io": {"get", "patch"},
    "nodeclaims.karpenter.sh": {"get"},
    **{f"{kind}templates.{group}.medik8s.io": {"get"} for kind, group in MEDIK8S.items()},
    **{
        f"{kind}s.{group}.medik8s.io": {"get", "create", "patch", "delete"}
        for kind, group in MEDIK8S.items()
    },
}
RIGHT = re.compile(r"(?P<resource>[^\s\[]+)\s+\[.*\]\s+\[.*\]\s+\[(?P<verbs>.*)\]")
TOKEN = "/var/lib/kubelet/pods/{uid}/volumes/kubernetes.io~projected/*/token"  # noqa: S105


@dataclass(frozen=True, slots=True)
class Holder:
    """Somebody with a token."""

    cluster: Cluster
    token: str

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        plane = self.cluster.control_plane
        kubeconfig = plane.kubeconfig_for(Account("test:thief", token=self.token))
        kubectl = str(self.cluster.settings.binaries / "kubectl")
        return processes.run((kubectl, f"--kubeconfig={kubeconfig}", *arguments))

    def refusal(self, *arguments: str) -> str:
        """Return why a request was refused, empty where it was not."""
        answer = self.run(*arguments)
        return answer.stderr if answer.returncode else ""

    def rights(self, namespace: str) -> dict[str, set[str]]:
        """Return the verbs by resource, without what everybody with a token may do."""
        listed = self.run("auth", "can-i", "--list", f"--namespace={namespace}", "--no-headers")
        rows = (RIGHT.fullmatch(line.strip()) for line in listed.stdout.splitlines())
        rights = {row["resource"]: set(row["verbs"].split()) for row in rows if row}
        return {name: verbs for name, verbs in rights.items() if not name.startswith("selfsubject")}

    def report(self, node: str, status: dict[str, Any]) -> str:
        """Patch the status of a NodeKernelHealth, reading nothing; empty or why it was refused."""
        plane = self.cluster.control_plane
        request = urllib.request.Request(  # noqa: S310 - an https URL of the harness
            f"{plane.server}{REPORTS}/{node}/status",
            data=json.dumps(status).encode(),
            method="PATCH",
            headers={
                "Authorization": f"Bearer {self.token}",
                "Content-Type": "application/merge-patch+json",
            },
        )
        trusted = ssl.create_default_context(cafile=str(plane.ca))
        try:
            with urllib.request.urlopen(request, timeout=20, context=trusted):  # noqa: S310
                return ""
        except urllib.error.HTTPError as error:
            with error:
                return str(json.load(error)["message"])


@pytest.fixture(scope="module")
def agent(installed: Cluster) -> Holder:
    """Whoever has the token of the running agent."""
    return Holder(installed, token_of(installed, "kernelhealth-agent"))


@pytest.fixture(scope="module")
def operator(installed: Cluster) -> Holder:
    """Whoever has the token of a running operator."""
    return Holder(installed, token_of(installed, "kernelhealth-operator"))


@pytest.fixture(scope="module")
def nodeless(installed: Cluster) -> Holder:
    """Whoever has a token of the agent's account that was made for no pod."""
    asked = ("create", "token", "kernelhealth-agent", f"--namespace={NAMESPACE}")
    return Holder(installed, installed.kubectl(*asked).strip())


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
    refusal = agent.report(node, {"status": {"truncated": False}})

    assert read.stdout.strip() == f"nodekernelhealth.kernelhealth.io/{node}"
    assert refusal == ""


def test_the_agent_cannot_report_another_node(agent: Holder, imaginary: str) -> None:
    refusal = agent.report(imaginary, PROBLEMS)

    assert "an agent writes only the report of its own node node-a, not of node-z" in refusal


def test_a_token_that_names_no_node_reports_nothing(nodeless: Holder, imaginary: str) -> None:
    refusals = [nodeless.report(name, PROBLEMS) for name in ("node-a", imaginary)]

    assert all("the token names no node" in refusal for refusal in refusals)


@pytest.mark.parametrize(
    "request_",
    [
        ("patch", "nkh", "node-a", "--type=merge", '--patch={"spec": {"policy": "mine"}}'),
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


@pytest.mark.parametrize("namespace", [NAMESPACE, "kube-system", "default"])
def test_the_agent_may_do_nothing_but_report(agent: Holder, namespace: str) -> None:
    assert agent.rights(namespace) == {
        "nodekernelhealths.kernelhealth.io": {"get", "watch"},
        "nodekernelhealths.kernelhealth.io/status": {"patch"},
    }


@pytest.mark.parametrize(
    ("namespace", "more"),
    [
        ("kube-system", {}),
        (NAMESPACE, {"leases.coordination.k8s.io": {"create", "get", "patch"}}),
        ("default", {"events.events.k8s.io": {"create", "patch"}}),
    ],
)
def test_the_operator_may_do_nothing_but_its_work(
    operator: Holder, namespace: str, more: dict[str, set[str]]
) -> None:
    assert operator.rights(namespace) == OWN | DRAIN | REBOOT | REPLACE | more


@pytest.mark.parametrize(
    "request_",
    [
        ("get", "secrets", "--all-namespaces"),
        ("exec", f"--namespace={NAMESPACE}", "daemonset/kernelhealth-agent", "--", "id"),
        ("delete", "node", "node-a"),
        ("delete", "nkh", "node-a"),
        ("create", "token", "kernelhealth-agent", f"--namespace={NAMESPACE}"),
        ("create", "clusterrolebinding", "mine", "--clusterrole=cluster-admin", "--user=me"),
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


def token_of(cluster: Cluster, name: str) -> str:
    """Read the token of a running pod where the kubelet keeps it, as a thief on the node would."""
    label = f"--selector=app.kubernetes.io/name={name}"
    path = "-o=jsonpath={.items[0].metadata.uid}"
    uid = cluster.kubectl("get", "pods", f"--namespace={NAMESPACE}", label, path)
    return cluster.node.output("sh", "-c", f"cat {TOKEN.format(uid=uid)}").strip()
