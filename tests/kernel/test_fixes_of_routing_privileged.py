"""Rules and filters taken out of throw-away namespaces of this kernel, and look-alikes left in."""

from __future__ import annotations

import ipaddress
import itertools
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kernelhealth_agent import errors, surgery
from kernelhealth_agent.fix import Fix
from kernelhealth_agent.fixes.disable_ipv6_rp_filter import FIX as FILTER
from kernelhealth_agent.fixes.remove_suppress_prefix_rule import FIX as RULE
from kernelhealth_agent.hands import LiveHands, RefusingHands
from kernelhealth_agent.hosts import sockets
from kernelhealth_agent.hosts.deeds import removal
from kernelhealth_agent.hosts.deeds.nft import DeleteFilters
from kernelhealth_agent.hosts.deeds.orders import order
from kernelhealth_agent.hosts.deeds.pod_rules import DeletePodRule
from kernelhealth_agent.hosts.deeds.rules import DeleteRule
from kernelhealth_agent.hosts.deeds.spaces import Space
from kernelhealth_agent.hosts.deeds.sysctls import SetSysctl
from kernelhealth_agent.hosts.live import LiveHost
from kernelhealth_agent.kernel import (
    netlink,
    nftables,
    policy_rules,
    reverse_paths,
    routing,
    rule_orders,
)
from kernelhealth_agent.kernel.routing import Rule
from kernelhealth_agent.surgery import End, Result, Theatre
from kernelhealth_api.detector import Observation, Reason, Severity, Subject
from kernelhealth_e2e.faults import held_namespace
from kernelhealth_e2e.faults.namespace import Sandbox, sandbox

TRAP = Reason("SuppressPrefixTrap", Severity.WARNING, "A trap is set.")
MISSING = "fib saddr . iif oif missing drop"
Treat = Callable[..., Result]


@pytest.fixture
def pod() -> Iterator[Sandbox]:
    with sandbox() as made:
        yield made


def run(pod: Sandbox, *command: str, text: str = "") -> str:
    with held_namespace.inside(pod.file):
        ran = subprocess.run(command, check=True, capture_output=True, text=True, input=text)
    return ran.stdout


def rules(pod: Sandbox) -> list[list[str]]:
    printed = run(pod, "ip", "-6", "rule", "show").replace(" [detached]", "")
    return [line.split() for line in printed.splitlines()]


def chain(pod: Sandbox, *lines: str, family: str = "ip6") -> None:
    body = "\n".join(lines)
    hook = "type filter hook prerouting priority raw; policy accept;"
    run(pod, "nft", "-f", "-", text=f"table {family} box {{ chain first {{ {hook}\n{body}\n }}\n}}")


def listed(pod: Sandbox) -> str:
    return run(pod, "nft", "list", "ruleset")


@pytest.fixture
def texts(live: LiveHost, pod: Sandbox) -> Callable[[], list[str]]:
    """Name the rules that look up routes, as the detector does."""

    def found() -> list[str]:
        stream = live.dump(nftables.request(), pod.file)
        return [user.text for user in nftables.fib_users(stream, "netlink nft-rules")]

    return found


@pytest.fixture
def treat(live: LiveHost, pod: Sandbox, tmp_path: Path) -> Treat:
    """Do a fix to a finding of the pod, as the agent on somebody's own machine does."""

    def treated(fix: Fix, rule: str) -> Result:
        subject = Subject(namespace=pod.inode, rule=rule)
        found = Observation(TRAP, str(pod.inode), subject, "It is set.", None, (fix.name,))
        theatre = Theatre(
            host=live,
            hands=RefusingHands(LiveHands("/", str(tmp_path))),
            wait=lambda _: None,
            uptime=itertools.count().__next__,
            doing=lambda _: None,
            did=lambda _: None,
            patience=3.0,
        )
        (result,) = surgery.operate(fix, fix.aims([found]), theatre, "request-1")
        return result

    return treated


