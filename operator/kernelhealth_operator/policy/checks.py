"""The checks that look at one node, its policy, its report and its treatment."""

from __future__ import annotations

from datetime import datetime

from kernelhealth_api import duration
from kernelhealth_api.v1alpha1.kernelhealthpolicy import Mode, Rule
from kernelhealth_api.v1alpha1.nodekernelhealth import Health
from kernelhealth_api.v1alpha1.noderemediation import Decision
from kernelhealth_operator.policy import history, match
from kernelhealth_operator.policy.age import UPTIME
from kernelhealth_operator.policy.decision import Verdict
from kernelhealth_operator.policy.situation import Situation


def policy_exists(situation: Situation) -> Verdict:
    """NoPolicy: without a policy nothing is ever done."""
    if situation.policy is None:
        return Verdict.no("policy_exists", "NoPolicy", "no KernelHealthPolicy selects this node")
    return Verdict.yes("policy_exists", f"policy {situation.policy.name} governs the node")


def policy_ready(situation: Situation) -> Verdict:
    """PolicyNotReady: a policy with mistakes governs but does not act."""
    policy = situation.policy
    if policy is not None and policy.problems:
        what = f"policy {policy.name} must be corrected first: {policy.problems[0]}"
        return Verdict.no("policy_ready", "PolicyNotReady", what)
    return Verdict.yes("policy_ready", "the policy has no mistakes")


def not_paused(situation: Situation) -> Verdict:
    """Paused: somebody asked to hold, and said why."""
    policy = situation.policy
    if policy is not None and policy.spec.pause_requests:
        who = "; ".join(policy.spec.pause_requests)
        return Verdict.no("not_paused", "Paused", f"policy {policy.name} is paused by: {who}")
    return Verdict.yes("not_paused", "nobody paused the policy")


def node_stays(situation: Situation) -> Verdict:
    """NodeDeleting: the node is about to go."""
    if situation.node.deleting:
        return Verdict.no("node_stays", "NodeDeleting", "the Node is being deleted")
    return Verdict.yes("node_stays", "the Node is not being deleted")


def not_opted_out(situation: Situation) -> Verdict:
    """OptedOut: the node carries the label that exempts it."""
    if situation.node.opted_out:
        what = "the Node has the label kernelhealth.io/ignore=true: remove it to have it treated"
        return Verdict.no("not_opted_out", "OptedOut", what)
    return Verdict.yes("not_opted_out", "the Node is not exempt")


def no_other_treatment(situation: Situation) -> Verdict:
    """UnderTreatment: one treatment at a time."""
    if situation.treatment is not None:
        what = f"NodeRemediation {situation.treatment.name} has not ended yet"
        return Verdict.no("no_other_treatment", "UnderTreatment", what)
    return Verdict.yes("no_other_treatment", "no treatment is open on the node")


def no_leftover(situation: Situation) -> Verdict:
    """LeftoverCordon: a mark on the node names a treatment that is not under way."""
    if owner := situation.node.marked_by:
        node = situation.node
        how = "cordoned" if node.cordon_owner else "tainted" if node.taint_owner else "prepared"
        what = f"the Node is still marked as {how} by NodeRemediation {owner}"
        return Verdict.no("no_leftover", "LeftoverCordon", what)
    return Verdict.yes("no_leftover", "no cordon is left over from an earlier treatment")


def report_current(situation: Situation) -> Verdict:
    """NoReport, AgentSilent, HealthUnknown, OtherBoot: then nothing is known about the node."""
    name, report = "report_current", situation.report
    if report is None:
        return Verdict.no(
            name, "NoReport", "no agent has reported on this node: does one run there?"
        )
    if report.silent:
        return Verdict.no(name, "AgentSilent", "the node's agent has gone quiet: look at its pod")
    if report.health is Health.UNKNOWN:
        what = "the node's agent could measure nothing: the conditions of its report say why"
        return Verdict.no(name, "HealthUnknown", what)
    boot = situation.node.boot_id
    if report.boot_id and boot and report.boot_id != boot:
        what = f"the report is about boot {report.boot_id}, but the Node says it runs {boot}"
        return Verdict.no(name, "OtherBoot", what)
    return Verdict.yes(name, "the agent reports")


