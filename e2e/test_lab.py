"""The part of the kernel lab that is played each time: failures live on kernels of their own.

``make lab`` plays all of it.
"""

from __future__ import annotations

import pytest

from kernelhealth_e2e import provision
from kernelhealth_e2e.cluster import Cluster
from kernelhealth_e2e.errors import UnavailableError
from kernelhealth_e2e.lab import playing, report, selection
from kernelhealth_e2e.lab.scenario import Scenario
from kernelhealth_e2e.lab.scenarios import SCENARIOS

ALWAYS = selection.always(SCENARIOS)


@pytest.mark.parametrize(
    ("scenario", "kernel"), ALWAYS, ids=[f"{one.name}-{kernel}" for one, kernel in ALWAYS]
)
def test_each_run_of_the_scenario_passes(
    installed: Cluster, scenario: Scenario, kernel: str
) -> None:
    try:
        provision.for_virtual_machines(installed.settings.progress)
    except UnavailableError as reason:
        pytest.skip(str(reason))

    outcomes = playing.play(installed, scenario, kernel)

    wrong = [report.complaint(outcome) for outcome in outcomes if not outcome.passed]
    assert not wrong, "\n".join(wrong)
    assert len(outcomes) == len(scenario.on[kernel])
