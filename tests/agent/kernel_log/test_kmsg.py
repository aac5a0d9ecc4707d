from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelhealth_agent import errors
from kernelhealth_agent.hosts.kernel_log import KernelLog
from kernelhealth_agent.kernel import kmsg

STREAM = (
    b"6,194,292230,-;acpi PNP0A08:00: PCIe port services disabled\n"
    b" SUBSYSTEM=acpi\n DEVICE=+acpi:PNP0A08:00\n"
    b"12,195,1200000,-;systemd[1]: started\n"
    b"0,198,40311380557,-,caller=C0;BUG: workqueue lockup - pool cpus=3\n"
)


def test_a_record_has_level_number_time_text_and_device() -> None:
    first, *_ = kmsg.records(STREAM)

    assert first == kmsg.Record(
        priority=6,
        facility=0,
        sequence=194,
        seconds=0.29223,
        text="acpi PNP0A08:00: PCIe port services disabled",
        device="+acpi:PNP0A08:00",
    )


def test_what_a_program_wrote_is_told_from_the_kernel() -> None:
    assert [record.is_kernels for record in kmsg.records(STREAM)] == [True, False, True]


def test_the_caller_is_known_where_the_kernel_tells_it() -> None:
    assert [record.caller for record in kmsg.records(STREAM)] == [None, None, "C0"]


def test_a_device_is_not_taken_for_that_of_the_next_record() -> None:
    assert [record.device for record in kmsg.records(STREAM)] == ["+acpi:PNP0A08:00", None, None]


@pytest.mark.parametrize(
    ("after", "sequences"), [(-1, [194, 195, 198]), (194, [195, 198]), (196, [198]), (198, [])]
)
def test_only_what_is_new_is_read(after: int, sequences: list[int]) -> None:
    assert [record.sequence for record in kmsg.records(STREAM, after=after)] == sequences


def test_what_was_escaped_is_as_the_kernel_said_it() -> None:
    (record,) = kmsg.records(rb"6,1,1,-;a\x0ab \x5cx41 \xc3\xa4" + b"\n")

    assert record.text == "a\nb \\x41 ä"


@pytest.mark.parametrize(
    ("after", "lost"),
    [
        pytest.param(-1, 2, id="a gap"),
        pytest.param(190, 5, id="overwritten since the last look"),
        pytest.param(193, 2, id="nothing overwritten"),
    ],
)
def test_records_that_are_missing_are_counted(after: int, lost: int) -> None:
    assert kmsg.lost(kmsg.records(STREAM, after=after), after) == lost


def test_no_record_at_all_is_no_loss() -> None:
    assert kmsg.lost((), 17) == 0


def test_a_line_that_is_no_record_is_named() -> None:
    with pytest.raises(errors.UnreadableError, match=r"^dev/kmsg:5 cannot be understood"):
        kmsg.records(STREAM.replace(b"0,198,", b"zero,198,"), after=194)


@given(st.binary() | st.from_regex(r"\d+,\d+,\d+,-;.*\n( \w=.*\n)*").map(str.encode), st.integers())
def test_any_stream_gives_records_or_says_what_is_wrong(stream: bytes, after: int) -> None:
    with contextlib.suppress(errors.UnreadableError):
        found = kmsg.records(stream, after=after)

        assert all(record.sequence > after for record in found)
        assert kmsg.lost(found, after) >= 0


def test_the_probe_reads_to_the_end(tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "kmsg").write_bytes(STREAM)

    assert KernelLog().ask(str(tmp_path)) == STREAM


def test_the_probe_leaves_no_descriptor_open(
    tmp_path: Path, open_files: Callable[[], set[tuple[str, str]]]
) -> None:
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "kmsg").write_bytes(STREAM)
    before = open_files()

    KernelLog().ask(str(tmp_path))

    assert open_files() <= before
