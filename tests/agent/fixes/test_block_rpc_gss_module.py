from __future__ import annotations

import shutil

import pytest

from kernelhealth_agent.fixes.block_rpc_gss_module import FIX
from kernelhealth_agent.surgery import End

from .conftest import HOST_NETNS, Machine, observation

FILE = "etc/modprobe.d/kernelhealth-auth_rpcgss.conf"
FOUND = observation("KernelNfsdEnabledInContainer", namespace=4026532178)
KERBEROS = (
    "40 35 0:52 / /mnt/data rw,relatime shared:9 - nfs4 files:/ rw,vers=4.2,sec=krb5p,proto=tcp\n"
)
PLAIN = "40 35 0:52 / /mnt/data rw,relatime shared:9 - nfs4 files:/ rw,vers=4.2,sec=sys,proto=tcp\n"
SERVER = "41 35 0:53 / /proc/fs/nfsd rw,relatime - nfsd nfsd rw\n"


@pytest.fixture
def machine(machine: Machine) -> Machine:
    """A host whose kernel can load modules."""
    machine.write("proc/modules", "sunrpc 860160 0 - Live 0x0\n")
    machine.write("etc/modprobe.d/other.conf", "blacklist floppy\n")
    (machine.root / "proc/1/net/rpc/use-gss-proxy").unlink()
    return machine


def test_the_module_is_kept_out_from_the_next_boot_on(machine: Machine) -> None:
    (result,) = machine.treat(FIX, FOUND)

    assert result.end is End.ACHIEVED
    assert machine.read(FILE).splitlines()[-2:] == [
        "blacklist auth_rpcgss",
        "install auth_rpcgss /bin/false",
    ]
    assert FIX.survives


def test_several_findings_make_one_file(machine: Machine) -> None:
    other = observation("UseGssProxyInContainer", namespace=4026532200)

    results = machine.treat(FIX, FOUND, other)

    assert [result.end for result in results] == [End.ACHIEVED]


def test_the_directory_is_made_where_it_is_missing(machine: Machine) -> None:
    (machine.root / "etc/modprobe.d/other.conf").unlink()
    (machine.root / "etc/modprobe.d").rmdir()

    (result,) = machine.treat(FIX, FOUND)

    assert result.end is End.ACHIEVED


def test_links_of_the_host_are_followed_below_its_root(machine: Machine) -> None:
    (machine.root / "etc/modprobe.d").rename(machine.root / "real")
    (machine.root / "etc/modprobe.d").symlink_to("/real")

    (result,) = machine.treat(FIX, FOUND)

    assert result.end is End.ACHIEVED
    assert (machine.root / "real" / FILE.rpartition("/")[2]).is_file()


@pytest.mark.parametrize(
    ("mounts", "why"),
    [(KERBEROS, "NFS with sec=krb5 mounted at /mnt/data"), (SERVER, "the NFS server's file")],
)
def test_it_is_refused_while_somebody_needs_the_module(
    machine: Machine, mounts: str, why: str
) -> None:
    machine.process(17, netns=4026532178, mntns=2, mounts=mounts)

    (result,) = machine.treat(FIX, FOUND)

    assert (result.end, why in result.why) == (End.REFUSED, True), result
    assert not (machine.root / FILE).exists()


def test_nfs_without_kerberos_does_not_need_it(machine: Machine) -> None:
    machine.process(17, netns=4026532178, mntns=2, mounts=PLAIN)

    (result,) = machine.treat(FIX, FOUND)

    assert result.end is End.ACHIEVED


@pytest.mark.parametrize(
    ("path", "text", "why"),
    [
        ("proc/modules", "nfsd 1 1 - Live 0x0\n", "nfsd is loaded"),
        ("etc/exports", "# shared\n/srv *(rw)\n", "/etc/exports:2"),
        ("etc/fstab", "files:/ /mnt nfs4 rw,sec=krb5i,soft 0 0\n", "/etc/fstab:1"),
        ("proc/1/net/rpc/use-gss-proxy", "-1\n", "built into this kernel"),
        (FILE, "# mine\n", "somebody changed it"),
        ("etc/modprobe.d/a.conf", "install auth_rpcgss /bin/true\n", "keeps the module out"),
        ("lib/modprobe.d/a.conf", "install auth-rpcgss /sbin/load\n", "comes before it"),
        ("lib/modprobe.d/a.conf", "x\ninstall auth_* /sbin/load\n", "line 2 of a.conf"),
    ],
)
def test_it_is_refused_where_it_would_do_harm_or_nothing(
    machine: Machine, path: str, text: str, why: str
) -> None:
    machine.write(path, text)

    (result,) = machine.treat(FIX, FOUND)

    assert (result.end, why in result.why) == (End.REFUSED, True), result
    assert not machine.deeds


def test_what_counts_less_is_not_in_the_way(machine: Machine) -> None:
    machine.write("etc/modprobe.d/zzz.conf", "install auth_rpcgss /sbin/load\n")
    machine.write("lib/modprobe.d/other.conf", "install auth_rpcgss /sbin/load\n")
    machine.write("etc/modprobe.d/a.conf", "install auth_rpcgssx /sbin/load\ninstall nothing\n")

    (result,) = machine.treat(FIX, FOUND)

    assert result.end is End.ACHIEVED


def test_comments_are_no_configuration(machine: Machine) -> None:
    machine.write("etc/exports", "# /srv *(rw)\n\n")
    machine.write("etc/fstab", "#files:/ /mnt nfs4 sec=krb5 0 0\nfiles:/ /mnt cifs sec=krb5 0 0\n")

    (result,) = machine.treat(FIX, FOUND)

    assert result.end is End.ACHIEVED


def test_it_is_refused_where_mounts_cannot_be_seen(machine: Machine) -> None:
    machine.process(17, netns=HOST_NETNS, mntns=0)

    (result,) = machine.treat(FIX, FOUND)

    assert (result.end, "CAP_SYS_PTRACE" in result.why) == (End.REFUSED, True), result


def test_a_guarded_first_process_is_seen_by_the_kernels_threads(machine: Machine) -> None:
    shutil.rmtree(machine.root / "proc/1/ns")
    machine.process(2, mntns=1, mounts=PLAIN)
    machine.write("proc/2/comm", "kthreadd\n")
    (machine.root / "proc/1/ns").mkdir()
    (machine.root / "proc/1/ns/net").symlink_to(f"net:[{HOST_NETNS}]")
    (machine.root / "proc/1/ns/mnt").symlink_to("mnt:[0]")

    (result,) = machine.treat(FIX, FOUND)

    assert result.end is End.ACHIEVED


def test_it_is_refused_in_a_kernel_without_modules(machine: Machine) -> None:
    (machine.root / "proc/modules").unlink()

    (result,) = machine.treat(FIX, FOUND)

    assert (result.end, result.why) == (End.REFUSED, "proc/modules does not exist on this host")


def test_it_is_taken_back_by_deleting_the_file(machine: Machine) -> None:
    machine.treat(FIX, FOUND)
    (aim,) = FIX.aims([FOUND])
    assert FIX.undo is not None

    for deed in FIX.undo(machine.host, aim):
        deed.do(str(machine.root), str(machine.kept))

    assert not (machine.root / FILE).exists()
    assert (machine.root / "etc/modprobe.d/other.conf").exists()
