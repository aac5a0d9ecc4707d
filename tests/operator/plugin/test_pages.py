"""What the plugin prints, from values: no cluster is needed for that."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kernelhealth_api.v1alpha1.finding import Finding, Severity
from kernelhealth_api.v1alpha1.kernelhealthpolicy import KernelHealthPolicySpec, Mode
from kernelhealth_api.v1alpha1.nodekernelhealth import Health, NodeKernelHealthSpec
from kernelhealth_api.v1alpha1.noderemediation import (
    NodeRemediationSpec,
    NodeRemediationStatus,
    Phase,
    Preview,
    RungState,
)
from kernelhealth_api.v1alpha1.policystatus import KernelHealthPolicyStatus
from kernelhealth_api.v1alpha1.resource import Condition
from kernelhealth_kubectl.pages import chains, explanation, moments, overview, table, treatment
from kernelhealth_kubectl.pages.explanation import Explained, PolicyChains
from kernelhealth_kubectl.pages.overview import Overview
from kernelhealth_kubectl.pages.treatment import Shown
from kernelhealth_operator.held import HealthView, PolicyView
from kernelhealth_operator.policy.decision import Decision, OpenRemediation, Verdict
from kernelhealth_operator.policy.explaining import Checked, RuleChain
from kernelhealth_operator.policy.situation import Treatment

NOW = datetime(2026, 1, 3, 12, tzinfo=UTC)
LEAK = "NetworkNamespaceLeaked"
APPROVAL = "Approval: a person must set spec.decision of NodeRemediation worker-1-1 to Approved"

EXPLAINED = """\
Node worker-1: Critical (NetworkNamespaceLeaked)
  waits: Approval: a person must approve
         looks again 2026-01-03 12:10Z, in 10m

NodeRemediation worker-1-1, rule leaking of policy workers: Proposed
  yes   not_paused  nobody paused the policy
  NO    approved    Approval: a person must approve
  (no)  room_left   MaxUnavailable: no more than 10% at once
  (yes) its_turn    nobody who could go comes first

Policy workers governs the node
  Rule residue (Auto): no finding of this node
    NO    finding_there  NoFinding: no rule matches
  Rule worse (Auto): KernelOops
    rule leaking goes first: it answers what is worse, or stands above
    yes   finding_there  a rule matches

Policy gpu does not select the node

note: something could not be read
"""

LISTED = """\
NODE       HEALTH     PROBLEMS                    TREATMENT    PHASE      UNTIL                      WAITING FOR
worker-1   Critical   NetworkNamespaceLeaked x2   worker-1-1   Proposed   2026-01-03 14:00Z, in 2h   MaintenanceWindow: it opens at two
worker-2   Unknown    AgentSilent                 -            -          -                          -
1 of 3 nodes are healthy
policy workers: Paused: ann: racks; 2 reboots wait, expected to be through 2026-01-06 12:00Z, in 3d
"""  # noqa: E501 - tables are as wide as they are

SHOWN = """\
Node worker-1: Critical
  left out by ann: being debugged
  Critical: NetworkNamespaceLeaked x2, cause GssProxyPin
    Two namespaces leaked.

NodeRemediation worker-1-1: Proposed
  for NetworkNamespaceLeaked, by rule leaking of policy workers
  decision: Pending (ann: later)
  waits: MaintenanceWindow: it opens at two
         until 2026-01-03 14:00Z, in 2h

  ACTION   STATE     BEGUN                        MESSAGE
  cordon   Done      2026-01-03 11:30Z, 30m ago   it was so already
  drain    Pending   -                            -

What would come of it, as of 2026-01-03 12:00Z, now
  Three pods would go.
  pods that would go: shop/a, shop/b and 1 more
  forbidden by PodDisruptionBudgets: shop/web
  pods that stay: 4
  they request 1 of CPU and 2Gi of memory; free is 3 and 4Gi on the 2 nodes looked at, of 5 that \
