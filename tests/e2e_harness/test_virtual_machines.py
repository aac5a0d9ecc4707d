"""What a virtual machine of the tests is made of, as far as it can be told without starting one."""

from __future__ import annotations

import json
import lzma
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from kernelhealth_e2e.vm import initramfs, share
from kernelhealth_e2e.vm.kernel import Kernel
from kernelhealth_e2e.vm.machine import Hardware, Network
from kernelhealth_e2e.vm.share import Guest


def test_an_initramfs_holds_each_file_after_its_directory() -> None:
    archive = initramfs.cpio({"init": b"program", "modules/00-virtio.ko": b"module!!"})

    entries = unpacked(archive)

    assert [name for name, _, _ in entries] == ["modules", "init", "modules/00-virtio.ko"]
    assert [mode & 0o170000 for _, mode, _ in entries] == [0o040000, 0o100000, 0o100000]
    assert [data for _, _, data in entries] == [b"", b"program", b"module!!"]


@pytest.mark.parametrize(("name", "pack"), [("x.ko", bytes), ("x.ko.xz", lzma.compress)])
def test_a_module_is_inserted_as_it_was_built_however_it_is_packed(
    tmp_path: Path, name: str, pack: Callable[[bytes], bytes]
) -> None:
    file = tmp_path / name
    file.write_bytes(pack(b"\x7fELF"))

    plain = initramfs.plain(file)

    assert plain == b"\x7fELF"


@pytest.mark.parametrize("place", ["boot/vmlinuz-7.2", "lib/modules/7.2/vmlinuz"])
def test_the_image_is_found_where_a_package_has_it(tmp_path: Path, place: str) -> None:
    image = tmp_path / place
    (tmp_path / "lib/modules/7.2").mkdir(parents=True)
    image.parent.mkdir(parents=True, exist_ok=True)
    image.touch()

    assert Kernel(tmp_path).image == image


def test_a_guest_can_neither_write_to_the_machine_nor_reach_the_world(tmp_path: Path) -> None:
    argv = hardware(tmp_path).argv(tmp_path / "console.log")

    shared = [option for option in argv if "mount_tag=" in option]
    (network,) = (option for option in argv if option.startswith("user,"))

    assert [option for option in shared if "readonly=on" not in option] == [
        f"local,path={tmp_path / 'share'},mount_tag=share,security_model=none,multidevs=remap"
    ]
    assert "ipv6=off" in network.split(",")
    assert network.endswith("hostfwd=tcp:10.0.3.15:10252-10.0.3.15:10252")


def test_the_files_of_a_guest_make_it_a_node_of_its_own(tmp_path: Path) -> None:
    ca = tmp_path / "ca.crt"
    ca.write_text("certificate")

    share.write(tmp_path / "share", guest(tmp_path), "{}", ca)

    etc = tmp_path / "share/etc"
    kubelet = json.loads((etc / "kubernetes/kubelet.yaml").read_text())
    (network,) = (etc / "cni/net.d").iterdir()
    (plugin,) = json.loads(network.read_text())["plugins"]
    assert kubelet["port"] == 10252
    assert kubelet["authentication"]["x509"]["clientCAFile"] == "/etc/kubernetes/ca.crt"
    assert (etc / "kubernetes/ca.crt").read_text() == "certificate"
    assert (plugin["type"], plugin["ipam"]["ranges"]) == (
        "lazy-ptp",
        [[{"subnet": "10.244.102.0/24"}]],
    )
    assert 'labels="kernelhealth.io/lab=virtual-machine"' in (
        (tmp_path / "share/settings").read_text().splitlines()
    )


@pytest.mark.parametrize("plugin", ["lazy-ptp", "function-ptp"])
def test_a_plugin_hands_down_what_went_wrong_below_it(tmp_path: Path, plugin: str) -> None:
    (tmp_path / "ca.crt").write_text("certificate")
    share.write(tmp_path / "share", guest(tmp_path), "{}", tmp_path / "ca.crt")
    plugins = tmp_path / "share/cni"
    (plugins / "ptp").write_text("#!/bin/sh\necho no addresses are left\nexit 7\n")
    for file in plugins.iterdir():
        file.chmod(0o755)

    ended = subprocess.run(
        (plugins / plugin,), env={"CNI_COMMAND": "ADD"}, capture_output=True, text=True, check=False
    )

    assert ended.returncode != 0
    assert ended.stdout == "no addresses are left\n"


def unpacked(archive: bytes) -> list[tuple[str, int, bytes]]:
    """Return name, mode and content of each entry of a newc archive, without the last."""
    entries: list[tuple[str, int, bytes]] = []
    place = 0
    while True:
        assert archive[place : place + 6] == b"070701"
        fields = [int(archive[place + 6 + 8 * i : place + 14 + 8 * i], 16) for i in range(13)]
        name = archive[place + 110 : place + 110 + fields[11] - 1].decode()
        start = -(-(place + 110 + fields[11]) // 4) * 4
        if name == "TRAILER!!!":
            return entries
        entries.append((name, fields[1], archive[start : start + fields[6]]))
        place = -(-(start + fields[6]) // 4) * 4


def hardware(directory: Path) -> Hardware:
    (directory / "kernel/lib/modules/6.1.0-1-amd64").mkdir(parents=True)
    return Hardware(
        "vm-b",
        Kernel(directory / "kernel"),
        directory / "initramfs",
        directory / "disk",
        directory / "share",
        Network("10.0.3", (10252,)),
    )


def guest(binaries: Path) -> Guest:
    return Guest(
        name="vm-b",
        binaries=binaries,
        network=Network("10.0.3", (10252,)),
        port=10252,
        pods="10.244.102.0/24",
        reaches=("10.88.0.1/32",),
        labels=("kernelhealth.io/lab=virtual-machine",),
        taints=(),
        cni="lazy-ptp",
    )
