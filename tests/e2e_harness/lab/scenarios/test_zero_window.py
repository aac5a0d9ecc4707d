from __future__ import annotations

from typing import Any

import pytest

from kernelhealth_e2e.errors import HarnessError
from kernelhealth_e2e.lab.scenarios.zero_window import tcp_table
from kernelhealth_e2e.lab.scenarios.zero_window.course import CURES, STUCK, named
from kernelhealth_e2e.lab.scenarios.zero_window.tcp_table import PERSIST
from kernelhealth_e2e.lab.scenarios.zero_window.workloads import client, server
from kernelhealth_e2e.lab.scenarios.zero_window.workloads.client import ENOUGH, Row

TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:1B59 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 17 1
   1: 0265F40A:BF0C 0365F40A:1B59 01 000E0C1C:00000000 04:00000066 00000000     0        0 18 2
   2: 0265F40A:B318 0365F40A:1B58 01 00000000:0001F3E5 00:00000000 00000000     0        0 19 1
   3: 0265F40A:D4AE 0365F40A:1B59 06 00000000:00000000 03:00000F70 00000000     0        0 0 3
"""
MIB = 1 << 20
POD = "shop/repaired-client"


def test_a_connection_is_found_by_the_port_of_its_other_end() -> None:
    found = tcp_table.connection(TABLE, 7001)

    assert (found.port, found.peer_port) == (0xBF0C, 7001)
    assert (found.unsent, found.unread, found.timer) == (0xE0C1C, 0, PERSIST)


def test_what_waits_to_be_read_is_told_apart_from_what_waits_to_be_sent() -> None:
    found = tcp_table.connection(TABLE, 7000)

    assert (found.unsent, found.unread) == (0, 0x1F3E5)


def test_a_connection_that_is_not_there_is_said_to_be_missing() -> None:
    with pytest.raises(HarnessError, match="port 4711 there are 0"):
        tcp_table.connection(TABLE, 4711)


def test_both_programs_speak_on_the_same_ports() -> None:
    assert (client.ORDERS, client.DATA) == (server.ORDERS, server.DATA)


def test_what_is_poured_is_more_than_a_window_can_lag_behind_and_less_than_all_numbers() -> None:
    under_way = 128 * MIB

    assert 1 << 31 < ENOUGH < (1 << 32) - under_way


def row(*looks: tuple[int, int], strict: bool = True) -> Row:
    """Take in 64 MiB per look at the segments, of all and of the fast path; the first is before."""
    left = iter(looks)
    made = Row(strict, lambda: next(left))
    for _ in looks[1:]:
        made.add(64 * MIB)
    return made


def test_a_row_begins_anew_after_a_slow_segment() -> None:
    made = row((10, 5), (20, 15), (31, 25), (41, 35))

    assert made.total == 3 * 64 * MIB
    assert made.length == 64 * MIB


def test_a_row_goes_on_while_all_segments_take_the_fast_path() -> None:
    made = row((10, 5), (20, 15), (30, 25))

    assert made.length == made.total == 2 * 64 * MIB


def test_a_slow_segment_that_comes_too_late_ends_no_row() -> None:
    made = Row(strict=True, segments=iter([(0, 0), (100, 100), (101, 100)]).__next__)

    made.add(1 << 31)
    made.add(64 * MIB)

    assert made.length == made.total


def test_where_any_segment_will_do_all_count() -> None:
    made = row((0, 0), (9, 0), (99, 0), strict=False)

    assert made.length == made.total


def finding(**changes: Any) -> dict[str, Any]:
    """Give a finding about the stuck client, but for these changes."""
    subject = {"pod": POD, "process": "python3[17]", "addresses": ["10.0.0.2:1", "10.0.0.3:2"]}
    one = {"reason": STUCK, "cause": "StaleSndWl1", "cures": CURES, "subject": subject}
    return {**one, **changes}


def test_a_finding_that_names_all_is_put_into_words() -> None:
    words = named(finding(), POD)

    assert words.startswith("StaleSndWl1: python3[17] of shop/repaired-client, 10.0.0.2:1 to")


@pytest.mark.parametrize(
    "wrong",
    [
        {"cause": None},
        {"cures": ["DestroySocket"]},
        {"subject": {"pod": "shop/other", "process": "python3[17]", "addresses": ["a", "b"]}},
        {"subject": {"pod": POD, "process": "python3[17]", "addresses": ["a"]}},
        {"subject": {"pod": POD, "addresses": ["a", "b"]}},
    ],
    ids=["no cause", "a cure is missing", "another pod", "one end", "no program"],
)
def test_a_finding_that_lacks_something_is_not_accepted(wrong: dict[str, Any]) -> None:
    with pytest.raises(HarnessError, match="does not name"):
        named(finding(**wrong), POD)
