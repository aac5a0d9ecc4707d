"""Files and answers that the kernel and the canary write, and any other bytes in their place."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelhealth_agent import errors
from kernelhealth_agent.kernel import (
    canary,
    fragments,
    netlink,
    nft_round_trip,
    task_files,
    teardown_causes,
    teardown_workers,
    unregister_waits,
)
from kernelhealth_agent.kernel.kmsg import Record
from kernelhealth_agent.kernel.namespaces import Namespace
from kernelhealth_agent.kernel.task_files import Task
from kernelhealth_agent.kernel.unregister_waits import Latest

STAT = (
    b"25 (kworker/u4:1+netns) D 2 0 0 0 -1 69238880 0 0 0 0 3 4120 0 0 20 0 1 0 140 0 0"
    b" 18446744073709551615 0 0 0 0 0 0 0 2147483647 0 1 0 0 17 1 0 0 0 0 0\n"
)
STACK = (
    b"[<0>] wedge_exit_net+0xa8/0x130 [wedge]\n[<0>] ops_exit_list+0x30/0x70\n"
    b"[<ffffffff8154a2b1>] cleanup_net+0x273/0x430\n[<ffffffffffffffff>] 0xffffffffffffffff\n"
)


def line(device: str, sequence: int, seconds: float, count: int = 2, facility: int = 0) -> Record:
    text = f"unregister_netdevice: waiting for {device} to become free. Usage count = {count}"
    return Record(0, facility, sequence, seconds, text)


def test_a_worker_is_decoded_with_time_state_and_stack() -> None:
    found = task_files.task(STAT, "proc/25/stat", b"wedge_exit_net", STACK)

    assert (found.title, found.state, found.start) == ("kworker/u4:1+netns[25]", "D", 140)
    assert found.cpu == pytest.approx(41.23)
    assert found.stack == ("wedge_exit_net [wedge]", "ops_exit_list", "cleanup_net")
    assert found.functions == {"wedge_exit_net", "ops_exit_list", "cleanup_net"}
    assert task_files.state(STAT) == "D"


def test_a_name_may_look_like_the_rest_of_the_line() -> None:
    hostile = STAT.replace(b"kworker/u4:1+netns", b"a) S 1 (b")

    found = task_files.task(hostile, "proc/25/stat")

    assert (found.comm, found.state, found.start) == ("a) S 1 (b", "D", 140)
    assert task_files.state(hostile) == "D"


@given(st.binary(max_size=400))
def test_any_bytes_are_a_task_or_an_error(content: bytes) -> None:
    with contextlib.suppress(errors.UnreadableError):
        task_files.task(content, "proc/7/stat", content, content)
    task_files.frames(content)
    assert len(task_files.state(content)) <= 1


def test_a_task_that_runs_waits_nowhere() -> None:
    assert task_files.waits_in(b"0") == ""
    assert task_files.waits_in(b"copy_net_ns") == "copy_net_ns"


@pytest.mark.parametrize(
    ("text", "expected", "signed"),
    [
        (b"RAW: inuse 0\nFRAG: inuse 3 memory 9472\n", (3, 9472, False), 9472),
        (b"FRAG: inuse 0 memory 0\n", (0, 0, False), 0),
        (b"FRAG6: inuse 0 memory 2368\n", (0, 2368, True), 2368),
        (b"FRAG: inuse 2 memory 4294963136\n", (2, 4294963136, True), -4160),
        (b"FRAG: inuse 0 memory 18446744073709547456\n", (0, 18446744073709547456, True), -4160),
        (b"FRAG: inuse 0 memory -64\n", (0, 18446744073709551552, True), -64),
    ],
    ids=["in use", "idle", "no queue", "32 bits", "64 bits", "with a sign"],
)
def test_a_counter_is_odd_without_queues_or_below_zero(
    text: bytes, expected: tuple[int, int, bool], signed: int
) -> None:
    found = fragments.counter(text, "sockstat")

    assert found is not None
    assert (found.queues, found.memory, found.is_odd) == expected
    assert found.signed == signed


def test_a_kernel_that_reassembles_nothing_has_no_counter() -> None:
    assert fragments.counter(b"TCP6: inuse 3\n", "sockstat6") is None


@given(st.binary(max_size=200))
def test_any_bytes_are_a_counter_or_an_error(content: bytes) -> None:
    for text in (content, b"FRAG: inuse " + content, b"FRAG6: inuse 1 memory " + content):
        with contextlib.suppress(errors.UnreadableError):
            fragments.counter(text, "sockstat")


def test_the_counter_of_another_namespace_of_the_same_number_is_a_new_one() -> None:
    past = {"17/IPv4": fragments.Remembered(100.0, cookie=5)}

    ages = [
        fragments.age(Namespace(17, cookie=cookie), "IPv4", past, 190.0) for cookie in (5, 6, None)
    ]

    assert ages == [90.0, 0.0, 90.0]


def test_only_what_the_kernel_says_of_a_device_counts() -> None:
    records = [line("eth0", 1, 10.0), line("eth0", 2, 20.1, facility=1), line("eth0", 3, 30.2)]

    (found,) = unregister_waits.waits(records, None, 31.0)

    assert found.times == (10.0, 30.2)
    assert found.within(120.0) == 2
    assert found.within(15.0) == 1


def test_a_line_is_news_by_its_number_whatever_the_clock_of_the_log_says() -> None:
    records = [line("lo", number, 1000.0 + 10 * number) for number in range(7)]

    (news,) = unregister_waits.waits(records, {"lo": Latest(3, 4000.0)}, 5000.0)
    (old,) = unregister_waits.waits(records, {"lo": Latest(6, 4900.0)}, 5000.0)
    (first,) = unregister_waits.waits(records, None, 5000.0)

    assert (news.quiet, old.quiet, first.quiet) == (0.0, 100.0, 3940.0)


@pytest.mark.parametrize("device", ["lo", "eth0", "veth9a1c0f2e", "a to become free. Usage"])
def test_devices_have_the_names_that_people_gave_them(device: str) -> None:
    (found,) = unregister_waits.waits([line(device, 1, 5.0, count=-1)], None, 5.0)

    assert (found.device, found.references) == (device, -1)


def test_a_worker_is_busy_since_it_was_first_seen_so() -> None:
    first = teardown_workers.worker(Task(25, "k+netns", "R", 10.0, 1, 140), {}, 1000.0)
    spells = {s.pid: s for s in teardown_workers.spells([first], 1000.0)}

    later = teardown_workers.worker(Task(25, "k+netns", "R", 69.5, 1, 140), spells, 1060.0)
    other = teardown_workers.worker(Task(25, "k+netns", "R", 69.5, 1, 999), spells, 1060.0)

    assert (later.seconds, later.is_spinning, later.is_asleep) == (60.0, True, False)
    assert (other.seconds, other.is_spinning) == (0.0, False)


@pytest.mark.parametrize(
    ("stack", "cause", "telling"),
    [
        (("msleep", "netdev_run_todo", "cleanup_net"), "NetdevReferenceLeak", "netdev_run_todo"),
        (("nf_conntrack_cleanup_net_list [nf_conntrack]",), "ConntrackCleanupLoop", "nf_con"),
        (("inet_evict_bucket.isra.8", "inet_frags_exit_net"), "FragmentAccounting", "inet_evict"),
        (("__mutex_lock.constprop.0", "wedge_exit_net [wedge]"), None, "wedge_exit_net [wedge]"),
        (("process_one_work", "worker_thread"), None, ""),
    ],
    ids=["reference", "conntrack", "fragments", "unknown", "nothing"],
)
def test_a_stack_tells_the_cause(stack: tuple[str, ...], cause: str | None, telling: str) -> None:
    task = Task(25, "kworker/u4:1+netns", "D", 0.0, 1, 140, stack=stack)

    found = teardown_causes.of(task.functions)

    assert (found.name if found else None) == cause
    assert teardown_causes.telling(stack).startswith(telling)


def test_an_answer_survives_being_written_down() -> None:
    task = Task(8, "khcanary", "D", 0.1, 1, 80, "copy_net_ns", ("copy_net_ns",))
    outstanding = canary.Outstanding(7, ((8, 80),), 3.0, ("form quota", "owner 8"), (3, 4), (5, 6))
    answer = canary.Answer(
        3.0, 9.5, outstanding.lines, (task,), killed=True, outstanding=outstanding
    )

    assert canary.answer(canary.encoded(answer), "probes/canary") == answer


@given(st.binary(max_size=300))
def test_any_bytes_are_an_answer_or_an_error(content: bytes) -> None:
    with contextlib.suppress(errors.UnreadableError):
        canary.answer(content, "probes/canary")


@given(st.lists(st.text(max_size=40), max_size=8))
def test_whatever_a_canary_writes_is_an_answer(lines: list[str]) -> None:
    spoken = canary.spoken("\n".join(lines).encode(errors="replace") + b"\n")
    answer = canary.Answer(0.0, 1.0, spoken)

    assert answer.step in canary.Step
    assert answer.netfilter is None or len(answer.netfilter) <= 200
    assert canary.owner(spoken) is None or canary.owner(spoken) >= 0  # type: ignore[operator]
    canary.answer(canary.encoded(answer), "probes/canary")


def test_the_maker_of_a_device_is_in_its_name() -> None:
    assert canary.maker(canary.device(4194303)) == 4194303
    assert len(canary.device(4194303)) <= 15
    assert canary.maker("khc") is None
    assert canary.maker("eth0") is None


def test_a_verdict_is_found_in_an_answer_of_several_messages() -> None:
    def acknowledged(sequence: int, code: int) -> bytes:
        body = struct.pack("=i", -code) + bytes(16)
        return netlink.HEADER.pack(16 + len(body), netlink.ERROR, 0, sequence, 0) + body

    stream = acknowledged(2, 0) + acknowledged(3, 17)

    assert list(nft_round_trip.verdicts(stream)) == [(2, 0), (3, 17)]


@given(st.binary(max_size=300))
def test_any_bytes_are_an_answer_of_netfilter_or_an_error(content: bytes) -> None:
    list(nft_round_trip.verdicts(content))
    with contextlib.suppress(errors.UnreadableError):
        nft_round_trip.families(content, "netlink nft-tables")
    with contextlib.suppress(errors.UnreadableError):
        nft_round_trip.handles(content, "netlink nft-rules")


def test_the_families_in_use_are_those_of_the_tables() -> None:
    body = struct.pack("=BBH", 10, 0, 0)
    message = netlink.HEADER.pack(16 + len(body), 10 << 8, 0, 1, 0) + body

    assert nft_round_trip.families(message, "netlink nft-tables") == {10}
