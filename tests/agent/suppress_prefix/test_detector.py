from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kernelhealth_agent import errors
from kernelhealth_agent.detectors import suppress_prefix as detector
from kernelhealth_agent.hosts.recorded import RecordedHost
from kernelhealth_agent.kernel.route_growth import Growths, Point, Series
from kernelhealth_agent.moments import Moment
from kernelhealth_agent.source import Occasion
from kernelhealth_agent.sources import suppress_prefix as source
from kernelhealth_api.detector import Observation, Severity

Recorded = Callable[..., tuple[RecordedHost, Occasion[Growths]]]
DEFAULTS = detector.SuppressPrefixParams()
HOSTS = Path(__file__).parents[2] / "fixtures" / "hosts"
POD = 4026532178
START = Moment(datetime(2026, 1, 1, tzinfo=UTC), 0.0)


def observe(host: RecordedHost, occasion: Occasion[Growths]) -> list[Observation]:
    return list(detector.judge(source.collect(host, occasion), DEFAULTS))


@pytest.fixture
def copied(tmp_path: Path) -> Callable[[str], Path]:
    """Copy a recorded host, to change it."""

    def made(name: str) -> Path:
        target = tmp_path / name
        shutil.copytree(HOSTS / name, target, symlinks=True)
        return target

    return made


def test_a_trap_names_pod_rule_filter_and_file(recorded: Recorded) -> None:
    (found,) = observe(*recorded("suppress_prefix-trap"))

    assert found.reason is detector.TRAP
    assert found.message == (
        "Pod vpn/gateway-0 has the IPv6 rule '31337: from all lookup main suppress_prefixlength 0'"
        " together with 'ip6 kernelhealth-fault prerouting handle 2 (fib)': an affected kernel"
        " would lose a route object with each packet; remove either"
        " (set up by wg-quick: /etc/wireguard/wg0.conf:5)."
    )
    assert (found.subject.pod, found.subject.namespace) == ("vpn/gateway-0", POD)
    assert found.cures == ("RemoveSuppressPrefixRule", "DisableIPv6RPFilter")


def test_files_of_the_host_are_not_blamed_for_a_pods_own_rules(
    recorded: Recorded, copied: Callable[[str], Path]
) -> None:
    directory = copied("suppress_prefix-trap")
    (directory / "proc/230/root/etc/wireguard/wg0.conf").write_text("")
    (directory / "etc/firewalld").mkdir(parents=True)
    (directory / "etc/firewalld/firewalld.conf").write_text("IPv6_rpfilter=yes\n")

    (found,) = observe(*recorded(str(directory)))

    assert "set up by" not in found.message
    assert found.subject.file is None


def test_a_trap_is_only_noted_on_a_release_without_the_fault(recorded: Recorded) -> None:
    (found,) = observe(*recorded("suppress_prefix-trap"))

    assert found.severity is Severity.INFO


def test_a_trap_is_a_warning_on_a_release_with_the_fault(
    recorded: Recorded, copied: Callable[[str], Path]
) -> None:
    directory = copied("suppress_prefix-trap")
    (directory / "proc/sys/kernel/osrelease").write_text("5.10.50\n")
    (directory / "proc/version").write_text("Linux version 5.10.50\n")

    (found,) = observe(*recorded(str(directory)))

    assert (found.severity or found.reason.severity) is Severity.WARNING
    assert "this kernel may lose" in found.message


def test_behaviour_outweighs_the_release(recorded: Recorded, copied: Callable[[str], Path]) -> None:
    directory = copied("suppress_prefix-trap")
    (directory / "proc/230/net/rt6_stats").write_text("3 2 5 3 0 4000 0\n")
    (directory / "proc/230/net/sockstat6").write_text("TCP6: inuse 1\n")

    trap, leaking = observe(*recorded(str(directory)))

    assert (trap.severity or trap.reason.severity) is Severity.WARNING
    assert leaking.reason is detector.LEAKING


def test_half_a_trap_is_none(recorded: Recorded) -> None:
    assert observe(*recorded("suppress_prefix-healthy")) == []


