"""Whatever happens, in whatever order: the operator keeps its promises, and every incident ends.

The operator decides from views that may be old, is stopped before and after any write, does not
hear that one was carried out, sends one twice, has one arrive when another operator leads, and
leads for a moment beside another one. Hosts answer late, never or twice, boot, and die in the
middle of a deed. People cordon, uncordon, approve, cancel, delete, pause and edit, also between any
two writes.
"""

from __future__ import annotations

import os
import secrets
from datetime import timedelta

import hypothesis
import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import get_state_machine_test, initialize, invariant

from kernelhealth_e2e.strictness import is_strict

from . import drawing
from .calm import all_get_well, calm_down, what_lasts_ends
from .chronicle import Chronicle
from .hosts import LEAK
from .nature import names
from .operators import Operators
from .plans import PLANS
from .pledge import pledge
from .world import World

RUNS = int(os.environ.get("KERNELHEALTH_COURSES", "10000" if is_strict() else "300"))
"""How many courses are played: ten thousand where nothing may be left out."""
SAME = 3130948112
"""By which courses are drawn unless something else is asked for: a change is judged by the same
ones each time, and what fails is the change. ``make courses`` looks for others. It is one that
has found failures.
"""
STEPS = 20
ENOUGH = 2000
"""In so many courses each fault happens many times."""
SETTINGS = settings(
    max_examples=RUNS,
    stateful_step_count=STEPS,
    deadline=None,
    print_blob=True,
    # What failed here some time ago is no part of what the seed tells to play, nor is whatever else
    # was loaded.
    database=None,
    backend=drawing.BACKEND,
    suppress_health_check=[HealthCheck.too_slow],
)


def chosen(seed: str | None) -> int:
    """By which seed courses are drawn; ``random``: by one of its own each time."""
    if seed == "random":
        return secrets.randbelow(2**32)
    return int(seed) if seed else SAME


class Course(Operators):
    """A cluster, the people in it, and the operator."""

    lasts: bool

    def __init__(self, chronicle: Chronicle) -> None:
        super().__init__()
        self.chronicle = chronicle

    @initialize(
        plan=st.integers(0, len(PLANS) - 1),
        sick=st.sets(names, min_size=1),
        stubborn=st.booleans(),
        far=st.integers(0, 12),
        lasts=st.sampled_from((False, False, True)),
        grudges=st.sampled_from((False, False, False, True)),
    )
    def begins(  # noqa: PLR0917 - what a course begins with
        self,
        plan: int,
        sick: set[str],
        stubborn: bool,  # noqa: FBT001
        far: int,
        lasts: bool,  # noqa: FBT001
        grudges: bool,  # noqa: FBT001
    ) -> None:
        self.chronicle.courses += 1
        self.world, self.lasts = World(plan, self.chronicle), lasts
        for name in sorted(sick):
            self.world.hosts[name].stubborn = stubborn
            self.fall_ill((name, LEAK))
        self.world.server.pods.grudges = grudges
        for _ in range(far):
            self.world.a_round()
            self.world.server.now += timedelta(minutes=1)

    @invariant()
    def one_treatment_at_a_time(self) -> None:
        for name, node in self.world.server.nodes.items():
            uid = node["metadata"]["uid"]
            mine = [t for t in self.world.treatments(name) if not t.status.phase.final]
            open_ones = [t.name for t in mine if t.spec.node_uid == uid]
            pledge(len(open_ones) <= 1, f"{name} has two open treatments: {open_ones}")

    @invariant()
    def each_request_is_carried_out_once(self) -> None:
        for name, host in self.world.hosts.items():
            most = max(host.done.values(), default=0)
            pledge(most <= 1, f"two host actions for one request: {name} did {host.done}")

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        calm_down(self.world)
        if self.lasts:
            what_lasts_ends(self.world)
        all_get_well(self.world)


def test_in_any_course_of_events_the_promises_are_kept() -> None:
    chronicle, seed = Chronicle(), chosen(os.environ.get("KERNELHEALTH_COURSES_SEED"))
    play = get_state_machine_test(lambda: Course(chronicle), settings=SETTINGS)  # type: ignore[arg-type]

    try:
        hypothesis.seed(seed)(play)()
    except BaseException as error:
        error.add_note(f"To play the same courses again: KERNELHEALTH_COURSES_SEED={seed}")
        raise

    print(f"\nseed {seed}\n{chronicle}")  # noqa: T201 - shown by -s, and where the test fails
    assert RUNS < ENOUGH or not chronicle.missing(), chronicle.missing()


def test_the_courses_are_the_same_ones_unless_others_are_asked_for() -> None:
    drawn = {chosen("random") for _ in range(8)}

    assert (chosen(None), chosen(""), chosen("7")) == (SAME, SAME, 7)
    assert len(drawn) > 1
