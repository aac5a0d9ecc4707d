from __future__ import annotations

import contextlib
import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelhealth_agent import errors
from kernelhealth_agent.kernel import inet_diag, send_window, socket_owners, tcp_counters
from kernelhealth_agent.kernel.netlink import HEADER, attribute
from kernelhealth_agent.kernel.send_window import Refusal, SendWindow

PATH = "proc/1/x"
NETSTAT = b"TcpExt: SyncookiesSent TCPWinProbe TCPKeepAlive\nTcpExt: 7 41 3\nIpExt: A\nIpExt: 1\n"
# The lag that systemtap showed: a segment at 1253278418, the window set by one at 1708927328.
STALE = SendWindow(1708927328, 0, 4194304, 2097152, 1253278418)
TCP = (
    b"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt\n"
    b"   0: 0200090A:D776 0100090A:1389 01 0026B946:0000000F 04:00002BC0 00000000"
    b"     0        1 1142 2 0 22 4 30 10 -1\n"
    b"   1: 0200090A:D777 0100090A:138A 01 00000000:00000000 02:0000A5C0 00000000"
    b"     0        0 1144 2 0 22 4 30 10 -1\n"
)


def message(timer: int = 4, family: int = 2, info: bytes = b"") -> bytes:
    source, target = b"\x0a\x09\x00\x02".ljust(16, b"\0"), b"\x0a\x09\x00\x01".ljust(16, b"\0")
    body = bytes([family, 1, timer, 0]) + struct.pack(">HH", 55158, 5001) + source + target
    body += struct.pack("=IQIIIII", 0, 0xA1, 112000, 15, 2537798, 0, 1142) + attribute(2, info)
    return HEADER.pack(HEADER.size + len(body), 20, 2, 1, 0) + body


def tcp_info(size: int) -> bytes:
    raw = bytearray(248)
    raw[3:5] = bytes([1, 9])
    struct.pack_into("=I", raw, 44, 1500)
    struct.pack_into("=QQ", raw, 120, 81483, 2411724800)
    struct.pack_into("=I", raw, 144, 2537798)
    struct.pack_into("=II", raw, 228, 11, 12)
    return bytes(raw[:size])


def test_a_connection_is_decoded_with_both_ends_and_its_counters() -> None:
    (one,) = inet_diag.connections(message(info=tcp_info(248)), PATH)

    assert (one.here, one.there) == ("10.9.0.2:55158", "10.9.0.1:5001")
    assert (one.timer, one.unread, one.unsent, one.inode) == (4, 15, 2537798, 1142)
    assert (one.probes, one.backoff, one.unacked, one.not_sent) == (1, 9, 0, 2537798)
    assert (one.acked, one.received, one.last_sent) == (81483, 2411724800, 1.5)
    assert (one.send_window, one.receive_window) == (11, 12)
    assert one.identity == "a1"


@pytest.mark.parametrize(
    ("size", "known"),
    [
        pytest.param(0, (None, None, None, None, None), id="no tcp_info"),
        pytest.param(104, (9, None, None, None, None), id="as of Linux 3"),
        pytest.param(136, (9, 2411724800, None, None, None), id="as of Linux 4.2"),
        pytest.param(148, (9, 2411724800, 2537798, None, None), id="as of Linux 4.6"),
        pytest.param(232, (9, 2411724800, 2537798, 11, None), id="as of Linux 5.4"),
        pytest.param(240, (9, 2411724800, 2537798, 11, 12), id="as of Linux 6.2"),
    ],
)
def test_what_an_older_kernel_does_not_tell_is_none(
    size: int, known: tuple[int | None, ...]
) -> None:
    (one,) = inet_diag.connections(message(info=tcp_info(size)), PATH)

    found = (one.backoff, one.received, one.not_sent, one.send_window, one.receive_window)
    assert found == known


def test_only_the_connections_with_the_timer_are_decoded() -> None:
    # The one with another timer has a family that cannot be decoded.
    stream = message(timer=2, family=99) + message()

    assert len(list(inet_diag.connections(stream, PATH, inet_diag.PERSIST))) == 1
    with pytest.raises(errors.UnreadableError, match="address family 99"):
        list(inet_diag.connections(stream, PATH))


def test_a_mapped_address_is_that_of_ipv4() -> None:
    raw = bytearray(message(family=10))
    raw[16 + 8 : 16 + 24] = bytes(10) + b"\xff\xff\x0a\x09\x00\x02"

    (one,) = inet_diag.connections(bytes(raw), PATH)

    assert one.local == "10.9.0.2"


def test_the_ends_of_the_peer_are_the_own_ones_reversed() -> None:
    (one,) = inet_diag.connections(message(), PATH)

    assert one.far_ends == ("10.9.0.1", 5001, "10.9.0.2", 55158)


def test_the_table_of_procfs_has_those_that_probe_a_window() -> None:
    (one,) = inet_diag.table(TCP, PATH)

    assert (one.here, one.there) == ("10.9.0.2:55158", "10.9.0.1:5001")
    assert (one.unsent, one.unread, one.probes, one.inode) == (2537798, 15, 1, 1142)
    assert (one.backoff, one.received) == (None, None)
    assert one.identity == "10.9.0.2:55158-10.9.0.1:5001"


