"""What befalls nodes, hosts and agents by themselves."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from kernelhealth_operator.policy.situation import IGNORE

from .cluster import NAMES
from .hosts import LEAK, PIN, RESIDUE, Host
from .world import World

AGENTS = {
    "agent silent": "an agent was silent",
    "reading fails": "an agent could not measure",
    "clock ahead": "a node's clock was off",
    "clock behind": "a node's clock was off",
    "stubborn": "",
    "boots": "a host booted by itself",
}
"""What may be otherwise about an agent or its host, and as what it is counted."""
NODES = {
    "not ready": "a node was down",
    "exempt": "a person exempted a node",
    "replaced": "a node went",
    "blocked": "",
    "grudged": "",
}
"""What may be otherwise about a Node and its pods."""
names = st.sampled_from(NAMES)
switches = st.sampled_from((True, True, False))


class Nature(RuleBasedStateMachine):
    """Hosts fall ill, boot, vanish and come back; agents are silent, late, or die."""

    world: World

    @rule(what=st.sampled_from([(n, r) for n in NAMES for r in (LEAK, PIN, RESIDUE)]))
    def fall_ill(self, what: tuple[str, str]) -> None:
        name, reason = what
        self.world.hosts[name].reasons |= {reason}
        self.world.report(name)

    @rule(name=names)
    def gets_well(self, name: str) -> None:
        self.world.hosts[name].reasons = frozenset()
        self.world.report(name)

    @rule(name=names, what=st.sampled_from([*AGENTS]), on=switches)
    def an_agent_is_odd(self, name: str, what: str, on: bool) -> None:  # noqa: FBT001
        world, host = self.world, self.world.hosts[name]
        if AGENTS[what] and (on or what == "boots"):
            world.chronicle.note(AGENTS[what])
        match what:
            case "agent silent":
                (world.silent.add if on else world.silent.discard)(name)
            case "reading fails":
                host.unmeasured = frozenset({LEAK} if on else ())
            case _:
                _befalls(host, what, on=on, now=world.now)
        if name not in world.server.nodes:
            self._appears(name)
        world.report(name)

    @rule(name=names, what=st.sampled_from([*NODES]), on=switches)
    def a_node_is_odd(self, name: str, what: str, on: bool) -> None:  # noqa: FBT001
        world = self.world
        if NODES[what] and (on or what == "replaced"):
            world.chronicle.note(NODES[what])
        match what:
            case "not ready":
                self.edit(name, {"status": {"conditions": ready(not on)}}, "kubelet")
            case "exempt":
                self.edit(name, {"metadata": {"labels": {IGNORE: "true" if on else None}}})
            case "replaced":
                world.leave(name)
                if on:
                    self._appears(name)
            case _:
                world.server.pods.resist(what, on=on)
        world.report(name)

    @rule(name=names, dies=st.sampled_from(("", "", "", "before", "after")), tells=st.booleans())
    def agent_works(self, name: str, dies: str, tells: bool) -> None:  # noqa: FBT001
        self.world.agent_works(name, dies)
        if tells:
            self.world.report(name)

    @rule()
    def pods_end(self) -> None:
        self.world.server.pods.bury()

    @rule(minutes=st.sampled_from((1, 6, 11, 61, 600)))
    def time_passes(self, minutes: int) -> None:
        self.world.server.now += timedelta(minutes=minutes)
        for name in NAMES:
            self.world.report(name)

    @rule(dies=st.sampled_from(("before", "after")))
    def agents_die_at_work(self, dies: str) -> None:
        for _ in range(3):
            self.world.look_at_everything()
        for name in NAMES:
            self.world.agent_works(name, dies)

    def _appears(self, name: str) -> None:
        self.world.chronicle.note("a node appeared")
        self.world.join(name)

    def edit(self, name: str, change: dict[str, Any], manager: str = "person") -> None:
        """Somebody changes a Node, if it is there."""
        if name in self.world.server.nodes:
            self.world.server.edit(self.world.server.nodes, name, change, manager)


def _befalls(host: Host, what: str, *, on: bool, now: datetime) -> None:
    match what:
        case "clock ahead" | "clock behind":
            minutes = 3 if what.endswith("ahead") else -3
            host.clock = timedelta(minutes=minutes if on else 0)
        case "stubborn":
            host.stubborn = on
        case "boots":
            host.reboot(now)


def ready(on: bool) -> list[dict[str, str]]:  # noqa: FBT001
    """The condition of a Node that the kubelet answers for."""
    return [{"type": "Ready", "status": "True" if on else "False"}]
