"""fixConfig: the node's agent changes what on the host causes a finding."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from kernelhealth_api.cures import Stage
from kernelhealth_api.duration import Duration
from kernelhealth_api.procedure import Patient, Procedure, Progress
from kernelhealth_api.remediation import DisruptionLevel, Permission, Remediation, Settings
from kernelhealth_operator.policy import asking


class FixConfig(Settings):
    """Which cures beside the safe ones."""

    fixes: tuple[str, ...] = Field(
        (), description="Risky cures that may be done too, by their names.", max_length=16
    )
    verify_within: Duration = Field(
        timedelta(minutes=5),
        description="How long it has to help before the next action follows; reclaim, which costs"
        " the workloads nothing, follows at once.",
    )


def advance(patient: Patient, settings: FixConfig) -> Progress:
    """Ask the agent for each cure that stops a cause."""
    return asking.advance(patient, Stage.FIX_CONFIG, settings.fixes)


REMEDIATION = Remediation(
    name="fixConfig",
    summary="Stops the cause on the host: every safe fix that the findings name, risky ones only if"
    " named here.",
    disruption=DisruptionLevel.NONE,
    settings=FixConfig,
    needs=(Permission("kernelhealth.io", "nodekernelhealths", ("patch",)),),
    procedure=Procedure(advance, settle=lambda settings: settings.verify_within),
    did="HostFixAsked",
)