def test_a_leak_names_what_explains_it_and_the_merged_cache(recorded: Recorded) -> None:
    trap, leaking = observe(*recorded("suppress_prefix-leaking"))

    assert leaking.message == (
        "The host has about 24000 IPv6 route objects, of which its routes and sockets explain 40"
        " (cache ip6_dst_cache, counted in /proc/slabinfo also as pool_workqueue), which costs"
        " 5.9 MiB; remove the rule or the filter to stop it, and plan a reboot: nothing else frees"
        " them (set up by systemd-networkd: /etc/systemd/network/10-azure.network:6, firewalld:"
        " /etc/firewalld/firewalld.conf:3)."
    )
    assert leaking.cures[-1] == "Reboot"
    assert trap.subject.pod is None
    assert trap.message.startswith("The host has the IPv6 rule")


def test_a_leak_is_critical_when_it_is_large(
    recorded: Recorded, copied: Callable[[str], Path]
) -> None:
    directory = copied("suppress_prefix-leaking")
    (directory / "proc/1/net/rt6_stats").write_text("9 6 a 7 0 100000 0\n")

    _, leaking = observe(*recorded(str(directory)))

    assert leaking.severity is Severity.CRITICAL


def test_growth_is_critical_and_says_until_when_memory_lasts(recorded: Recorded) -> None:
    host, occasion = recorded("suppress_prefix-growing")
    memory = source.SOURCE.recalled(host.recording()["memories"]["suppress_prefix"])
    later = dataclasses.replace(START, uptime=host.recording()["uptime"])

    found = observe(host, Occasion(occasion.inventory, later, memory))

    trap, leaking = found
    assert (trap.severity or trap.reason.severity) is Severity.WARNING
    assert leaking.severity is Severity.CRITICAL
    assert leaking.measure is not None
    assert leaking.measure.per_hour == 51_000
    assert leaking.measure.exhaustion == datetime(2026, 1, 1, 16, tzinfo=UTC)
    assert leaking.measure.earliest == leaking.measure.latest == leaking.measure.exhaustion
    assert leaking.subject.file == "/etc/netplan/50-cloud-init.yaml:9"
    assert "and 51000 more each hour (12.5 MiB): memory lasts until about" in leaking.message
    assert "set up by cloud-init through Netplan: /etc/netplan/50-cloud-init" in leaking.message


@pytest.mark.parametrize(
    ("points", "why"),
    [
        ([(0, 700_000), (120, 760_000)], "too few looks"),
        ([(10 * i, 700_000 + 8000 * i) for i in range(13)], "too short a time"),
        ([(120 * i, 822_000 + i) for i in range(13)], "too slow"),
        ([(120 * i, 822_000 + 9000 * (i % 2)) for i in range(13)], "up and down"),
    ],
)
def test_what_does_not_grow_for_sure_is_no_growth(
    points: list[tuple[float, int]], why: str, recorded: Recorded
) -> None:
    host, occasion = recorded("suppress_prefix-growing")
    inode = occasion.inventory.host.inode
    series = Series(inode, tuple(Point(1000.0 + at, count) for at, count in points[:-1]))
    later = dataclasses.replace(START, uptime=1000.0 + points[-1][0])

    sample = source.collect(host, Occasion(occasion.inventory, later, Growths((series,))))
    (_, leaking) = detector.judge(sample, DEFAULTS)

    assert leaking.measure is not None
    assert leaking.measure.per_hour is None, why


def test_a_growth_below_the_count_is_a_leak_too(
    recorded: Recorded, copied: Callable[[str], Path]
) -> None:
    directory = copied("suppress_prefix-growing")
    (directory / "proc/1/net/rt6_stats").write_text("9 6 a 7 0 500 0\n")
    host, occasion = recorded(str(directory))
    points = tuple(Point(120.0 * i, 150 + 90 * i) for i in range(12))
    series = Series(occasion.inventory.host.inode, points)
    later = dataclasses.replace(START, uptime=1440.0)

    found = observe(host, Occasion(occasion.inventory, later, Growths((series,))))

    assert [o.reason for o in found] == [detector.TRAP, detector.LEAKING]
    assert found[1].severity is Severity.CRITICAL