SELECTORS = [
    "from all",
    "not from all fwmark 0xca6c",
    "from 2001:db8::/32",
    "from all to 2001:db8:1::1",
    "from all fwmark 0x10/0xf0",
    "from all iif lo",
    "from all oif nothere",
]


@pytest.mark.parametrize("selector", SELECTORS)
def test_the_rule_that_was_found_goes_and_its_likes_stay(
    selector: str, pod: Sandbox, treat: Treat, tmp_path: Path
) -> None:
    words = selector.split()
    found = ["priority", "500", *words, "lookup", "main", "suppress_prefixlength", "0"]
    for like in (
        ["priority", "501", *found[2:]],
        [*found[:-1], "16"],
        found[:-2],
        [*found[:-3], "51820", *found[-2:]],
    ):
        run(pod, "ip", "-6", "rule", "add", *like)
    before = rules(pod)
    run(pod, "ip", "-6", "rule", "add", *found)
    text = f"500: {selector} lookup main suppress_prefixlength 0"

    result = treat(RULE, text)

    assert result.end is End.ACHIEVED, result
    assert sorted(rules(pod)) == sorted(before)
    (kept,) = (tmp_path / "request-1").iterdir()
    again = kept.read_text().partition(": ip ")[2].split()
    run(pod, "ip", *again)
    assert text.split() in rules(pod)


@pytest.mark.parametrize(
    "narrow", ["fwmark 0x1", "iif lo", "oif lo", "uidrange 1-2", "suppress_ifgroup 3"]
)
def test_a_rule_that_the_kernel_takes_another_for_is_left_to_a_person(
    narrow: str, pod: Sandbox, treat: Treat
) -> None:
    found = ["priority", "500", "from", "all", "lookup", "main", "suppress_prefixlength", "0"]
    run(pod, "ip", "-6", "rule", "add", *found, *narrow.split())
    run(pod, "ip", "-6", "rule", "add", *found)
    before = rules(pod)

    result = treat(RULE, "500: from all lookup main suppress_prefixlength 0")

    assert result.end is End.REFUSED, result
    assert rules(pod) == before


def test_a_rule_before_its_narrower_like_goes_alone(pod: Sandbox, treat: Treat) -> None:
    found = ["priority", "500", "from", "all", "lookup", "main", "suppress_prefixlength", "0"]
    run(pod, "ip", "-6", "rule", "add", *found)
    run(pod, "ip", "-6", "rule", "add", *found, "fwmark", "0x1")
    run(pod, "ip", "-6", "rule", "add", *found[:-1], "8", "fwmark", "0x2")
    before = rules(pod)

    result = treat(RULE, "500: from all lookup main suppress_prefixlength 0")

    assert result.end is End.ACHIEVED, result
    assert rules(pod) == [rule for rule in before if rule[1:] != found[2:]]


def test_a_narrower_like_that_came_before_it_since_it_was_judged_stays(
    pod: Sandbox, live: LiveHost, tmp_path: Path
) -> None:
    """Between the look and the deed the rule is made anew, behind one that fits as well."""
    found = ["priority", "500", "from", "all", "lookup", "main", "suppress_prefixlength", "0"]
    run(pod, "ip", "-6", "rule", "add", *found)
    (rule,) = rule_orders.suppressing(live.dump(policy_rules.request(), pod.file), "netlink")
    deed = DeleteRule(Space(pod.inode, pod.file.lstrip("/"), is_host=False), rule.text, rule.body)
    run(pod, "ip", "-6", "rule", "del", *found)
    run(pod, "ip", "-6", "rule", "add", *found, "fwmark", "0x1")
    run(pod, "ip", "-6", "rule", "add", *found)
    before = rules(pod)

    with pytest.raises(errors.UnreadableError, match="would delete for it"):
        deed.do("/", str(tmp_path))

    assert rules(pod) == before


