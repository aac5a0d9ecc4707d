"""reclaim: the node's agent frees what leaked, without a reboot."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from kernelhealth_api.cures import Stage
from kernelhealth_api.duration import Duration
from kernelhealth_api.procedure import Patient, Procedure, Progress
from kernelhealth_api.remediation import DisruptionLevel, Permission, Remediation, Settings
from kernelhealth_operator.policy import asking


class Reclaim(Settings):
    """Which cures beside the safe ones."""

    fixes: tuple[str, ...] = Field(
        (), description="Risky cures that may be done too, by their names.", max_length=16
    )
    verify_within: Duration = Field(
        timedelta(minutes=5), description="How long it has to help before the next action follows."
    )


def advance(patient: Patient, settings: Reclaim) -> Progress:
    """Ask the agent for each cure that frees what leaked."""
    return asking.advance(patient, Stage.RECLAIM, settings.fixes)


REMEDIATION = Remediation(
    name="reclaim",
    summary="Frees what leaked without a reboot: every safe cure that the findings name, risky ones"
    " only if named here.",
    disruption=DisruptionLevel.NONE,
    settings=Reclaim,
    needs=(Permission("kernelhealth.io", "nodekernelhealths", ("patch",)),),
    procedure=Procedure(advance, settle=lambda settings: settings.verify_within),
    did="ReclaimAsked",
)
