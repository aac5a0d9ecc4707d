from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from kernelhealth_agent import errors
from kernelhealth_agent.detectors import suppress_prefix as detector
from kernelhealth_agent.hosts.recorded import RecordedHost
from kernelhealth_agent.source import Occasion
from kernelhealth_agent.sources import suppress_prefix as source
from kernelhealth_api.detector import Observation, Severity

Recorded = Callable[..., tuple[RecordedHost, Occasion[None]]]
DEFAULTS = detector.SuppressPrefixParams()
HOSTS = Path(__file__).parents[2] / "fixtures" / "hosts"
POD = 4026532178


def observe(host: RecordedHost, occasion: Occasion[None]) -> list[Observation]:
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
        " (set up by /etc/wireguard/wg0.conf:5)."
    )
    assert (found.subject.pod, found.subject.namespace) == ("vpn/gateway-0", POD)
    assert found.cures == ("RemoveSuppressPrefixRule", "DisableIPv6RPFilter")


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
        "The host has 24097 IPv6 route objects, of which its routes and sockets explain 40"
        " (cache ip6_dst_cache, counted in /proc/slabinfo also as pool_workqueue); remove the rule"
        " or the filter to stop it, and plan a reboot: nothing else frees them (set up by"
        " /etc/systemd/network/10-azure.network:6, /etc/firewalld/firewalld.conf:3)."
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