def test_a_leak_stays_one_after_the_rule_is_gone(
    recorded: Recorded, copied: Callable[[str], Path]
) -> None:
    directory = copied("suppress_prefix-leaking")
    healthy = HOSTS / "suppress_prefix-trap" / "netlink/rules6.hex"
    shutil.copy(healthy, directory / "netlink/rules6.hex")

    (leaking,) = observe(*recorded(str(directory)))

    assert leaking.reason is detector.LEAKING
    assert leaking.cures == ("Reboot",)


def test_many_sockets_are_no_leak(recorded: Recorded, copied: Callable[[str], Path]) -> None:
    directory = copied("suppress_prefix-healthy")
    (directory / "proc/230/net/rt6_stats").write_text("3 2 5 3 0 4000 0\n")
    (directory / "proc/230/net/sockstat6").write_text("TCP6: inuse 16000\n")

    assert observe(*recorded(str(directory))) == []


def test_nothing_is_asked_where_asking_may_load_a_module(
    recorded: Recorded, copied: Callable[[str], Path]
) -> None:
    directory = copied("suppress_prefix-trap")
    (directory / "proc/modules").write_text("xfs 1 0 - Live 0x0\n")
    # Were it asked for after all, the garbage would be noticed.
    (directory / f"netlink/nft-rules@{POD}.hex").write_text("garbage")

    (found,) = observe(*recorded(str(directory)))

    assert found.severity is Severity.INFO
    assert "was not asked" in found.message
    assert "mount lib/modules" in found.message


def test_a_kernel_without_nftables_has_no_trap(
    recorded: Recorded, copied: Callable[[str], Path]
) -> None:
    directory = copied("suppress_prefix-trap")
    (directory / "proc/modules").write_text("xfs 1 0 - Live 0x0\n")
    builtin = directory / "lib/modules/6.18.44/modules.builtin"
    builtin.parent.mkdir(parents=True)
    builtin.write_text("kernel/fs/ext4/ext4.ko\n")
    (directory / f"netlink/nft-rules@{POD}.hex").write_text("garbage")

    assert observe(*recorded(str(directory))) == []


def test_the_rpfilter_of_ip6tables_is_the_other_half_too(
    recorded: Recorded, copied: Callable[[str], Path]
) -> None:
    directory = copied("suppress_prefix-trap")
    (directory / "proc/modules").write_text("ip6t_rpfilter 16384 1 - Live 0x0\n")
    (directory / "proc/230/net/ip6_tables_names").write_text("raw\nfilter\n")

    (found,) = observe(*recorded(str(directory)))

    assert "'ip6tables raw (rpfilter)'" in found.message


def test_without_ipv6_rules_nothing_is_claimed(recorded: Recorded) -> None:
    with pytest.raises(errors.AbsentError, match="rules6"):
        observe(*recorded("suppress_prefix-not-available"))


@pytest.mark.parametrize(
    "path",
    ["netlink/rules6.hex", f"netlink/nft-rules@{POD}.hex", "proc/1/net/rt6_stats"],
)
def test_garbage_names_the_file(
    path: str, recorded: Recorded, copied: Callable[[str], Path]
) -> None:
    directory = copied("suppress_prefix-trap")
    (directory / path).write_text("0badc0de666962006669620000")

    with pytest.raises(errors.UnreadableError) as caught:
        observe(*recorded(str(directory)))

    assert Path(path).stem.partition("@")[0] in str(caught.value)


def test_a_namespace_that_goes_meanwhile_is_left_out(
    recorded: Recorded, copied: Callable[[str], Path]
) -> None:
    directory = copied("suppress_prefix-trap")
    (directory / f"netlink/rules6@{POD}.hex").unlink()

    sample = source.collect(*recorded(str(directory)))

    assert [routing.is_host for routing in sample.routings] == [True]


def test_observations_are_unique_by_reason_and_key(recorded: Recorded) -> None:
    for name in ("suppress_prefix-trap", "suppress_prefix-leaking"):
        observations = observe(*recorded(name))

        assert len({(o.reason.name, o.key) for o in observations}) == len(observations)
