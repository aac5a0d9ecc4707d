"""What was in vain is counted by its cause, once, by whoever wrote the end."""

from __future__ import annotations

from datetime import timedelta

from kernelhealth_operator.outcomes import Outcomes

from .chronicle import Chronicle
from .hosts import LEAK
from .plans import PLANS, RECLAIM
from .world import World


def test_a_treatment_that_did_not_help_is_counted_by_its_cause() -> None:
    chronicle = Chronicle()
    world = World(PLANS.index((RECLAIM,)), chronicle)
    host = world.hosts["worker-1"]
    host.stubborn, host.reasons = True, frozenset({LEAK})

    for _ in range(4):
        world.settle()
        world.server.now += timedelta(minutes=6)
    world.settle()

    assert chronicle.counts["a treatment was in vain"] == 1
    assert world.replica.executor.outcomes.ineffective == {LEAK: 1}


def test_known_causes_begin_at_zero_and_invented_ones_cannot_be_too_many() -> None:
    causes = [f"Cause{number}" for number in range(200)]
    outcomes = Outcomes(causes)
    world = World(PLANS.index((RECLAIM,)), Chronicle())
    world.hosts["worker-1"].reasons = frozenset({LEAK})
    world.settle()
    world.server.now += timedelta(minutes=2)
    world.settle()

    for treatment in world.treatments("worker-1"):
        outcomes.in_vain(treatment)

    assert outcomes.ineffective == {**dict.fromkeys(causes, 0), "other": 1}