def test_a_line_that_is_no_connection_is_named() -> None:
    with pytest.raises(errors.UnreadableError, match=f"^{PATH}:2 cannot"):
        list(inet_diag.table(b"header\n   0: garbage\n", PATH))


def test_the_probes_of_a_namespace_are_read_by_name() -> None:
    assert tcp_counters.window_probes(NETSTAT, PATH) == 41


@pytest.mark.parametrize("name", [b"TCPWinProb", b"TCPWinProbes", b"XTCPWinProbe"])
def test_a_kernel_that_counts_no_probes_is_told_apart(name: bytes) -> None:
    assert tcp_counters.window_probes(NETSTAT.replace(b"TCPWinProbe", name), PATH) is None


@pytest.mark.parametrize("content", [b"", b"TcpExt: TCPWinProbe\n", b"TcpExt: TCPWinProbe\nx: 1\n"])
def test_a_file_without_counters_is_named(content: bytes) -> None:
    with pytest.raises(errors.UnreadableError, match=PATH):
        tcp_counters.window_probes(content, PATH)


def test_the_window_of_the_report_is_stale() -> None:
    assert STALE.stale
    assert STALE.behind == 3839318386


@pytest.mark.parametrize(
    ("behind", "stale"),
    [
        pytest.param(0, False, id="up to date"),
        pytest.param(848, False, id="a slow reader's"),
        pytest.param(2**31 - 2**21 - 1, False, id="before half of the numbers"),
        pytest.param(2411724800, True, id="2300 MiB, stuck"),
        pytest.param(2**32 - 2**21 - 1, True, id="last byte before it heals"),
        pytest.param(2**32 - 2**21, False, id="at the edge of the receive window"),
        pytest.param(4404019200 % 2**32, False, id="4200 MiB, healed"),
    ],
)
@pytest.mark.parametrize("edge", [0, 5, 2**31, 2**32 - 1])
def test_a_window_is_stale_when_no_segment_can_be_after_it(
    behind: int, edge: int, *, stale: bool
) -> None:
    window = SendWindow((edge - behind) % 2**32, 0, 65535, 2**21, edge)

    assert window.stale is stale


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**30), st.integers(0, 2**32 - 1))
def test_a_stale_window_is_one_that_no_acceptable_segment_can_open(
    snd_wl1: int, rcv_wnd: int, rcv_wup: int
) -> None:
    window = SendWindow(snd_wl1, 0, 0, rcv_wnd, rcv_wup)
    edge = (rcv_wup + rcv_wnd) % 2**32

    newer = [0 < (seq - snd_wl1) % 2**32 < 2**31 or seq == snd_wl1 for seq in (rcv_wup, edge)]

    if window.stale:
        # tcp_may_update_window takes none, from what was received last to the right edge.
        assert not newer[1]
        assert not newer[0] or window.behind < 2**31


def test_a_window_and_a_refusal_are_decoded() -> None:
    numbers = {"snd_wl1": 1, "snd_wnd": 2, "max_window": 3, "rcv_wnd": 4, "rcv_wup": 5}

    assert send_window.decode(json.dumps(numbers).encode(), PATH) == SendWindow(1, 2, 3, 4, 5)
    assert send_window.decode(b'{"refused": "no"}', PATH) == Refusal("no")


def test_owners_are_decoded() -> None:
    found = socket_owners.decode(b'{"88123": [[310, 3, "rsync"]], "9": []}', PATH)

    assert [owner.title for owner in found[88123]] == ["rsync[310]"]
    assert found[9] == ()


@given(st.binary() | st.binary().map(lambda raw: message(info=raw)))
def test_any_answer_gives_connections_or_says_what_is_wrong(stream: bytes) -> None:
    with contextlib.suppress(errors.UnreadableError):
        assert all(one.here and one.there for one in inet_diag.connections(stream, PATH))


@given(st.binary() | st.from_regex(rb"h\n 0: \w{8}:\w{4} \w{8}:\w{4} 01 \w+:\w+ 04:\w+( \w+){4}\n"))
def test_any_table_gives_connections_or_says_what_is_wrong(content: bytes) -> None:
    with contextlib.suppress(errors.UnreadableError):
        assert all(one.timer == inet_diag.PERSIST for one in inet_diag.table(content, PATH))


@given(st.binary() | st.from_regex(rb"TcpExt: [\w ]* TCPWinProbe[\w ]*\nTcpExt: [\w ]*\n"))
def test_any_counters_give_a_number_or_say_what_is_wrong(content: bytes) -> None:
    with contextlib.suppress(errors.UnreadableError):
        assert isinstance(tcp_counters.window_probes(content, PATH), int | None)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_answer_of_a_probe_gives_a_value_or_says_what_is_wrong(answer: bytes) -> None:
    with contextlib.suppress(errors.UnreadableError):
        assert isinstance(send_window.decode(answer, PATH), SendWindow | Refusal)
    with contextlib.suppress(errors.UnreadableError):
        assert isinstance(dict(socket_owners.decode(answer, PATH)), dict)
