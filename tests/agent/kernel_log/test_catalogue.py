from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from kernelhealth_agent.kernel import log_catalogue
from kernelhealth_agent.kernel.kmsg import Record
from kernelhealth_agent.kernel.log_catalogue import BY_NAME, CATALOGUE

Spoken = Callable[..., tuple[Record, ...]]
FOLDER = Path(__file__).parents[2] / "fixtures" / "kernel_log"
REPORTS: list[dict[str, Any]] = yaml.safe_load((FOLDER / "reports.yaml").read_text())
NOTHING = (FOLDER / "nothing.txt").read_text().splitlines()
NAMES = [f"{report['kind']} of {report['kernel']}" for report in REPORTS]


@pytest.mark.parametrize("known", REPORTS, ids=NAMES)
def test_a_real_report_is_one_event_with_what_its_lines_name(
    known: dict[str, Any], spoken: Spoken
) -> None:
    reading = log_catalogue.read(spoken(known["lines"]))

    assert [report.kind for report in reading.reports] == [known["kind"], *known.get("also", [])]
    found = reading.reports[0].fields
    assert {name: found.get(name) for name in known["fields"]} == known["fields"]


@pytest.mark.parametrize("line", NOTHING)
def test_an_ordinary_line_is_no_report(line: str, spoken: Spoken) -> None:
    reading = log_catalogue.read(spoken([line]))

    assert reading.reports == ()
    assert not any(reading.suppressed.values())


@pytest.mark.parametrize("known", REPORTS, ids=NAMES)
def test_what_a_program_writes_into_the_log_is_not_believed(
    known: dict[str, Any], spoken: Spoken
) -> None:
    written = [Record(r.priority, 1, r.sequence, r.seconds, r.text) for r in spoken(known["lines"])]

    assert log_catalogue.read(written).reports == ()


@pytest.mark.parametrize("known", REPORTS, ids=NAMES)
@pytest.mark.parametrize(
    ("level", "tail"),
    [
        (6, "[4711]: segfault at 0 ip 0000000000000000 sp 00007ffc error 14 in x[400000+1000]"),
        (4, ": page allocation failure: order:0, mode:0xcc0(GFP_KERNEL), nodemask=(null)"),
    ],
)
def test_the_name_of_a_process_at_the_beginning_of_a_line_is_no_report(
    known: dict[str, Any], level: int, tail: str, spoken: Spoken
) -> None:
    for record in spoken(known["lines"]):
        forged = Record(level, 0, 1, 100.0, record.text[:15] + tail)

        assert log_catalogue.read([forged]).reports == ()


def test_a_line_within_a_name_is_no_report() -> None:
    forged = Record(4, 0, 1, 100.0, "x\nOops: 0 [#1]: page allocation failure: order:0")

    assert log_catalogue.read([forged]).reports == ()


def test_the_kernel_of_an_earlier_boot_is_not_believed(spoken: Spoken) -> None:
    reading = log_catalogue.read(
        spoken(
            [
                "<3>[   14.100000] BERT: Error records from previous boot:",
                "<3>[   14.100001] [Hardware Error]: event severity: fatal",
            ]
        )
    )

    assert reading.reports == ()


def test_an_error_that_the_hardware_could_not_correct_is_told_from_one_that_it_could(
    spoken: Spoken,
) -> None:
    reading = log_catalogue.read(
        spoken(
            [
                (
                    "<0>[  900.064265] mce: [Hardware Error]: CPU 3: Machine Check: 0 Bank 4:"
                    " a600000000020408"
                ),
                (
                    "<0>[  901.064265] mce: [Hardware Error]: CPU 0: Machine Check: 0 Bank 17:"
                    " dc2040000000011b"
                ),
            ]
        )
    )

    (report,) = reading.reports
    assert (report.kind, report.fields["device"]) == ("HardwareError", "CPU 3")


def test_every_oops_of_many_is_counted(spoken: Spoken) -> None:
    lines = [
        "<1>[  812.101201] BUG: kernel NULL pointer dereference, address: 0000000000000008",
        "<4>[  812.102954] Oops: 0002 [#1] PREEMPT SMP NOPTI",
        "<4>[  812.202954] Oops: 0002 [#2] PREEMPT SMP NOPTI",
        "<4>[  812.302954] ---[ end trace 0000000000000000 ]---",
        "<4>[  812.402954] Oops: 0002 [#3] PREEMPT SMP NOPTI",
    ]

    reading = log_catalogue.read(spoken(lines))

    assert [report.fields["die"] for report in reading.reports] == ["1", "2", "3"]


def test_reports_of_two_processors_at_once_are_told_apart() -> None:
    records = [
        Record(
            0, 0, 1, 10.0, "watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [a:11]", None, "C1"
        ),
        Record(
            0, 0, 2, 10.0, "watchdog: BUG: soft lockup - CPU#2 stuck for 22s! [b:12]", None, "C2"
        ),
        Record(4, 0, 3, 10.0, "RIP: 0010:first+0x0/0xf", None, "C1"),
        Record(4, 0, 4, 10.0, "RIP: 0010:second+0x0/0xf", None, "C2"),
    ]

    reports = log_catalogue.read(records).reports

    assert [report.fields.get("function") for report in reports] == [None, "second"]


