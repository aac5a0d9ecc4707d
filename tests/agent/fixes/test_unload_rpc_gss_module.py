"""What is told of a machine; the modules of a real kernel are unloaded in virtual machines only."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kernelhealth_agent import errors, surgery
from kernelhealth_agent.fixes.unload_rpc_gss_module import FIX
from kernelhealth_agent.hands import DryHands
from kernelhealth_agent.hosts.deeds.modules import UnloadModule
from kernelhealth_agent.hosts.recorded import RecordedHost
from kernelhealth_agent.source import Occasion
from kernelhealth_agent.surgery import Theatre

from .conftest import HOST_NETNS, Machine, observation

FOUND = observation("NamespacePinnedByGssProxy", namespace=4026532128)
LOADED = "sunrpc 860160 1 auth_rpcgss, Live 0x0\nauth_rpcgss 192512 0 - Live 0x0\n"
WITH_KERBEROS = (
    "rpcsec_gss_krb5 45056 0 - Live 0x0\n"
    "auth_rpcgss 192512 1 rpcsec_gss_krb5, Live 0x0\n"
    "sunrpc 860160 2 rpcsec_gss_krb5,auth_rpcgss, Live 0x0\n"
)
HOLDER = "sys/kernel/debug/sunrpc/rpc_xprt/2/info"
Recorded = Callable[..., tuple[RecordedHost, Occasion[Any]]]


@pytest.fixture
def machine(machine: Machine) -> Machine:
    """A host where gssproxy's client holds a namespace that is gone, and nobody else uses it."""
    machine.write("proc/modules", LOADED)
    machine.write(HOLDER, "netid: local\naddr:  /var/run/gssproxy.sock\nport:  0\nstate: 0x10\n")
    return machine


def objection(machine: Machine) -> str:
    (aim,) = FIX.aims([FOUND, FOUND])
    return FIX.objection(machine.host, aim)


def done(machine: Machine) -> list[str]:
    """Return what would be done."""
    hands = DryHands()
    theatre = Theatre(machine.host, hands, lambda _: None, lambda: 0.0, print, print, patience=0.0)
    surgery.operate(FIX, FIX.aims([FOUND]), theatre, "request-1")
    return hands.told


def test_a_module_that_nobody_uses_is_unloaded(machine: Machine) -> None:
    assert objection(machine) == ""
    assert done(machine) == ["the module auth_rpcgss is unloaded"]


def test_the_module_for_kerberos_goes_first(machine: Machine) -> None:
    machine.write("proc/modules", WITH_KERBEROS)

    assert done(machine) == [
        "the module rpcsec_gss_krb5 is unloaded",
        "the module auth_rpcgss is unloaded",
    ]


@pytest.mark.parametrize(
    ("modules", "why"),
    [
        (WITH_KERBEROS.replace("45056 0", "45056 2"), "rpcsec_gss_krb5, which uses it, is in use"),
        ("auth_rpcgss 1 2 nfsd,rpcsec_gss_krb5, Live 0x0\n", "the module nfsd uses it"),
        ("auth_rpcgss 192512 1 - Live 0x0\n", "it has 1 users that are no modules"),
        ("auth_rpcgss 192512 - - Live 0x0\n", "this kernel cannot unload it"),
        ("auth_rpcgss 192512 1 [permanent], Live 0x0\n", "this kernel cannot unload it"),
        (LOADED + "nfsd 1 0 - Live 0x0\n", "the host is an NFS server"),
        ("sunrpc 860160 0 - Live 0x0\n", "built into this kernel"),
    ],
)
def test_what_the_kernel_counts_as_a_user_is_in_the_way(
    machine: Machine, modules: str, why: str
) -> None:
    machine.write("proc/modules", modules)

    assert why in objection(machine)
    assert done(machine) == []


def test_a_module_that_is_not_loaded_is_not_unloaded(machine: Machine) -> None:
    machine.write("proc/modules", "")
    (machine.root / "proc/1/net/rpc/use-gss-proxy").unlink()

    assert objection(machine) == "it is not loaded"