def finding_there(situation: Situation) -> Verdict:
    """NoFinding: the report has nothing that a rule is about."""
    if _rule(situation) is None:
        return Verdict.no("finding_there", "NoFinding", "no rule of the policy matches the report")
    return Verdict.yes("finding_there", "a rule of the policy matches the report")


def mode_acts(situation: Situation) -> Verdict:
    """ObserveOnly: the rule may look but not act."""
    policy, rule = situation.policy, _rule(situation)
    if policy is None or rule is None or match.mode(policy, rule) is Mode.OBSERVE:
        return Verdict.no(
            "mode_acts", "ObserveOnly", "the mode of the rule is Observe: it only reports"
        )
    return Verdict.yes("mode_acts", f"the mode of rule {rule.name} is {match.mode(policy, rule)}")


def persisted(situation: Situation) -> Verdict:
    """NotLongEnough: the rule asks for more patience."""
    rule = _rule(situation)
    if rule is None:
        return Verdict.no("persisted", "NotLongEnough", "no rule of the policy matches the report")
    since = situation.matched_since.get(rule.name)
    wanted = duration.text(rule.for_)
    until = None if since is None else since + rule.for_
    if rule.for_ and (until is None or until > situation.now):
        what = f"rule {rule.name} acts on what has lasted {wanted}, which is not so yet"
        return Verdict.no("persisted", "NotLongEnough", what, until)
    return Verdict.yes("persisted", f"it has lasted {wanted}, as rule {rule.name} asks")


def cooled_down(situation: Situation) -> Verdict:
    """CoolingDown: a person ended the last treatment, and is not contradicted for a while."""
    policy, last = situation.policy, history.overruled(situation)
    if last is None:
        return Verdict.yes("cooled_down", "no person has ended a treatment of this node lately")
    ended = last.status.finished_at
    until = None if policy is None or ended is None else ended + policy.spec.recovery.cool_down
    if until is None or until > situation.now:
        what = f"a person ended NodeRemediation {last.name}; the node is let be {_until(until)}"
        return Verdict.no("cooled_down", "CoolingDown", what, until)
    return Verdict.yes(
        "cooled_down", f"it is long ago that a person ended NodeRemediation {last.name}"
    )


def measured(situation: Situation) -> Verdict:
    """NotMeasured: what is treated could not be measured, so that its absence proves nothing."""
    policy, report, treatment = situation.policy, situation.report, situation.treatment
    if policy is None or report is None or treatment is None:
        return Verdict.no("measured", "NotMeasured", "nothing is known about the findings")
    rule = match.rule_named(policy, treatment.spec.rule)
    if UPTIME in treatment.spec.reasons and report.uptime is None:
        what = "the agent does not say when the node booted"
        return Verdict.no("measured", "NotMeasured", what)
    blind = sorted(report.unmeasured.intersection(treatment.spec.reasons))
    if blind and not (rule and match.own(policy, rule, report)):
        what = f"the agent cannot measure {', '.join(blind)} at present: its conditions say why"
        return Verdict.no("measured", "NotMeasured", what)
    return Verdict.yes("measured", "what is treated was measured")


def approved(situation: Situation) -> Verdict:
    """Approval: a person has to agree first."""
    policy, treatment = situation.policy, situation.treatment
    rule = (
        None
        if policy is None or treatment is None
        else match.rule_named(policy, treatment.spec.rule)
    )
    if policy is None or treatment is None or rule is None:
        return Verdict.no("approved", "Approval", "there is no rule that asks for the treatment")
    if match.mode(policy, rule) is Mode.AUTO:
        return Verdict.yes("approved", f"rule {rule.name} needs no approval")
    if treatment.spec.decision is Decision.APPROVED:
        return Verdict.yes("approved", "a person approved")
    what = f"a person must set spec.decision of NodeRemediation {treatment.name} to Approved"
    return Verdict.no("approved", "Approval", what)


def _rule(situation: Situation) -> Rule | None:
    firing = match.firing_now(situation)
    return firing.rule if firing else None


def _until(when: datetime | None) -> str:
    return f"until {when:%Y-%m-%d %H:%M:%SZ}" if when else "until that can be dated"