@pytest.mark.parametrize("priority", ["0", "1536"])
def test_the_rule_of_a_pod_goes_and_every_look_alike_stays(
    priority: str, pod: Sandbox, tmp_path: Path
) -> None:
    address, place = "192.0.2.201", ["priority", priority]
    likes = [
        [*place, "from", "192.0.2.202", "lookup", "7"],
        [*place, "from", address, "lookup", "8"],
        [*place, "to", address, "lookup", "7"],
        [*place, "not", "from", address, "fwmark", "0x2", "lookup", "9"],
        ["priority", "1537", "from", address, "lookup", "7"],
    ]
    for like in likes:
        run(pod, "ip", "rule", "add", *like)
    before = run(pod, "ip", "rule", "show")
    run(pod, "ip", "rule", "add", *place, "from", address, "lookup", "7")

    with held_namespace.inside(pod.file):
        DeletePodRule(Rule(int(priority), 7, address, None)).do("/", str(tmp_path))

    assert run(pod, "ip", "rule", "show") == before


@pytest.mark.parametrize("narrow", ["to 198.51.100.1", "not to 198.51.100.1"])
def test_the_rule_of_a_pod_stays_while_a_narrower_one_would_go_for_it(
    narrow: str, pod: Sandbox, tmp_path: Path
) -> None:
    """``ip`` adds them in another order only; programs that do not ask for NLM_F_EXCL need not."""
    place = ["priority", "1536", "from", "192.0.2.201", "lookup", "7"]
    run(pod, "ip", "rule", "add", *place)
    with held_namespace.inside(pod.file):
        stream = sockets.dump(routing.rules_request(), None)
    (wide,) = (
        body
        for body in rule_orders.bodies(stream, "netlink")
        if ipaddress.ip_address("192.0.2.201").packed in body
    )
    run(pod, "ip", "rule", "del", *place)
    *inverted, _, address = narrow.split()
    run(pod, "ip", "rule", "add", *inverted, *place, "to", address)
    order(rule_orders.PROTOCOL, rule_orders.ADD, wide, pod.file, netlink.CREATE)
    before = run(pod, "ip", "rule", "show")

    with (
        held_namespace.inside(pod.file),
        pytest.raises(errors.UnreadableError, match="would delete for it"),
    ):
        DeletePodRule(Rule(1536, 7, "192.0.2.201", None)).do("/", str(tmp_path))

    assert run(pod, "ip", "rule", "show") == before


