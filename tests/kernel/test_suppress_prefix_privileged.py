"""The suppress_prefix trap set on this kernel, and halves of it that are harmless."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from kernelhealth_agent import moments
from kernelhealth_agent.detectors import suppress_prefix as detector
from kernelhealth_agent.hosts.live import LiveHost
from kernelhealth_agent.kernel.namespaces import Inventory
from kernelhealth_agent.kernel.route_growth import Growths
from kernelhealth_agent.kernel.suppress_prefix import Routing
from kernelhealth_agent.source import Occasion
from kernelhealth_agent.sources import suppress_prefix as source
from kernelhealth_api.detector import Observation
from kernelhealth_e2e.faults import held_namespace, suppress_prefix
from kernelhealth_e2e.faults.namespace import Sandbox, sandbox
from kernelhealth_e2e.faults.suppress_prefix import nft_rule, suppress_rule, trap, wg_quick_rules

DEFAULTS = detector.SuppressPrefixParams()


@pytest.fixture
def pod() -> Iterator[Sandbox]:
    with sandbox() as made:
        yield made


@pytest.fixture
def observe(live: LiveHost, look: Callable[..., Inventory]) -> Callable[[int], list[Observation]]:
    """Look at this machine, and return what is said of one namespace."""

    def observed(inode: int) -> list[Observation]:
        found = detector.judge(source.collect(live, Occasion(look(), moments.now())), DEFAULTS)
        return [o for o in found if o.subject.namespace == inode]

    return observed


@pytest.fixture
def routing(live: LiveHost, look: Callable[..., Inventory]) -> Callable[[int], Routing]:
    def routed(inode: int) -> Routing:
        sample = source.collect(live, Occasion(look(), moments.now()))
        (found,) = [r for r in sample.routings if r.space.inode == inode]
        return found

    return routed


def test_a_trap_is_found_with_its_rule_and_its_filter(
    pod: Sandbox, observe: Callable[[int], list[Observation]]
) -> None:
    with trap(pod.file):
        (found,) = observe(pod.inode)

    assert found.reason is detector.TRAP
    assert "'31337: from all lookup main suppress_prefixlength 0'" in found.message
    assert "ip6 kernelhealth-fault prerouting handle" in found.message


def test_a_trap_is_over_when_either_half_goes(
    pod: Sandbox, observe: Callable[[int], list[Observation]]
) -> None:
    with suppress_rule(pod.file):
        with nft_rule(pod.file):
            assert observe(pod.inode)
        assert observe(pod.inode) == []
    with nft_rule(pod.file):
        assert observe(pod.inode) == []


def test_a_rule_that_filters_by_port_is_no_trap(
    pod: Sandbox, observe: Callable[[int], list[Observation]]
) -> None:
    with suppress_rule(pod.file), nft_rule(pod.file, "tcp dport 22 accept"):
        assert observe(pod.inode) == []


def test_a_rule_that_suppresses_nothing_is_no_trap(
    pod: Sandbox, observe: Callable[[int], list[Observation]]
) -> None:
    with suppress_rule(pod.file, length=-1), nft_rule(pod.file):
        assert observe(pod.inode) == []


@pytest.mark.parametrize("length", [0, 56])
def test_a_rule_reads_as_the_ip_program_reads_it(
    length: int, pod: Sandbox, routing: Callable[[int], Routing]
) -> None:
    with suppress_rule(pod.file, length):
        (rule,) = routing(pod.inode).rules
        with held_namespace.inside(pod.file):
            printed = subprocess.run(
                ["ip", "-6", "rule", "show", "priority", str(suppress_prefix.PRIORITY)],
                check=True,
                capture_output=True,
                text=True,
            )

    assert rule.text.split() == printed.stdout.split()


def test_a_filter_reads_as_the_nft_program_reads_it(
    pod: Sandbox, routing: Callable[[int], Routing]
) -> None:
    with trap(pod.file):
        (user,) = routing(pod.inode).users or ()
        with held_namespace.inside(pod.file):
            printed = subprocess.run(
                ["nft", "--json", "list", "ruleset"], check=True, capture_output=True
            )

    (rule,) = [item["rule"] for item in json.loads(printed.stdout)["nftables"] if "rule" in item]
    assert (user.family, user.table, user.chain, user.handle) == (
        rule["family"],
        rule["table"],
        rule["chain"],
        rule["handle"],
    )


@pytest.mark.parametrize(
    ("rule", "found"),
    [
        (suppress_prefix.FIB, True),
        ("fib daddr type local accept", True),
        ("meta nfproto ipv4 fib saddr . iif oif missing drop", False),
    ],
)
def test_filters_for_both_families_count_where_ipv6_gets_that_far(
    rule: str, pod: Sandbox, routing: Callable[[int], Routing], *, found: bool
) -> None:
    with suppress_rule(pod.file), nft_rule(pod.file, rule, "inet"):
        users = routing(pod.inode).users

    assert bool(users) is found


def test_rules_as_wg_quick_adds_them_are_known_to_be_its_own(
    pod: Sandbox, routing: Callable[[int], Routing]
) -> None:
    with wg_quick_rules(pod.file), nft_rule(pod.file):
        (installer,) = routing(pod.inode).installers

    assert installer.text == "wg-quick, or alike (rule 'not from all fwmark 0xca6c lookup 51820')"


def test_a_rule_that_a_person_added_is_nobodys_in_particular(
    pod: Sandbox, routing: Callable[[int], Routing]
) -> None:
    with trap(pod.file):
        assert routing(pod.inode).installers == ()


def test_a_rule_of_a_network_configuration_is_known_by_its_protocol(
    pod: Sandbox, routing: Callable[[int], Routing]
) -> None:
    with held_namespace.inside(pod.file):
        rule = ["ip", "-6", "rule", "add", "table", "main", "suppress_prefixlength", "0"]
        subprocess.run([*rule, "protocol", "static"], check=True)

    with nft_rule(pod.file):
        found = routing(pod.inode)

    assert found.rules[0].protocol == 4
    assert found.installers[0].program.startswith("a network configuration")


def test_packets_through_a_trap_leak_nothing_on_a_kernel_without_the_fault(
    live: LiveHost, look: Callable[..., Inventory], pod: Sandbox
) -> None:
    memory, start = Growths(), moments.now()
    with trap(pod.file), contextlib.ExitStack() as opened:
        with held_namespace.inside(pod.file):
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            sender = opened.enter_context(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
        sender.connect(("::1", 9))
        for number in range(8):
            for _ in range(500):
                with contextlib.suppress(ConnectionRefusedError):  # Nobody listens there.
                    sender.send(b"x")
            occasion = Occasion(look(), start.after(120.0 * number), memory)
            sample = source.collect(live, occasion)
            memory = sample.growths
        judged = [o for o in detector.judge(sample, DEFAULTS) if o.subject.namespace == pod.inode]

    assert [o.reason for o in judged] == [detector.TRAP]


def test_route_objects_of_the_host_are_explained(
    live: LiveHost, look: Callable[..., Inventory]
) -> None:
    sample = source.collect(live, Occasion(look(), moments.now()))

    assert sample.routings[0].is_host
    assert sample.routings[0].objects is not None
    assert sample.routings[0].objects.unexplained < DEFAULTS.route_objects


def test_the_command_line_sets_the_same_trap(
    pod: Sandbox, observe: Callable[[int], list[Observation]]
) -> None:
    command = [sys.executable, "-m", suppress_prefix.__name__, "--pid", str(pod.pid)]
    paths = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=paths
    ) as child:
        assert child.stdout is not None
        assert str(pod.pid).encode() in child.stdout.readline()
        assert observe(pod.inode)
        child.communicate()

    assert observe(pod.inode) == []
