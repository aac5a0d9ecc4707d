"""What probes and debugfs say of namespaces, decoded."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelhealth_agent import catalogue, errors
from kernelhealth_agent.kernel import (
    in_flight,
    inside,
    listed_namespaces,
    namespace_views,
    rpc_xprt,
)
from kernelhealth_agent.kernel.in_flight import Queue
from kernelhealth_agent.kernel.inside import Inside
from kernelhealth_agent.settings import Settings

PATH = "probes/x"
DECODERS: list[Callable[[bytes, str], object]] = [
    inside.inside,
    in_flight.queues,
    listed_namespaces.in_use,
    rpc_xprt.transport,
    rpc_xprt.requests,
]
TASK = b"  402 0801      0 0x3 0x8e2fa1c4    60000 ops nfsv4 GETATTR a:call_status q:xprt_pending\n"


def test_what_is_inside_a_namespace_is_decoded() -> None:
    answer = {"inode": 7, "cookie": 5, "id": 5, "useGssProxy": "1", "sockstat": "sockets: used 3"}

    assert inside.inside(json.dumps(answer).encode(), PATH) == Inside(7, 5, 5, True, 3)
    assert inside.inside(b'{"inode": 7}', PATH) == Inside(7)


def test_descriptors_in_flight_are_decoded() -> None:
    assert in_flight.queues(b"[[4711, 7, 1]]", PATH) == (Queue(4711, 7, 1),)
    assert in_flight.waiting(b"pos:\t0\nscm_fds: 2\n") == 2
    assert in_flight.waiting(b"pos:\t0\n") == 0


def test_what_is_in_use_and_not_seen_is_told() -> None:
    found = listed_namespaces.in_use(b'{"active": [3, 9, 5], "known": [3, 4]}', PATH)

    assert (found.active, found.unseen) == (3, (5, 9))


@pytest.mark.parametrize(
    ("netid", "address", "port", "title"),
    [
        ("tcp", "192.0.2.5", "2049", "NFS client of server 192.0.2.5"),
        ("rdma", "192.0.2.5", "20049", "NFS client of server 192.0.2.5"),
        ("local", "/var/run/gssproxy.sock", "0", "gssproxy client (/var/run/gssproxy.sock)"),
        ("udp", "192.0.2.5", "111", "RPC client of the portmapper at 192.0.2.5"),
        ("local", "/run/rpcbind.sock", "0", "RPC client of the portmapper at /run/rpcbind.sock"),
        ("tcp", "192.0.2.5", "875", "RPC client of 192.0.2.5 port 875"),
    ],
)
def test_a_client_of_the_kernel_is_named_by_its_other_end(
    netid: str, address: str, port: str, title: str
) -> None:
    info = f"netid: {netid}\naddr:  {address}\nport:  {port}\nstate: 0x12\n".encode()

    assert rpc_xprt.transport(info, PATH).title == title


def test_requests_that_wait_are_counted() -> None:
    assert rpc_xprt.requests(TASK * 2, PATH) == 2
    assert rpc_xprt.requests(b"", PATH) == 0
    assert rpc_xprt.link_target("../../rpc_xprt/5") == "5"


def test_only_one_source_is_changed_when_namespaces_may_be_opened() -> None:
    every = catalogue.every()

    changed = [
        after.name
        for (before, _), (after, _) in zip(every, catalogue.opening(every), strict=True)
        if after is not before
    ]

    assert changed == ["network_namespaces"]


def test_namespaces_are_opened_only_where_somebody_asks_for_it() -> None:
    assert not Settings(_env_file=None).look_inside_by_device


@pytest.mark.parametrize("decode", DECODERS)
@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b"[1]", b"[" * 99_999])
def test_what_is_no_answer_is_named(decode: Callable[[bytes, str], object], content: bytes) -> None:
    with pytest.raises(errors.UnreadableError, match=f"^{PATH}(:1)? cannot be understood"):
        decode(content, PATH)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(["inode", "cookie", "sockstat", "active", "known", "id"]) | st.text(),
            inner,
        )
    ),
)


@given(st.sampled_from(DECODERS), st.binary() | values.map(lambda v: json.dumps(v).encode()))
def test_anything_gives_a_value_or_the_typed_error(
    decode: Callable[[bytes, str], object], content: bytes
) -> None:
    with contextlib.suppress(errors.UnreadableError):
        assert decode(content, PATH) is not None


@given(
    st.lists(
        st.tuples(
            st.floats(0, 1e9),
            st.none() | st.integers(0, 1 << 20),
            st.lists(st.integers(0)).map(tuple),
        )
    )
)
def test_any_looks_leave_a_bounded_memory(
    looks: list[tuple[float, int | None, tuple[int, ...]]],
) -> None:
    views = None
    for uptime, excess, unseen in looks:
        views = namespace_views.updated(views, uptime, excess, unseen)
        assert len(views.lows) <= 16
        assert views.excess >= 0
        assert set(views.unseen) <= set(unseen)