def test_a_server_that_answers_again_ends_the_trouble(spoken: Spoken) -> None:
    reading = log_catalogue.read(
        spoken(
            [
                "<5>[ 3224.579687] nfs: server ease not responding, still trying",
                "<5>[ 3224.612015] nfs: server ease OK",
            ]
        )
    )

    assert reading.ended == (("NFSServerNotResponding", "ease", 3224.612015),)


def test_lines_that_the_kernel_held_back_are_counted(spoken: Spoken) -> None:
    reading = log_catalogue.read(
        spoken(
            [
                "<4>[   90.000000] net_ratelimit: 60 callbacks suppressed",
                "<4>[   95.000000] EXT4-fs error: 12 callbacks suppressed",
                "<1>[   96.000000] BUG: Bad page state: 3 messages suppressed",
            ]
        )
    )

    assert reading.suppressed == {"net_ratelimit": 60, "EXT4-fs error": 12}
    assert [(r.kind, r.count) for r in reading.reports] == [
        ("FilesystemCorrupted", 12),
        ("BadPageState", 3),
    ]


@given(st.text(), st.integers(0, 7))
def test_any_text_is_a_report_or_none(text: str, level: int) -> None:
    reading = log_catalogue.read([Record(level, 0, 1, 100.0, text)])

    assert len(reading.reports) <= 1


def test_every_kind_has_a_real_line_or_says_in_a_test_why_not() -> None:
    shown = {report["kind"] for report in REPORTS}

    # Shown in tests of their own above, or of the words in the kernel's source.
    assert set(BY_NAME) - shown == {
        "KernelMemoryCorrupted",
        "HardwareError",
        "ConntrackTableFull",
        "NeighbourTableFull",
    }


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("KernelMemoryCorrupted", "<4>[ 50.000000] list_del corruption. prev->next should be x"),
        ("KernelMemoryCorrupted", "<3>[ 50.000000] BUG: KASAN: use-after-free in tcp_ack+0x1/0x2"),
        (
            "KernelMemoryCorrupted",
            "<3>[ 50.000000] BUG kmalloc-64 (Tainted: G    B            ): Redzone overwritten",
        ),
        ("ConntrackTableFull", "<4>[ 50.000000] nf_conntrack: table full, dropping packet"),
        (
            "ConntrackTableFull",
            "<4>[ 50.000000] nf_conntrack: nf_conntrack: table full, dropping packet",
        ),
        ("NeighbourTableFull", "<6>[ 50.000000] neighbour: arp_cache: neighbor table overflow!"),
        (
            "HardwareError",
            (
                "<4>[ 50.000000] EDAC MC0: 1 UE memory read error on CPU_SrcID#0_MC#0_Chan#0_DIMM#0"
                " (channel:0 slot:0 page:0xe16677 offset:0x0 grain:32)"
            ),
        ),
        ("HardwareError", "<3>[ 50.000000] {1}[Hardware Error]: event severity: recoverable"),
        (
            "FilesystemReadOnly",
            (
                "<1>[ 50.000000] XFS (dm-1): Corruption of in-memory data detected."
                "  Shutting down filesystem"
            ),
        ),
        ("FilesystemReadOnly", "<6>[ 50.000000] BTRFS info (device sda1 state E): forced readonly"),
        (
            "KernelOops",
            (
                "<0>[ 50.000000] general protection fault, probably for non-canonical address"
                " 0xdead000000000122: 0000 [#1] PREEMPT SMP NOPTI"
            ),
        ),
        ("KernelOops", "<4>[ 50.000000] Oops: invalid opcode: 0000 [#1] SMP NOPTI"),
        ("KernelOops", "<4>[ 50.000000] Oops: Oops: 0002 [#1] SMP NOPTI"),
        ("KernelOops", "<0>[ 50.000000] Internal error: Oops - BUG: 00000000f2000800 [#1] SMP"),
        (
            "HungTasks",
            "<3>[ 50.000000] INFO: task tar:77 blocked in I/O wait for more than 122 seconds.",
        ),
        ("HardLockup", "<0>[ 50.000000] watchdog: CPU3: Watchdog detected hard LOCKUP on cpu 3"),
        (
            "KernelWarned",
            "<4>[ 50.000000] WARNING: fs/dcache.c:1684 at umount_check+0x2f/0x3b, CPU#0: umount/77",
        ),
        (
            "RCUStall",
            (
                "<3>[ 50.000000] rcu: INFO: rcu_preempt detected expedited stalls on"
                " CPUs/tasks: { 1-... } 5 jiffies s: 33 root: 0x2/."
            ),
        ),
    ],
)
def test_words_of_the_source_are_known(kind: str, line: str, spoken: Spoken) -> None:
    assert [report.kind for report in log_catalogue.read(spoken([line])).reports] == [kind]


def test_every_start_leads_to_a_pattern() -> None:
    for entry in CATALOGUE.entries:
        assert entry.starts
        assert entry.patterns