def test_a_rule_that_the_kernel_deletes_for_another_is_made_anew(
    pod: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if one that fits as well came in between the look and the order."""
    found = ["priority", "500", "from", "all", "lookup", "main", "suppress_prefixlength", "0"]
    run(pod, "ip", "-6", "rule", "add", *found, "iif", "nothere")
    run(pod, "ip", "-6", "rule", "add", *found)
    before = rules(pod)
    monkeypatch.setattr(rule_orders, "rival", lambda *_: None)

    with (
        held_namespace.inside(pod.file),
        pytest.raises(errors.UnreadableError, match="another rule went for it"),
    ):
        removal.remove(
            next(
                rule.body
                for rule in rule_orders.suppressing(
                    sockets.dump(policy_rules.request(), None), "netlink"
                )
                if "iif" not in rule.text
            ),
            policy_rules.request(),
        )

    assert sorted(rules(pod)) == sorted(before)


def test_a_rule_that_is_gone_is_refused(pod: Sandbox, treat: Treat) -> None:
    before = rules(pod)

    result = treat(RULE, "500: from all lookup main suppress_prefixlength 0")

    assert (result.end, result.why) == (End.REFUSED, "the rule is gone already")
    assert rules(pod) == before


def test_the_filter_goes_with_the_rule_that_logs_for_it(
    pod: Sandbox, treat: Treat, texts: Callable[[], list[str]]
) -> None:
    chain(
        pod,
        "tcp dport 22 accept",
        'fib saddr . iif oif missing log prefix "forged"',
        "fib saddr . iif oif missing counter drop",
        "ip6 saddr { 2001:db8::1, 2001:db8::2 } fib saddr . iif oif missing drop",
        "fib daddr type local accept",
        "fib saddr . iif oif exists accept",
        "ip6 saddr ::1 drop",
    )

    result = treat(FILTER, f"500: some rule; {texts()[0]}")

    assert result.end is End.ACHIEVED, result
    left = listed(pod)
    assert "missing" not in left
    for other in ("tcp dport 22", "fib daddr type local", "oif exists accept", "ip6 saddr ::1"):
        assert other in left, left


def test_the_filter_for_both_families_goes_as_firewalld_has_it(
    pod: Sandbox, treat: Treat, texts: Callable[[], list[str]]
) -> None:
    chain(pod, f"meta nfproto ipv6 {MISSING}", "ct state invalid drop", family="inet")

    result = treat(FILTER, f"500: some rule; {texts()[0]}")

    assert result.end is End.ACHIEVED, result
    assert "fib" not in listed(pod)
    assert "ct state invalid drop" in listed(pod)


def test_the_filter_of_ip6tables_goes_where_it_is_made_of_nftables(
    pod: Sandbox, treat: Treat, texts: Callable[[], list[str]]
) -> None:
    place = ("-t", "raw", "-A", "PREROUTING")
    run(pod, "ip6tables-nft", *place, "-m", "rpfilter", "--invert", "-j", "DROP")
    run(pod, "ip6tables-nft", *place, "-p", "tcp", "--dport", "22", "-j", "ACCEPT")

    result = treat(FILTER, f"500: some rule; {texts()[0]}")

    assert result.end is End.ACHIEVED, result
    assert texts() == []
    assert "dport 22" in listed(pod)


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ("fib daddr type local drop", "for another reason"),
        ("fib saddr type multicast drop", "for another reason"),
        ("fib daddr . iif oif missing drop", "for another reason"),
        ("fib saddr . iif oif exists accept", "may let packets pass"),
        ("fib saddr . iif oif missing jump other", "may let packets pass"),
        ("fib saddr . iif oif vmap { 0 : drop }", "may let packets pass"),
    ],
)
def test_what_is_no_filter_of_forged_senders_stays(
    rule: str, why: str, pod: Sandbox, treat: Treat, texts: Callable[[], list[str]]
) -> None:
    run(pod, "nft", "-f", "-", text="table ip6 box { chain other { drop; }\n}")
    chain(pod, rule)
    before = listed(pod)

    result = treat(FILTER, f"500: some rule; {texts()[0]}")

    assert (result.end, why in result.why) == (End.REFUSED, True), result
    assert listed(pod) == before


def test_a_table_that_a_program_owns_stays(
    pod: Sandbox, treat: Treat, texts: Callable[[], list[str]]
) -> None:
    with held_namespace.inside(pod.file):
        owner = subprocess.Popen(
            ["nft", "--interactive"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
    with owner:
        assert owner.stdin is not None
        assert owner.stdout is not None
        hook = "type filter hook prerouting priority raw;"
        owner.stdin.write("add table ip6 box { flags owner; }\n")
        owner.stdin.write(f"add chain ip6 box first {{ {hook} }}\n")
        owner.stdin.write(f"add rule ip6 box first {MISSING}\nlist ruleset\n")
        owner.stdin.flush()
        next(line for line in owner.stdout if "missing" in line)

        result = treat(FILTER, f"500: some rule; {texts()[0]}")

        assert (result.end, "that owns it" in result.why) == (End.REFUSED, True), result
        assert len(texts()) == 1


def test_of_several_filters_all_go_or_none(
    pod: Sandbox, live: LiveHost, tmp_path: Path, texts: Callable[[], list[str]]
) -> None:
    chain(pod, MISSING, f"iif lo {MISSING}")
    found = reverse_paths.lookups(live.dump(nftables.request(), pod.file), "netlink nft-rules")
    run(pod, "nft", "delete", "rule", "ip6", "box", "first", "handle", found[1].text.split()[4])
    space = Space(pod.inode, pod.file.lstrip("/"), is_host=False)
    deed = DeleteFilters(space, tuple(one.text for one in found), tuple(one.body for one in found))

    with pytest.raises(errors.UnreadableError, match="no such filter any more"):
        deed.do("/", str(tmp_path))

    assert texts() == [found[0].text]


def test_a_batch_with_one_rule_that_is_gone_deletes_none(
    pod: Sandbox, live: LiveHost, texts: Callable[[], list[str]]
) -> None:
    chain(pod, MISSING, f"iif lo {MISSING}")
    found = reverse_paths.lookups(live.dump(nftables.request(), pod.file), "netlink nft-rules")
    run(pod, "nft", "delete", "rule", "ip6", "box", "first", "handle", found[1].text.split()[4])

    number = reverse_paths.generation(live.dump(reverse_paths.generation_request(), pod.file), "")
    batch, _ = reverse_paths.deletion(tuple(one.body for one in found), number)
    with sockets.opened(reverse_paths.PROTOCOL, pod.file) as asked:
        asked.send(batch)
        asked.recv(1 << 16)

    assert texts() == [found[0].text]


def test_a_filter_is_left_where_somebody_changes_the_rules_at_that_moment(
    pod: Sandbox,
    live: LiveHost,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    texts: Callable[[], list[str]],
) -> None:
    chain(pod, MISSING)
    lookups = reverse_paths.lookups
    (found,) = lookups(live.dump(nftables.request(), pod.file), "netlink nft-rules")
    deed = DeleteFilters(
        Space(pod.inode, pod.file.lstrip("/"), is_host=False), (found.text,), (found.body,)
    )

    def changed_meanwhile(stream: bytes, path: str) -> tuple[reverse_paths.Lookup, ...]:
        run(pod, "nft", "add", "table", "ip6", "another")
        return lookups(stream, path)

    monkeypatch.setattr(reverse_paths, "lookups", changed_meanwhile)
    with pytest.raises(OSError, match="nf_tables refuses"):
        deed.do("/", str(tmp_path))

    assert texts() == [found.text]


@pytest.mark.parametrize("kind", [DeleteRule, DeleteFilters])
def test_nothing_is_done_where_the_file_leads_elsewhere_by_now(
    kind: Any, pod: Sandbox, live: LiveHost, tmp_path: Path
) -> None:
    run(pod, "ip", "-6", "rule", "add", "priority", "500", "lookup", "main", "suppress_pref", "0")
    chain(pod, MISSING)
    (rule,) = rule_orders.suppressing(live.dump(policy_rules.request(), pod.file), "netlink")
    (found,) = reverse_paths.lookups(live.dump(nftables.request(), pod.file), "netlink")
    space = Space(pod.inode + 1, pod.file.lstrip("/"), is_host=False)
    deed = (
        kind(space, rule.text, rule.body)
        if kind is DeleteRule
        else kind(space, (found.text,), (found.body,))
    )

    with pytest.raises(errors.AbsentError, match="no longer"):
        deed.do("/", str(tmp_path))

    assert "missing" in listed(pod)
    assert any("suppress_prefixlength" in rule for rule in rules(pod))


def test_what_is_the_hosts_own_is_called_host_wide() -> None:
    own, other = Space(1, "proc/1/ns/net", is_host=True), Space(2, "proc/17/ns/net", is_host=False)

    assert [DeleteRule(space, "", b"").host_wide for space in (own, other)] == [True, False]
    assert [DeleteFilters(space, (), ()).host_wide for space in (own, other)] == [True, False]


def test_a_sysctl_is_set_as_the_kernel_takes_it(pod: Sandbox, tmp_path: Path) -> None:
    path, before = Path("/proc/sys/net/ipv4/ip_default_ttl"), 64
    of_host = path.read_text()
    with held_namespace.inside(pod.file):
        assert int(path.read_text()) == before
        SetSysctl("net.ipv4.ip_default_ttl", 65, before).do("/", str(tmp_path))
        after = path.read_text()

        with pytest.raises(OSError, match="Invalid argument"):
            SetSysctl("net.ipv4.ip_default_ttl", 1 << 20, 65).do("/", str(tmp_path))

    assert (after, path.read_text()) == ("65\n", of_host)
