"""RebindDevice on a recorded host with a stranded function, and on sysfs made of ordinary files.

No device of the machine that runs the tests is rebound: what the kernel makes of the two writes was
measured in a virtual machine. Here is proven what is written, in which order, and what never is.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from kernelhealth_agent import errors
from kernelhealth_agent.fix import Aim
from kernelhealth_agent.fixes.rebind_device import FIX
from kernelhealth_agent.hosts.deeds.bindings import Rebind
from kernelhealth_agent.hosts.recorded import RecordedHost
from kernelhealth_api.detector import Observation, Reason, Severity, Subject

HOSTS = Path(__file__).parents[2] / "fixtures" / "hosts"
STRANDED = Reason("StrandedDevice", Severity.CRITICAL, "It is out of reach.")
FUNCTION = "0000:00:10.0"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return Path(shutil.copytree(HOSTS / "residual_links-stranded", tmp_path / "h", symlinks=True))


def parent(root: Path) -> str:
    """Return the device that carries the function, by its directory."""
    directory = root / "sys/bus/pci/devices" / FUNCTION
    carried = [path.name for path in directory.iterdir() if path.name.startswith("virtio")]
    return carried[0] if carried else FUNCTION


def aim(root: Path, **changed: str) -> Aim:
    device = parent(root)
    driver = "virtio_net" if device != FUNCTION else (
        (root / "sys/bus/pci/devices" / FUNCTION / "driver").readlink().name
    )  # fmt: skip
    known = {"address": FUNCTION, "parent": device, "driver": driver} | changed
    observation = Observation(
        STRANDED,
        f"{FUNCTION}/{device}",
        Subject(device=FUNCTION),
        "It is lost.",
        cures=("RebindDevice", "Reboot"),
        aim=known,
    )
    (found,) = FIX.aims([observation])
    return found


def test_a_function_that_nothing_reaches_may_be_rebound(root: Path) -> None:
    host = RecordedHost(str(root))

    assert FIX.objection(host, aim(root)) == ""
    assert not FIX.achieved(host, aim(root))
    assert [deed.host_wide for deed in FIX.deeds(host, aim(root))] == [True]


def test_a_function_whose_interface_can_be_reached_is_left_alone(root: Path) -> None:
    host = RecordedHost(str(root))
    healthy = aim(root, address="0000:00:03.0", parent="0000:00:03.0")

    assert FIX.objection(host, healthy) == "its interface can be reached"


def test_a_function_with_virtual_functions_is_left_alone(root: Path) -> None:
    (root / "sys/bus/pci/devices" / FUNCTION / "sriov_numvfs").write_text("4\n")

    against = FIX.objection(RecordedHost(str(root)), aim(root))

    assert against == "4 virtual functions would be lost with it"


def test_nothing_is_rebound_where_a_namespace_cannot_be_looked_into(root: Path) -> None:
    (root / "netlink/links@4026532300.hex").write_text("garbage")

    assert "cannot be told" in FIX.objection(RecordedHost(str(root)), aim(root))


def test_nothing_is_rebound_for_a_finding_that_does_not_name_the_driver(root: Path) -> None:
    found = aim(root)
    bare = Observation(STRANDED, "x", Subject(device=FUNCTION), "x", cures=("RebindDevice",))

    against = FIX.objection(RecordedHost(str(root)), Aim("x", found.title, bare))

    assert "does not carry address, parent, driver" in against


@pytest.fixture
def bound(tmp_path: Path) -> Path:
    """A driver with one device bound to it."""
    driver = tmp_path / "sys/bus/virtio/drivers/virtio_net"
    driver.mkdir(parents=True)
    for name in ("bind", "unbind"):
        (driver / name).touch()
    (driver / "virtio4").symlink_to("../../../devices/virtio4")
    return driver


def rebind(bound: Path, device: str = "virtio4") -> None:
    Rebind("virtio", device, "virtio_net").do(str(bound.parents[4]), "")


def test_a_device_is_unbound_and_bound(bound: Path) -> None:
    rebind(bound)

    assert [(bound / name).read_text() for name in ("unbind", "bind")] == ["virtio4", "virtio4"]


def test_a_device_without_its_driver_is_only_bound(bound: Path) -> None:
    (bound / "virtio4").unlink()

    rebind(bound)

    assert [(bound / name).read_text() for name in ("unbind", "bind")] == ["", "virtio4"]


def test_a_device_that_cannot_be_unbound_is_not_bound(bound: Path) -> None:
    (bound / "unbind").unlink()

    with pytest.raises(FileNotFoundError):
        rebind(bound)

    assert (bound / "bind").read_text() == ""


def test_a_device_that_cannot_be_bound_again_is_told_with_what_to_do(bound: Path) -> None:
    (bound / "bind").unlink()

    with pytest.raises(OSError, match="echo virtio4 > /sys/bus/virtio/drivers/virtio_net/bind"):
        rebind(bound)


@pytest.mark.parametrize("name", ["../../x", "", "a/b", "virtio4\n"])
def test_a_name_that_leads_elsewhere_is_never_written(name: str, bound: Path) -> None:
    with pytest.raises(errors.UnreadableError):
        rebind(bound, name)

    assert (bound / "unbind").read_text() == ""
