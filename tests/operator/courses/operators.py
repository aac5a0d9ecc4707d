"""What the operator does, what goes wrong with it, and who takes over."""

from __future__ import annotations

from datetime import timedelta

import hypothesis.strategies as st
from hypothesis.stateful import rule

from kernelhealth_api.v1alpha1.noderemediation import Decision

from .cluster import NAMES
from .nature import names
from .people import People
from .requests import OPENS

TROUBLES = ("killed before", "killed after", "lost", "failed", "twice", "late", "meddle")
MEDDLING = ("uncordon", "cordon", "cancel", "delete", "hear", "take over", "pause")
WATCHES = ("node", "treatments", "health", "")


class Operators(People):
    """One leads, mostly; its watches bring news late, twice, or one without the other."""

    @rule(heard=st.sets(names), only=st.sampled_from(WATCHES), again=st.booleans())
    def watches_bring_news(self, heard: set[str], only: str, again: bool) -> None:  # noqa: FBT001
        for name in sorted(heard):
            self.world.hear(name, only, again=again)
            if again:
                self.world.chronicle.note("an event came twice")

    @rule(some=st.lists(names, min_size=1, max_size=6), heard=st.booleans())
    def operator_works(self, some: list[str], heard: bool) -> None:  # noqa: FBT001
        for name in some:
            if heard:
                self.world.hear(name)
            self.world.operate(name)

    @rule(
        left=st.integers(0, 4),
        how=st.sampled_from((*TROUBLES, *TROUBLES[:4], "late")),
        name=names,
        meddling=st.sampled_from(MEDDLING),
        lands=st.booleans(),
    )
    def something_goes_wrong(
        self,
        left: int,
        how: str,
        name: str,
        meddling: str,
        lands: bool,  # noqa: FBT001
    ) -> None:
        self.world.trouble(left, how, lambda: self._meddle(name, meddling))
        self.world.look_at_everything()
        if lands:
            self.world.land()
        self.world.look_at_everything()

    @rule(minutes=st.sampled_from((0, 1, 6, 11, 61)))
    def everybody_works_for_a_while(self, minutes: int) -> None:
        for _ in range(2):
            self.world.a_round()
        self.world.server.now += timedelta(minutes=minutes)
        self.world.a_round()

    @rule(minutes=st.sampled_from((5, 5, 234, 236)))
    def the_window_is_open(self, minutes: int) -> None:
        """It is for so long; in the end it is about to close."""
        now = self.world.now
        then = now.replace(hour=OPENS, minute=0, second=0) + timedelta(minutes=minutes)
        self.world.server.now = then if then > now else then + timedelta(days=1)
        for _ in range(3):
            self.world.a_round()

    @rule()
    def a_late_write_arrives(self) -> None:
        self.world.land()

    @rule()
    def another_operator_leads(self) -> None:
        self.world.take_over()

    @rule(left=st.integers(0, 3), other=names, heard=st.booleans())
    def two_operators_lead(self, left: int, other: str, heard: bool) -> None:  # noqa: FBT001
        if heard:
            for name in NAMES:
                self.world.hear(name)
        self.world.two_lead(left, other)

    @rule()
    def everything_is_looked_at(self) -> None:
        self.world.look_at_everything()

    def _meddle(self, name: str, what: str) -> None:
        match what:
            case "uncordon":
                if treatment := self.world.open(name):
                    # Between two writes even somebody else's cordon counts as taken over.
                    self.world.promises.memory.uncordoned.add(treatment.name)
                self.person_uncordons(name)
            case "cordon":
                self.person_cordons(name)
            case "cancel":
                self.person_decides(name, Decision.CANCELLED)
            case "delete":
                self.person_deletes_the_treatment(name)
            case "hear":
                for each in NAMES:
                    self.world.hear(each)
            case "take over":
                self.world.take_over()
            case _:
                self.person_changes_the_policy_otherwise("pause")
