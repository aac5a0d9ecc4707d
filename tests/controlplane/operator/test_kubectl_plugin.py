"""The kubectl plugin against the real API server, beside the operator that it explains."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import shlex
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from kernelhealth_e2e import kubeconfig, ports, rights, tenants
from kernelhealth_e2e.controlplane import ControlPlane, Settings
from kernelhealth_e2e.props import (
    EVENTS,
    HEALTHS,
    LEAK,
    NODES,
    POLICIES,
    REMEDIATIONS,
    Object,
    auto,
    is_event,
)
from kernelhealth_e2e.stage import Stage
from kernelhealth_e2e.tenants import Tenant
from kernelhealth_kubectl import complaints
from kernelhealth_kubectl.main import main
from kernelhealth_kubectl.patches import Patch
from kernelhealth_kubectl.verbs import pauses
from kernelhealth_operator.cluster.errors import Rejected

BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
"""What reports on the stage are dated from."""
ANN = "system:serviceaccount:default:ann"
TREE = Path(__file__).parents[3]
PEOPLE = TREE / "manifests" / "base" / "people-roles.yaml"
PATHS = os.pathsep.join(str(TREE / folder) for folder in ("crds", "node-agent", "operator"))


class Person:
    """Somebody at a terminal, with a kubeconfig."""

    def __init__(self, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.path, self._capsys = path, capsys

    async def says(self, *words: str, code: int = 0) -> str:
        """What is printed; *code* is how it is expected to end."""
        ended = await asyncio.to_thread(main, [*words, f"--kubeconfig={self.path}"])
        out, err = self._capsys.readouterr()
        assert ended == code, err
        return str(err if code else out)

    async def asks(self, *words: str) -> Any:
        """What is printed as JSON."""
        return json.loads(await self.says(*words, "--output", "json"))


@pytest.fixture
def admin(plane: ControlPlane, capsys: pytest.CaptureFixture[str]) -> Person:
    return Person(plane.kubeconfig, capsys)


@pytest.fixture
def account_of_ann(plane: ControlPlane, tmp_path: Path) -> Path:
    """The kubeconfig of a service account, ``ann``, that has no right at all."""
    _make(plane, "serviceaccount", "ann", "-n", "default")
    plane.kubectl("delete", "clusterrolebinding", "-l", "for=ann")
    token = plane.kubectl("create", "token", "ann", "-n", "default").strip()
    path = tmp_path / "ann.kubeconfig"
    return kubeconfig.write(path, server=plane.server, ca=plane.ca, token=token)


@pytest.fixture
def ann(account_of_ann: Path, capsys: pytest.CaptureFixture[str]) -> Person:
    return Person(account_of_ann, capsys)


@pytest_asyncio.fixture
async def shop(stage: Stage) -> AsyncIterator[None]:
    await tenants.open_shop(stage)
    yield
    await tenants.close_shop(stage)


def _make(plane: ControlPlane, *words: str) -> None:
    manifest = plane.kubectl("create", *words, "--dry-run=client", "-o", "yaml")
    plane.kubectl("apply", "-f", "-", stdin=manifest)


def _bind(plane: ControlPlane, role: str, right: str) -> None:
    """Give ann a role; *right* is a verb and a kind of objects that none but the role allows."""
    plane.kubectl("apply", "-f", str(PEOPLE))
    who = "--serviceaccount=default:ann"
    _make(plane, "clusterrolebinding", f"ann-{role}", f"--clusterrole={role}", who)
    plane.kubectl("label", "clusterrolebinding", f"ann-{role}", "for=ann")
    rights.known(plane, ANN, *right.split())


def _output(command: list[str], environ: dict[str, str]) -> str:
    return subprocess.check_output(command, env=environ, text=True)


async def _waiting(stage: Stage, reason: str) -> Object:
    def true(one: Object) -> bool:
        return bool(one) and one.get("status", {}).get("waitingFor", "").startswith(f"{reason}:")

    return await stage.until(REMEDIATIONS, None, true)


@pytest.mark.usefixtures("running")
async def test_a_proposal_is_explained_approved_and_done(stage: Stage, admin: Person) -> None:
    await stage.policy("workers", **auto(mode="Propose"))
    await stage.healthy_nodes("alpha", "beta")
    await stage.report("alpha", LEAK)
    proposed = await _waiting(stage, "Approval")
    event = await stage.until(EVENTS, None, is_event("alpha", "RemediationProposed"))
    name = proposed["metadata"]["name"]

    pages = [await admin.says(*words) for words in (("list",), ("show", "alpha"), ("show", name))]
    approved = await admin.says("approve", "alpha", "--because", "seen to it")
    await stage.cordoned("alpha")
    await stage.report("alpha")
    done = await stage.phase("alpha", "Succeeded")
    again = await admin.says("approve", "alpha", code=1)

    assert all(proposed["status"]["waitingFor"] in page for page in pages)
    assert proposed["status"]["waitingFor"] in event["note"]
    assert approved == f"noderemediation/{name} approved\n"
    because = done["metadata"]["annotations"]["kernelhealth.io/because"]
    assert because.endswith(": seen to it")
    assert "nothing is left to decide" in again


DRAINS = {
    "rules": [
        {
            "name": "leaking",
            "match": {"reasons": [LEAK]},
            "actions": [{"cordon": {}}, {"drain": {}}, {"reboot": {"when": "MaintenanceWindow"}}],
        }
    ]
}
ROOM = {"disruption": {"maxUnavailable": "100%", "minHealthy": 0}}
CLOSED = {"maintenanceWindows": [{"schedule": "0 2 29 2 *", "duration": "1h"}]}


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        pytest.param(auto(mode="Propose"), "Approval", id="a person"),
        pytest.param(
            auto(disruption={"maxUnavailable": 1, "minHealthy": 0}), "MaxUnavailable", id="room"
        ),
        pytest.param(
            auto(disruption={"maxUnavailable": 3, "minHealthy": 3}), "MinHealthy", id="others"
        ),
        pytest.param(auto(**DRAINS, **CLOSED, **ROOM), "MaintenanceWindow", id="a window"),
    ],
)
@pytest.mark.usefixtures("running", "shop")
async def test_what_is_explained_is_word_for_word_what_the_operator_wrote(
    stage: Stage, admin: Person, spec: Object, reason: str
) -> None:
    await stage.policy("workers", **spec)
    await stage.node("gamma", cordoned=True)
    await stage.healthy_nodes("alpha", "beta")
    await stage.report("alpha", LEAK)
    written = (await _waiting(stage, reason))["status"]["waitingFor"]
    told = await stage.until(
        HEALTHS,
        "alpha",
        lambda one: one["status"].get("remediation", {}).get("waitingFor") == written,
    )

    explained = await admin.asks("explain", "alpha")
    page = await admin.says("explain", "alpha")

    no = [each for each in explained["treatment"]["checks"] if each["asked"]][-1]
    assert explained["waitingFor"] == written == told["status"]["remediation"]["waitingFor"]
    assert f"{no['reason']}: {no['message']}" == written
    assert f"waits: {written}" in page


@pytest.mark.usefixtures("running", "shop")
async def test_a_budget_in_the_way_of_a_drain_is_explained_and_shown(
    stage: Stage, admin: Person
) -> None:
    rule = {**DRAINS["rules"][0], "actions": [{"cordon": {}}, {"drain": {}}]}
    await stage.policy("workers", **auto(rules=[rule]))
    await stage.node("alpha")
    await stage.healthy_nodes("beta")
    await tenants.move_in(stage, "alpha", Tenant("web"))
    budget = {"maxUnavailable": 0, "selector": {"matchLabels": {"app": "web"}}}
    await stage.post(tenants.BUDGETS, {"metadata": {"name": "web"}, "spec": budget})

    await stage.report("alpha", LEAK)
    written = (await _waiting(stage, "DisruptionBudget"))["status"]["waitingFor"]
    explained = await admin.asks("explain", "alpha")

    assert "shop/web" in written
    assert explained["waitingFor"] == written


@pytest.mark.usefixtures("running")
async def test_a_rule_that_has_not_lasted_long_enough_says_so_before_there_is_a_treatment(
    stage: Stage, admin: Person
) -> None:
    stage.stamps = itertools.count(int((datetime.now(UTC) - BEGINNING).total_seconds()))
    rules = [{**auto()["rules"][0], "for": "9h"}]
    await stage.policy("workers", **auto(rules=rules))
    await stage.policy("looking", mode="Observe", priority=-1, rules=auto()["rules"])
    await stage.policy("others", **auto(nodeSelector={"matchLabels": {"pool": "gpu"}}))
    await stage.healthy_nodes("alpha", "beta")
    await stage.report("alpha", LEAK)
    await stage.mirrored("alpha", LEAK)

    explained = await admin.asks("explain", "alpha")

    assert explained["waitingFor"].startswith("NotLongEnough: rule leaking acts on what has lasted")
    assert explained["treatment"] is None
    governs, overridden, apart = explained["policies"]
    assert [each["name"] for each in (governs, overridden, apart)] == [
        "workers",
        "looking",
        "others",
    ]
    assert overridden["rules"][0]["checks"][0]["reason"] == "Overridden"
    assert apart["rules"] == []


@pytest.mark.usefixtures("running")
async def test_a_pause_says_who_and_why_until_the_same_person_resumes(
    stage: Stage, admin: Person
) -> None:
    await stage.policy("workers", **auto(mode="Propose"))
    await stage.healthy_nodes("alpha", "beta")
    await stage.report("alpha", LEAK)
    await _waiting(stage, "Approval")

    await admin.says("pause", "--all", "--because", "racks", "--by", "ann")
    paused = await _waiting(stage, "Paused")
    explained = await admin.asks("explain", "alpha")
    refused = await admin.says("resume", "--policy", "workers", "--by", "bob", code=1)
    await admin.says("resume", "--all", "--by", "ann")
    await _waiting(stage, "Approval")

    assert paused["status"]["waitingFor"].endswith("paused by: ann: racks")
    noes = [each["reason"] for each in explained["treatment"]["checks"] if not each["ok"]]
    assert noes == ["Paused", "Approval"]
    assert "not paused by bob, but by: ann: racks; --everybody" in refused


@pytest.mark.usefixtures("running")
async def test_a_node_whose_treatment_a_person_deleted_is_said_to_be_let_be(
    stage: Stage, admin: Person
) -> None:
    await stage.policy("workers", **auto())
    await stage.healthy_nodes("alpha", "beta")
    await stage.report("alpha", LEAK)
    await stage.cordoned("alpha")
    (treatment,) = await stage.items(REMEDIATIONS)

    await stage.delete(REMEDIATIONS, treatment["metadata"]["name"])
    await stage.schedulable("alpha")
    explained = await admin.asks("explain", "alpha")

    assert explained["treatment"] is None
    assert explained["waitingFor"].startswith("CoolingDown: a person ")


async def test_a_pause_that_somebody_added_meanwhile_is_not_ended_unseen(stage: Stage) -> None:
    await stage.policy("workers", **auto(pauseRequests=["ann: racks"]))
    mine = pauses.Scope(policies=("workers",))
    (outcome,) = await pauses.resumed(stage.session, mine, "ann", everybody=True)
    await stage.merge(f"{POLICIES}/workers", {"spec": {"pauseRequests": ["ann: racks", "bob: x"]}})

    assert isinstance(outcome, Patch)
    with pytest.raises(Rejected) as refused:
        await outcome.send(stage.session)

    assert "somebody else changed it" in str(complaints.about(refused.value, "here"))
    policy = await stage.get(POLICIES, "workers")
    assert policy is not None
    assert policy["spec"]["pauseRequests"] == ["ann: racks", "bob: x"]


@pytest.mark.usefixtures("running")
async def test_a_node_that_is_left_out_is_given_back_and_says_by_whom(
    stage: Stage, admin: Person
) -> None:
    await stage.policy("workers", **auto())
    await stage.healthy_nodes("alpha", "beta")
    await stage.report("alpha", LEAK)
    await stage.cordoned("alpha")

    await admin.says("pause", "alpha", "--because", "debugged", "--by", "ann")
    await stage.schedulable("alpha")
    shown = await admin.says("show", "alpha")
    await admin.says("resume", "alpha")
    node = await stage.get(NODES, "alpha")

    assert "left out by ann: debugged" in shown
    assert node is not None
    assert "kernelhealth.io/ignore" not in node["metadata"].get("labels", {})
    assert "kernelhealth.io/ignored-because" not in node["metadata"].get("annotations", {})


@pytest.mark.usefixtures("running")
async def test_kubectl_finds_the_plugin_and_runs_the_command_that_a_dry_run_prints(
    stage: Stage, plane: ControlPlane, tmp_path: Path
) -> None:
    await stage.policy("workers", **auto(mode="Propose"))
    await stage.healthy_nodes("alpha", "beta")
    await stage.report("alpha", LEAK)
    await _waiting(stage, "Approval")
    plugin = tmp_path / "kubectl-kernelhealth"
    plugin.write_text(f'#!/bin/sh\nexec {sys.executable} -m kernelhealth_kubectl.main "$@"\n')
    plugin.chmod(0o755)
    kubectl = plane.settings.binaries / "kubectl"
    path = os.pathsep.join([str(tmp_path), os.environ["PATH"]])
    environ = {"PATH": path, "PYTHONPATH": PATHS, "KUBECONFIG": str(plane.kubeconfig)}

    words = ("kernelhealth", "cancel", "alpha", "--because", "it's ours", "--dry-run")
    printed = await asyncio.to_thread(_output, [str(kubectl), *words], environ)
    untouched = await stage.items(REMEDIATIONS)
    plane.kubectl(*shlex.split(printed)[1:])
    ended = await stage.phase("alpha", "Cancelled")

    assert untouched[0]["spec"]["decision"] == "Pending"
    assert ended["spec"]["decision"] == "Cancelled"
    assert ended["metadata"]["annotations"]["kernelhealth.io/because"].endswith(": it's ours")


@pytest.mark.usefixtures("running", "shop")
async def test_the_shipped_roles_are_enough_to_look_and_then_to_decide(
    stage: Stage, plane: ControlPlane, ann: Person
) -> None:
    await stage.policy("workers", **auto(mode="Propose", **DRAINS, **CLOSED))
    await stage.healthy_nodes("alpha", "beta")
    await stage.report("alpha", LEAK)
    await _waiting(stage, "Approval")

    nothing = await ann.says("list", code=2)
    _bind(plane, "kernelhealth-viewer", "list nodes")
    listed = await ann.says("list")
    shown = await ann.says("show", "alpha")
    explained = await ann.asks("explain", "alpha")
    forbidden = await ann.says("approve", "alpha", code=2)
    _bind(plane, "kernelhealth-approver", "patch noderemediations")
    await ann.says("pause", "--policy", "workers", "--because", "racks")
    await ann.says("resume", "--policy", "workers")
    left_out = await ann.says("pause", "alpha", "--because", "mine", code=2)
    await ann.says("reject", "alpha")
    await stage.phase("alpha", "Cancelled")

    assert "kernelhealth-viewer" in nothing
    assert "Approval" in listed
    assert "What would come of it" in shown
    assert explained["notes"] == []
    assert "kernelhealth-approver" in forbidden
    assert 'cannot patch resource "nodes"' in left_out


async def test_a_user_whom_a_credential_plugin_logs_in_is_let_in(
    stage: Stage, plane: ControlPlane, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await stage.policy("workers", **auto())
    credential = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": plane.token},
    }
    (tmp_path / "credential.json").write_text(json.dumps(credential))
    path = kubeconfig.write(
        tmp_path / "exec.kubeconfig", server=plane.server, ca=plane.ca, token=""
    )
    content = json.loads(path.read_text())
    content["users"][0]["user"] = {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": "cat",
            "args": [str(tmp_path / "credential.json")],
            "interactiveMode": "Never",
        }
    }
    path.write_text(json.dumps(content))

    paused = await Person(path, capsys).says("pause", "--all", "--because", "racks")

    policy = await stage.get(POLICIES, "workers")
    assert paused == "kernelhealthpolicy/workers paused\n"
    assert policy is not None
    assert policy["spec"]["pauseRequests"] == [f"{plane.admin.user}: racks"]


async def test_a_name_that_is_not_there_is_answered_with_those_like_it(
    stage: Stage, admin: Person
) -> None:
    await stage.node("worker-1")

    said = await admin.says("explain", "wroker-1", code=2)

    assert "there is no node 'wroker-1': did you mean worker-1?" in said


async def test_a_server_that_does_not_answer_is_named(
    plane: ControlPlane, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (port,) = ports.free(1)
    server = f"https://127.0.0.1:{port}"
    path = kubeconfig.write(tmp_path / "nobody", server=server, ca=plane.ca, token=plane.token)

    said = await Person(path, capsys).says("list", code=2)

    assert f"the API server {server} does not answer" in said
    assert "--context" in said


async def test_a_kubeconfig_that_is_not_there_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = await Person(tmp_path / "none", capsys).says("list", code=2)

    assert f"There is no kubeconfig {tmp_path / 'none'}; name one with --kubeconfig" in said


async def test_a_cluster_without_the_definitions_is_told_how_to_get_them(
    control_plane_binaries: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with ControlPlane(Settings(control_plane_binaries, tmp_path / "bare")) as bare:
        said = await Person(bare.kubeconfig, capsys).says("list", code=2)

    assert "does not serve nodekernelhealths of kernelhealth.io/v1alpha1" in said
    assert "kubectl apply -k manifests/base" in said
