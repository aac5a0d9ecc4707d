"""On a recorded host, where nothing is changed; tests/kernel does it to the running kernel."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kernelhealth_agent import surgery
from kernelhealth_agent.detectors import suppress_prefix as detector
from kernelhealth_agent.fixes.disable_ipv6_rp_filter import FIX as FILTER
from kernelhealth_agent.fixes.remove_suppress_prefix_rule import FIX as RULE
from kernelhealth_agent.hands import DryHands
from kernelhealth_agent.hosts.recorded import RecordedHost
from kernelhealth_agent.kernel import netlink, policy_rules, rule_orders
from kernelhealth_agent.source import Occasion
from kernelhealth_agent.sources import suppress_prefix as source
from kernelhealth_agent.surgery import End, Result, Theatre
from kernelhealth_api.detector import Observation, Severity

Recorded = Callable[..., tuple[RecordedHost, Occasion[Any]]]
HOSTS = Path(__file__).parents[2] / "fixtures" / "hosts"
POD = 4026532178
TEXT = "31337: from all lookup main suppress_prefixlength 0"
NAME = "ip6 kernelhealth-fault prerouting handle 2 (fib)"


def _table(owner: bytes) -> str:
    """Return a recorded answer with the filter's table, owned by a program or not."""
    body = b"\x0a\0\0\0" + netlink.attribute(1, b"kernelhealth-fault\0") + owner
    return (netlink.HEADER.pack(16 + len(body), 10 << 8, 2, 1, 0) + body).hex() + "\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A recorded host with the trap, of a release with the fault."""
    target = tmp_path / "trap"
    shutil.copytree(HOSTS / "suppress_prefix-trap", target, symlinks=True)
    (target / "proc/sys/kernel/osrelease").write_text("5.10.0\n")
    (target / f"netlink/nft-tables@{POD}.hex").write_text(_table(b""))
    return target


@pytest.fixture
def found(root: Path, recorded: Recorded) -> Observation:
    """What is said of the trap."""
    sample = source.collect(*recorded(root))
    (trap,) = detector.judge(sample, detector.SuppressPrefixParams())
    return trap


def treat(fix: Any, root: Path, *found: Observation) -> tuple[list[Result], list[str]]:
    """Return what would be done."""
    hands, host = DryHands(), RecordedHost(str(root))
    theatre = Theatre(host, hands, lambda _: None, lambda: 0.0, print, print, patience=0.0)
    return surgery.operate(fix, fix.aims(found), theatre, "request-1"), hands.told


def rewritten(root: Path, name: str, change: Callable[[str], str]) -> None:
    path = root / "netlink" / f"{name}@{POD}.hex"
    path.write_text(change(path.read_text()))


def test_the_rule_that_was_found_would_go(root: Path, found: Observation) -> None:
    _, told = treat(RULE, root, found)

    assert told == [f"the IPv6 rule '{TEXT}' is deleted in network namespace {POD}"]


def test_the_filter_that_was_found_would_go(root: Path, found: Observation) -> None:
    _, told = treat(FILTER, root, found)

    assert told == [f"the filter '{NAME}' is deleted in network namespace {POD}"]


@pytest.mark.parametrize("fix", [RULE, FILTER], ids=lambda fix: fix.name)
def test_nothing_is_done_where_nothing_harms(root: Path, found: Observation, fix: Any) -> None:
    noted = dataclasses.replace(found, severity=Severity.INFO)

    (result,), told = treat(fix, root, noted)

    assert (result.end, "not known to do harm" in result.why) == (End.REFUSED, True), result
    assert told == []


@pytest.mark.parametrize("fix", [RULE, FILTER], ids=lambda fix: fix.name)
def test_of_two_findings_the_graver_counts(root: Path, found: Observation, fix: Any) -> None:
    noted = dataclasses.replace(found, severity=Severity.INFO)

    results, told = treat(fix, root, noted, found)

    assert (len(results), len(told)) == (1, 1)


@pytest.mark.parametrize(
    ("fix", "name"), [(RULE, "rules6"), (FILTER, "nft-rules")], ids=["rule", "filter"]
)
def test_what_is_gone_already_is_refused(
    root: Path, found: Observation, fix: Any, name: str
) -> None:
    rewritten(root, name, lambda _: "")

    (result,), _ = treat(fix, root, found)

    assert (result.end, "gone already" in result.why) == (End.REFUSED, True), result


@pytest.mark.parametrize("fix", [RULE, FILTER], ids=lambda fix: fix.name)
def test_a_namespace_that_is_gone_is_refused_and_is_as_good_as_cured(
    root: Path, found: Observation, fix: Any
) -> None:
    shutil.rmtree(root / "proc/230")
    (aim,) = fix.aims([found])

    (result,), _ = treat(fix, root, found)

    assert (result.end, "is gone" in result.why) == (End.REFUSED, True), result
    assert fix.achieved(RecordedHost(str(root)), aim)


def test_another_rule_is_left_alone(root: Path, found: Observation) -> None:
    other = TEXT.replace("31337", "31338")
    subject = found.subject.model_copy(update={"rule": f"{other}; {NAME}"})

    (result,), _ = treat(RULE, root, dataclasses.replace(found, subject=subject))

    assert (result.end, result.why) == (End.REFUSED, "the rule is gone already")


def test_a_filter_of_the_old_ip6tables_is_left_to_a_person(root: Path, found: Observation) -> None:
    subject = found.subject.model_copy(update={"rule": f"{TEXT}; ip6tables raw (rpfilter)"})

    (result,), _ = treat(FILTER, root, dataclasses.replace(found, subject=subject))

    assert (result.end, "by hand" in result.why) == (End.REFUSED, True), result


def test_a_table_that_a_program_owns_is_left_to_it(root: Path, found: Observation) -> None:
    owner = netlink.attribute(7, b"\0\0\0\x11")
    (root / f"netlink/nft-tables@{POD}.hex").write_text(_table(owner))

    (result,), told = treat(FILTER, root, found)

    assert (result.end, "by the program alone that owns it" in result.why) == (End.REFUSED, True)
    assert told == []


def test_a_finding_that_names_no_filter_is_no_aim(root: Path, found: Observation) -> None:
    subject = found.subject.model_copy(update={"rule": TEXT})

    assert treat(FILTER, root, dataclasses.replace(found, subject=subject)) == ([], [])


def test_an_order_says_all_that_the_kernel_said_of_a_rule(root: Path) -> None:
    host = RecordedHost(str(root))
    stream = host.dump(policy_rules.request(), "proc/230/ns/net")

    (order,) = rule_orders.suppressing(stream, "netlink rules6")

    assert order.text == TEXT
    assert order.body in stream
