"""The node as a procedure sees it."""

from __future__ import annotations

from kernelhealth_api.procedure import Patient
from kernelhealth_api.v1alpha1.kernelhealthpolicy import KernelHealthPolicySpec
from kernelhealth_operator.policy.case import Case


def patient_of(case: Case, index: int) -> Patient:
    """Return all that the next step of the action at *index* depends on."""
    situation, node = case.situation, case.situation.node
    report, policy = situation.report, situation.policy
    return Patient(
        now=situation.now,
        name=node.name,
        uid=node.uid,
        resource_version=node.resource_version,
        owner=case.treatment.name,
        number=index,
        rung=case.status.rungs[index],
        policy=policy.spec if policy else KernelHealthPolicySpec(),
        labels=node.labels,
        annotations=node.annotations,
        ready=node.ready,
        boot_id=node.boot_id,
        boot_at_start=case.treatment.spec.boot_id,
        report_boot_id=None if report is None or report.silent else report.boot_id,
        findings=case.own,
        asked=None if report is None else report.asked,
        answer=None if report is None else report.request,
        read=situation.read or {},
        others_available=max(0, situation.others.nodes - situation.others.unavailable),
    )