take pods
"""


def treated(**status: Any) -> Treatment:
    spec = NodeRemediationSpec(
        node_name="worker-1",
        node_uid="uid",
        policy="workers",
        rule="leaking",
        reasons=(LEAK,),
        plan=({"cordon": {}}, {"drain": {}}),
    )
    return Treatment("worker-1-1", "7", NOW, spec, NodeRemediationStatus(**status))


def view(name: str, health: Health, problems: str = "", *findings: Finding) -> HealthView:
    return HealthView(
        name=name,
        uid="uid",
        resource_version="1",
        owner_uid=None,
        spec=NodeKernelHealthSpec(policy="workers"),
        health=health,
        problems=problems,
        readings=(),
        findings=findings,
        boot_id=None,
        stamp=NOW,
        remediation=None,
    )


def waiting() -> Treatment:
    return treated(
        phase=Phase.PROPOSED,
        waiting_for="MaintenanceWindow: it opens at two",
        waiting_until=NOW + timedelta(hours=2),
    )


def explained() -> Explained:
    no = Verdict.no("approved", "Approval", "a person must approve")
    checked = Checked(
        (Verdict.yes("not_paused", "nobody paused the policy"), no),
        (
            Verdict.no("room_left", "MaxUnavailable", "no more than 10% at once"),
            Verdict.yes("its_turn", "nobody who could go comes first"),
        ),
    )
    nothing = Checked((Verdict.no("finding_there", "NoFinding", "no rule matches"),))
    fires = Checked((Verdict.yes("finding_there", "a rule matches"),))
    rules = (
        RuleChain("workers", "residue", Mode.AUTO, (), nothing),
        RuleChain("workers", "worse", Mode.AUTO, ("KernelOops",), fires, "leaking"),
    )
    return Explained(
        node="worker-1",
        health="Critical",
        problems=LEAK,
        now=NOW,
        decision=Decision((), (), str(no), NOW + timedelta(minutes=10)),
        treatment=treated(phase=Phase.PROPOSED, waiting_for=str(no)),
        treated=checked,
        policies=(
            PolicyChains("workers", "governs the node", rules),
            PolicyChains("gpu", "does not select the node", ()),
        ),
        nothing=None,
        notes=("something could not be read",),
    )


def text(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def test_a_treatment_is_explained_check_by_check_and_then_each_rule() -> None:
    assert text(explanation.lines(explained())) == EXPLAINED


def test_a_program_gets_every_check_and_whether_it_decided() -> None:
    told = json.loads(json.dumps(chains.data(explained())))

    checks = told["treatment"]["checks"]
    assert [(each["check"], each["ok"], each["asked"]) for each in checks] == [
        ("not_paused", True, True),
        ("approved", False, True),
        ("room_left", False, False),
        ("its_turn", True, False),
    ]
    assert told["waitingFor"] == "Approval: a person must approve"
    assert told["lookAgain"] == "2026-01-03T12:10:00Z"
    assert told["policies"][0]["rules"][1]["behind"] == "leaking"


def test_what_the_operator_wrote_is_told_where_it_is_no_longer_so() -> None:
    told = explained()
    assert told.treatment is not None
    old = treated(phase=Phase.WAITING, waiting_for="Paused: ann has paused it")

    page = text(explanation.lines(_with(told, treatment=old)))

    assert "the operator wrote last that it waits: Paused: ann has paused it" in page


def test_what_would_be_done_next_is_said_in_words() -> None:
    opening = OpenRemediation("worker-1-2", treated().spec, NodeRemediationStatus())
    told = _with(explained(), decision=Decision((opening,)), treatment=None, treated=None)

    assert "  next:  open NodeRemediation worker-1-2" in text(explanation.lines(told))


def _with(told: Explained, **changes: Any) -> Explained:
    return replace(told, **changes)


def cluster(*, everything: bool = False) -> Overview:
    status = KernelHealthPolicyStatus(
        reboots_waiting=2,
        expected_through=NOW + timedelta(days=3),
        conditions=(
            Condition(
                type="Paused",
                status="True",
                reason="PauseRequested",
                message="ann: racks",
                last_transition_time=NOW,
            ),
        ),
    )
    policy = PolicyView("workers", "uid", "1", NOW, 1, KernelHealthPolicySpec(), status)
    healths = {
        "worker-1": view("worker-1", Health.CRITICAL, f"{LEAK} x2"),
        "worker-2": view("worker-2", Health.UNKNOWN, "AgentSilent"),
        "worker-3": view("worker-3", Health.HEALTHY),
    }
    one = waiting()
    return Overview(healths, {one.name: one}, {"workers": policy}, NOW, everything)


def test_the_nodes_with_something_to_tell_are_listed_worst_first() -> None:
    assert text(overview.lines(cluster())) == LISTED


def test_healthy_nodes_are_listed_only_on_demand() -> None:
    few, all_ = overview.data(cluster()), overview.data(cluster(everything=True))

    assert [each["node"] for each in few["nodes"]] == ["worker-1", "worker-2"]
    assert [each["node"] for each in all_["nodes"]] == ["worker-1", "worker-2", "worker-3"]
    assert few["nodes"][0]["waitingUntil"] == "2026-01-03T14:00:00Z"


def shown() -> Shown:
    finding = Finding(
        reason=LEAK,
        severity=Severity.CRITICAL,
        cause="GssProxyPin",
        message="Two namespaces leaked.",
        count=2,
        since=NOW,
    )
    cordon = RungState(
        action="cordon",
        state="Done",
        started_at=NOW - timedelta(minutes=30),
        message="it was so already",
    )
    preview = Preview(
        as_of=NOW,
        message="Three pods would go.",
        pods=3,
        names=("shop/a", "shop/b"),
        staying=4,
        forbidden_by=("shop/web",),
        cpu="1",
        memory="2Gi",
        nodes_looked_at=2,
        free_cpu="3",
        free_memory="4Gi",
        nodes_available=5,
    )
    one = waiting()
    rungs = (cordon, RungState(action="drain", state="Pending"))
    status = one.status.model_copy(update={"rungs": rungs, "preview": preview})
    return Shown(
        node="worker-1",
        health=view("worker-1", Health.CRITICAL, LEAK, finding),
        treatment=Treatment(one.name, "7", NOW, one.spec, status),
        now=NOW,
        because="ann: later",
        ignored="ann: being debugged",
    )


def test_a_treatment_is_shown_with_what_would_come_of_it() -> None:
    assert text(treatment.lines(shown())) == SHOWN


def test_a_treatment_is_the_objects_own_fields_for_a_program() -> None:
    told = treatment.data(shown())

    assert told["treatment"]["status"]["preview"]["forbiddenBy"] == ["shop/web"]
    assert told["treatment"]["spec"]["nodeName"] == "worker-1"
    assert told["because"] == "ann: later"


@pytest.mark.parametrize(
    ("away", "told"),
    [
        (timedelta(seconds=90), "2026-01-03 12:01Z, in 90s"),
        (timedelta(minutes=45), "2026-01-03 12:45Z, in 45m"),
        (timedelta(hours=14), "2026-01-04 02:00Z, in 14h"),
        (timedelta(days=-3), "2025-12-31 12:00Z, 3d ago"),
        (timedelta(0), "2026-01-03 12:00Z, now"),
    ],
)
def test_a_moment_is_told_with_how_far_away_it_is(away: timedelta, told: str) -> None:
    assert moments.until(NOW + away, NOW) == told


def test_what_an_agent_writes_steers_no_terminal() -> None:
    assert table.printable("a\x1b[2Jb\nc") == "a [2Jb c"