@pytest.mark.parametrize("security", ["krb5", "krb5i", "krb5p"])
def test_a_mount_with_kerberos_is_in_the_way(machine: Machine, security: str) -> None:
    mount = f"40 35 0:52 / /mnt/a\\040b rw - nfs4 files:/ rw,sec={security},proto=tcp\n"
    machine.process(17, mntns=2, mounts=mount)

    assert objection(machine) == "process 17 has NFS with sec=krb5 mounted at /mnt/a\\040b"


def test_the_mounts_of_each_namespace_are_looked_at_once(machine: Machine) -> None:
    for pid in range(20, 30):
        machine.process(pid, mntns=2)
    (machine.root / "proc/20/mountinfo").unlink()
    machine.write("proc/21/mountinfo", "41 35 0:53 / /proc/fs/nfsd rw - nfsd nfsd rw\n")

    assert objection(machine).startswith("process 21 has the NFS server's file system")


def test_a_container_that_lives_on_it_is_in_the_way(machine: Machine) -> None:
    machine.process(17, netns=4026532178, state="1")

    expected = "the kernel is a client of gssproxy for process 17 (net:[4026532178])"
    assert objection(machine) == expected


def test_a_container_that_has_not_begun_with_it_is_not(machine: Machine) -> None:
    machine.process(17, netns=4026532178, state="-1")
    machine.process(18, netns=4026532179, state="0")

    assert objection(machine) == ""


def test_the_hosts_own_gssproxy_is_in_the_way_as_long_as_it_is_configured(machine: Machine) -> None:
    machine.write("proc/1/net/rpc/use-gss-proxy", "1\n")
    machine.process(18, netns=HOST_NETNS, state="1")
    conf = machine.write("etc/gssproxy/24-nfs.conf", "[service/nfs]\nkernel_nfsd = yes\n")

    before = objection(machine)
    conf.write_text("[service/nfs]\nkernel_nfsd = no\n")

    assert before == "the host's own gssproxy is a user of it, by /etc/gssproxy/24-nfs.conf"
    assert objection(machine) == ""


@pytest.mark.parametrize("path", ["proc/modules", "proc/1/net/rpc/use-gss-proxy"])
def test_what_cannot_be_understood_is_in_the_way(machine: Machine, path: str) -> None:
    machine.write(path, "garbage\n")
    (aim,) = FIX.aims([FOUND])

    with pytest.raises(errors.UnreadableError, match=path):
        FIX.objection(machine.host, aim)


def test_a_mount_table_that_is_not_seen_whole_is_in_the_way(machine: Machine) -> None:
    machine.write("proc/1/mountinfo", "x" * (16 << 20))
    (aim,) = FIX.aims([FOUND])

    with pytest.raises(errors.UnreadableError, match="longer than 16 MiB"):
        FIX.objection(machine.host, aim)


def test_it_is_achieved_when_module_and_clients_are_gone(machine: Machine) -> None:
    (aim,) = FIX.aims([FOUND])
    before = FIX.achieved(machine.host, aim)
    machine.write("proc/modules", "")
    between = FIX.achieved(machine.host, aim)
    (machine.root / HOLDER).unlink()

    assert (before, between, FIX.achieved(machine.host, aim)) == (False, False, True)


def test_a_recorded_host_says_whose_container_is_in_the_way(recorded: Recorded) -> None:
    host, _ = recorded("gssproxy-pinned")
    (aim,) = FIX.aims([FOUND])

    assert "process 230 (net:[4026532178])" in FIX.objection(host, aim)


def test_a_kernel_without_modules_is_left_alone(tmp_path: Path) -> None:
    with pytest.raises(errors.AbsentError, match="no module can be unloaded"):
        UnloadModule("auth_rpcgss").do(str(tmp_path), str(tmp_path))


def test_a_module_that_went_meanwhile_is_fine(machine: Machine) -> None:
    machine.write("proc/modules", "sunrpc 860160 0 - Live 0x0\n")

    UnloadModule("auth_rpcgss").do(str(machine.root), str(machine.root))
