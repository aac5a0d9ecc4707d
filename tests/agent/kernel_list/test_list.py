"""The kernel's list, of kernels that the tests write."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernelhealth_agent import errors, kernel_list
from kernelhealth_agent.detectors import network_namespaces as detector
from kernelhealth_agent.hosts.recorded import RecordedHost
from kernelhealth_agent.kernel import kcore, net_layout
from kernelhealth_agent.kernel.kcore import Segment
from kernelhealth_agent.kernel.leaks import Hidden, NetworkNamespaces
from kernelhealth_agent.kernel.namespace_answers import Listed, Socket
from kernelhealth_agent.kernel.namespaces import Inventory, Pod, Remembered
from kernelhealth_api.detector import Severity

if TYPE_CHECKING:
    from .conftest import Btf, Kernel

HOST, LIVE, LOST = 4026531840, 4026532261, 4026532157
MEMORY = 0xFFFF_8880_0000_0000
HEAD = 0xFFFF_FFFF_8000_1000
POD = Pod("shop", "cart-2", "8a7f0000-0000-4000-8000-000000000002", "cgroup")
InventoryOf = Callable[..., Inventory]


def past(inventory: Inventory, inode: int, **known: int | None) -> Remembered:
    fields: dict[str, int | None] = {"nsid": None, "cookie": None, **known}
    return Remembered(inode, fields["nsid"], POD, None, inventory.taken, fields["cookie"])


def alone(host: RecordedHost, inventory: Inventory) -> list[int]:
    listed = kernel_list.read(host)
    return [space.inode for space in kernel_list.alone(host, inventory, listed)]


def test_an_empty_list_has_nothing(kernel: Kernel) -> None:
    assert kernel_list.read(kernel.written()) == ()


def test_every_namespace_is_read_with_its_counts_and_its_id(kernel: Kernel) -> None:
    kernel.spaces((HOST, 9, 2), (LIVE, 2, 1), (LOST, 1, None))

    assert kernel_list.read(kernel.written()) == (
        Listed(HOST, 9, 1, 7000, 2),
        Listed(LIVE, 2, 1, 7001, 1),
        Listed(LOST, 1, 1, 7002, None),
    )


def test_ids_are_read_from_a_tree_of_several_levels(kernel: Kernel) -> None:
    spaces = [(HOST, 9, None), *((LIVE + n, 1, n) for n in range(16))]
    kernel.spaces(*spaces)

    found = kernel_list.read(kernel.written())

    assert [space.nsid for space in found] == [nsid for *_, nsid in spaces]


def test_a_single_id_needs_no_tree(kernel: Kernel) -> None:
    kernel.spaces((HOST, 9, None), (LOST, 1, None))
    kernel.put(kernel.address(0) + 56, kernel.address(1))

    assert [space.nsid for space in kernel_list.read(kernel.written())] == [None, 0]


def test_a_kernel_without_the_tree_tells_no_ids(
    kernel: Kernel, types: Callable[..., Btf], inventory_of: InventoryOf
) -> None:
    kernel.spaces((HOST, 9, None), (LIVE, 2, 0), (LOST, 1, None))
    host = kernel.written(types(ids=False).written())

    assert [space.nsid for space in kernel_list.read(host)] == [None, None, None]
    assert alone(host, inventory_of({LIVE: 0})) == []
    assert alone(host, inventory_of({LIVE: None})) == [LOST]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_list_that_leads_into_itself_ends(place: int, kernel: Kernel) -> None:
    kernel.spaces((HOST, 9, None), (LIVE, 2, None), (LOST, 1, None))
    kernel.put(kernel.address(2) + 8, kernel.address(place) + 8)

    with pytest.raises(errors.UnreadableError, match="changed in each of"):
        kernel_list.read(kernel.written())


def test_a_member_that_was_taken_out_is_not_believed(kernel: Kernel) -> None:
    kernel.spaces((HOST, 9, None), (LIVE, 2, None), (LOST, 1, None))
    kernel.put(kernel.address(1) + 16, 0xDEAD000000000122)

    with pytest.raises(errors.UnreadableError, match="changed in each of"):
        kernel_list.read(kernel.written())


def test_a_list_that_changes_once_is_read_again(kernel: Kernel) -> None:
    kernel.spaces((HOST, 9, None), (LOST, 1, None))
    kernel.written()

    class Mending(RecordedHost):
        """The list is torn in the first reading only."""

        reads = 0

        def read_at(self, path: str, offset: int, size: int) -> bytes:
            content = super().read_at(path, offset, size)
            self.reads += size == 56
            return bytes(size) if self.reads == 1 and size == 56 else content

    host = Mending(str(kernel.root))

    assert [space.inode for space in kernel_list.read(host)] == [HOST, LOST]
    assert host.reads == 1 + 2


def test_a_tree_of_ids_that_leads_into_itself_ends(kernel: Kernel) -> None:
    kernel.spaces((HOST, 9, None), (LOST, 1, 1))
    kernel.put(MEMORY + 0x800 + 8, MEMORY + 0x800 + 2)

    with pytest.raises(errors.UnreadableError, match="the tree of ids is torn"):
        kernel_list.read(kernel.written())


def test_a_tree_without_end_is_bounded() -> None:
    node = net_layout.Node(0, 8, 64)

    def endless(address: int, size: int) -> bytes:
        """Nodes of shift N are at N pages, all slots lead to the node of the shift below."""
        shift = address >> 12
        return bytes([shift]) if size == 1 else struct.pack("=64Q", *[(shift - 1 << 12) + 2] * 64)

    with pytest.raises(errors.UnreadableError, match="torn or too large"):
        net_layout.entries(node, (60 << 12) + 2, endless, "core", 100)


def test_withheld_addresses_name_what_is_lacking(kernel: Kernel) -> None:
    kernel.written()
    (kernel.root / "proc/kallsyms").write_text("0000000000000000 D net_namespace_list\n")

    with pytest.raises(errors.ForbiddenError, match="lacks CAP_SYSLOG, or kptr_restrict is 2"):
        kernel_list.read(RecordedHost(str(kernel.root)))


@pytest.mark.parametrize("missing", ["proc/kcore", "proc/kallsyms", "sys/kernel/btf/vmlinux"])
def test_without_one_of_its_files_there_is_no_list_and_no_error(
    missing: str, kernel: Kernel, inventory_of: InventoryOf
) -> None:
    kernel.spaces((HOST, 9, None), (LOST, 1, None))
    host = kernel.written()
    (kernel.root / missing).unlink()

    assert kernel_list.ask(host, inventory_of({})) is None
    assert kernel_list.alone(host, inventory_of({}), None) == ()


def test_nothing_is_read_while_no_question_is_open(
    kernel: Kernel, inventory_of: InventoryOf
) -> None:
    kernel.spaces((HOST, 9, None), (LIVE, 1, 1))
    host = kernel.written()

    assert kernel_list.ask(host, inventory_of({LIVE: 1}, thorough=False)) is None
    assert kernel_list.ask(host, inventory_of({LIVE: 1}, thorough=True))
    assert kernel_list.ask(host, inventory_of({}, lost={1}, thorough=False))


def test_only_what_nothing_reaches_and_no_id_tells_is_claimed(
    kernel: Kernel, inventory_of: InventoryOf
) -> None:
    kernel.spaces((HOST, 9, None), (LIVE, 2, 1), (LOST, 1, None), (LOST + 1, 1, 2))
    host = kernel.written()

    assert alone(host, inventory_of({LIVE: 1}, lost={2})) == [LOST]
    assert alone(host, inventory_of({LIVE: 1, LOST: None}, lost={2})) == []


def test_a_namespace_that_is_dismantled_is_not_claimed(
    kernel: Kernel, inventory_of: InventoryOf
) -> None:
    kernel.spaces((HOST, 9, None), (LOST, 0, None))

    assert alone(kernel.written(), inventory_of({})) == []


def test_nothing_is_claimed_where_something_could_not_be_looked_at(
    kernel: Kernel, inventory_of: InventoryOf
) -> None:
    kernel.spaces((HOST, 9, None), (LOST, 1, None))

    assert alone(kernel.written(), inventory_of({}, blind=("proc/7/fd may not be read",))) == []


@pytest.mark.parametrize("nested", ["network", "processes", "unknown"])
def test_nothing_is_claimed_inside_of_a_machine_that_others_use_too(
    nested: str, kernel: Kernel, inventory_of: InventoryOf
) -> None:
    outer = LIVE if nested == "network" else HOST
    kernel.spaces((outer, 9, None), (HOST + 1, 1, None), (LOST, 1, None))
    host = kernel.written()
    link = kernel.root / "proc/1/ns/pid"
    if nested != "network":
        link.unlink()
    if nested == "processes":
        link.symlink_to("pid:[4026532700]")

    assert alone(host, inventory_of({})) == []


def test_a_namespace_that_had_an_id_or_another_cookie_is_not_the_remembered_one(
    inventory_of: InventoryOf,
) -> None:
    found = [Listed(LOST, 1, 1, 7002)]
    empty = inventory_of({})

    def remembered(**known: int | None) -> Remembered | None:
        inventory = inventory_of({}, memory=[past(empty, LOST, **known)])
        (hidden,) = kernel_list.hidden(found, inventory, ())
        return hidden.past

    assert remembered() is not None
    assert remembered(cookie=7002) is not None
    assert remembered(cookie=7001) is None
    assert remembered(nsid=3) is None


def test_a_process_may_keep_a_namespace_of_its_own_but_not_a_pods(
    inventory_of: InventoryOf,
) -> None:
    found, sockets = [Listed(LOST, 1)], [Socket("resolver[17]", 4, LOST)]
    pods = inventory_of({}, memory=[past(inventory_of({}), LOST)])

    assert kernel_list.hidden(found, inventory_of({}), sockets) == ()
    (hidden,) = kernel_list.hidden(found, pods, sockets)
    assert hidden.socket == sockets[0]


def test_a_hidden_namespace_is_judged_by_whose_it_was(inventory_of: InventoryOf) -> None:
    pod, socket = past(inventory_of({}), LOST), Socket("resolver[17]", 4, LOST)
    space = Listed(LOST, 3, 1, 7002)
    hidden = (Hidden(space), Hidden(space, pod), Hidden(space, pod, socket))
    sample = NetworkNamespaces(0, 0, None, listed=(space, space), hidden=hidden)

    nobody, pods, held = detector.judge(sample, detector.NetworkNamespacesParams())

    assert (nobody.severity, pods.severity, held.severity) == (Severity.INFO, None, None)
    assert (nobody.cause, pods.cause, held.cause) == (
        "HeldByKernel",
        "HeldByKernel",
        "HeldBySocket",
    )
    assert nobody.key == f"inode {LOST} cookie 7002"
    assert "the kernel counts 3 references" in pods.message
    assert pods.subject.pod == "shop/cart-2"
    assert held.subject.holder == "socket 4 of resolver[17]"
    assert held.cures == ("StopHolder",)


def test_memory_is_where_the_program_headers_say() -> None:
    known = (Segment(0x1000, 0x100, 0x40), Segment(HEAD, 16, (1 << 63) - 8))

    assert kcore.place(known, 0x10F8, 8, "core") == 0x138
    for address in (0xFFF, 0x10F9, 0x1100, HEAD + 8, -1):
        with pytest.raises(errors.UnreadableError, match="has no 8 bytes of memory"):
            kcore.place(known, address, 8, "core")


def test_a_symbol_of_a_module_or_with_a_longer_name_is_another() -> None:
    listing = b"10 t a_list\n20 D a_list2\n30 d my_a_list\n40 d a_list\t[mod]\n50 D  b\n"

    assert kcore.symbol(listing, "a_list", "s") == 0x10
    assert kcore.symbol(listing, "list", "s") is None
    assert kcore.symbol_line(listing, "a_list2") == b"20 D a_list2\n"


def test_a_symbol_without_an_address_is_unreadable() -> None:
    with pytest.raises(errors.UnreadableError, match="the line of x has no address"):
        kcore.symbol(b"zz D x\n", "x", "s")


@pytest.mark.parametrize("damage", [b"", b"\x7fELF\x01" + bytes(80), b"\x7fELF\x02" + bytes(80)])
def test_another_file_is_no_core(damage: bytes) -> None:
    with pytest.raises(errors.UnreadableError, match=r"^core cannot be understood"):
        kcore.program_headers(damage, "core")


def test_program_headers_may_not_be_torn() -> None:
    with pytest.raises(errors.UnreadableError, match="are torn"):
        kcore.segments(bytes(57), "core")


@given(st.binary(max_size=200))
def test_any_bytes_are_a_core_or_unreadable(content: bytes) -> None:
    for ask in (
        lambda: kcore.program_headers(content, "core"),
        lambda: kcore.segments(content, "core"),
        lambda: kcore.symbol(content + b" x\n", "x", "s"),
    ):
        try:
            ask()
        except errors.UnreadableError as error:
            assert error.path in {"core", "s"}  # noqa: PT017 - Either is right.


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_memory_is_a_list_or_unreadable(data: st.DataObject, kernel: Kernel) -> None:
    kernel.spaces((HOST, 9, 2), (LIVE, 2, 1), (LOST, 1, None))
    places = [MEMORY, *(kernel.address(n) + at for n in range(3) for at in (0, 8, 16, 32, 56))]
    values = st.sampled_from([0, 1, HEAD, HEAD + 8, *places]) | st.integers(0, (1 << 64) - 1)
    for _ in range(data.draw(st.integers(1, 4))):
        kernel.put(data.draw(st.sampled_from(places)), data.draw(values))
    host = kernel.written()

    try:
        found = kernel_list.read(host)
    except errors.UnreadableError:
        return
    assert len(found) <= 3


@pytest.mark.parametrize("text", ["", "[]", "7", '{"0x0": 7}', '{"zz": "00"}', '{"0": "0"}'])
def test_recorded_parts_that_are_none_are_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "core.segments.json").write_text(text)

    with pytest.raises(errors.UnreadableError, match=r"^core\.segments\.json cannot be understood"):
        RecordedHost(str(tmp_path)).read_at("core", 0, 1)


def test_only_recorded_parts_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "core.segments.json").write_text(json.dumps({"0x10": "0001020304"}))
    (tmp_path / "small").write_bytes(b"abcdef")
    host = RecordedHost(str(tmp_path))

    assert host.read_at("core", 0x11, 3) == b"\1\2\3"
    assert host.read_at("small", 4, 9) == b"ef"
    with pytest.raises(errors.UnreadableError, match="3 bytes at 0x13 were not recorded"):
        host.read_at("core", 0x13, 3)
    with pytest.raises(errors.UnreadableError, match="no file has a byte 9223372036854775808"):
        host.read_at("small", 1 << 63, 1)
    with pytest.raises(errors.AbsentError):
        host.read_at("none", 0, 1)
