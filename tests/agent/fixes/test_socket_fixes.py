"""RepairSocket and DestroySocket on recorded answers: each thing that speaks against them."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from pathlib import Path

import pytest

from kernelhealth_agent.fix import Aim, Fix
from kernelhealth_agent.fixes.destroy_socket import FIX as DESTROY
from kernelhealth_agent.fixes.repair_socket import FIX as REPAIR
from kernelhealth_agent.hosts.deeds.sockets import DestroyTcpSocket, RepairTcpSocket
from kernelhealth_agent.hosts.recorded import RecordedHost
from kernelhealth_agent.kernel import netlink, tcp_sockets
from kernelhealth_agent.kernel.tcp_sockets import Ends
from kernelhealth_api.detector import Observation, Reason, Severity, Subject

STUCK = Reason("ConnectionStuckInPersist", Severity.WARNING, "It waits for ever.")
SPACE, PEER_SPACE, SOCKET, COOKIE = 4026532300, 4026532301, 4242, 77
ENDS = Ends("192.0.2.1", 4711, "192.0.2.2", 80)
BOTH = pytest.mark.parametrize("fix", [REPAIR, DESTROY], ids=lambda fix: fix.name)
STALE = {"snd_wl1": 1 << 30, "snd_wnd": 0, "max_window": 1, "rcv_wnd": 100, "rcv_wup": 0}
FRESH = STALE | {"snd_wl1": 50}


class Node:
    """A recorded host with one connection, which is stuck unless a test changes it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.process(17, SPACE)
        self.process(18, PEER_SPACE)
        self.socket({})
        self.owners([[17, 3, "rsync"]])
        self.window(STALE)

    def process(self, pid: int, space: int) -> None:
        place = self.root / f"proc/{pid}"
        (place / "ns").mkdir(parents=True)
        (place / "ns/net").symlink_to(f"net:[{space}]")
        (place / "ns/mnt").symlink_to("mnt:[4026531840]")
        (place / "task" / str(pid)).mkdir(parents=True)
        (place / "mountinfo").write_text("")

    def socket(self, changed: dict[str, int], ends: Ends = ENDS, space: int = SPACE) -> None:
        known = {"state": 1, "timer": 4, "unread": 0, "unsent": 9, "unacked": 0, "acked": 5}
        now = known | {"cookie": COOKIE, "inode": SOCKET} | changed
        info = bytearray(136)
        struct.pack_into("=I", info, 24, now["unacked"])
        struct.pack_into("=Q", info, 120, now["acked"])
        body = bytes([2, now["state"], now["timer"], 0]) + bytes(40)
        body += struct.pack(
            "=QIIIII", now["cookie"], 0, now["unread"], now["unsent"], 0, now["inode"]
        )
        body += netlink.attribute(2, bytes(info))
        head = netlink.HEADER.pack(netlink.HEADER.size + len(body), 20, 0, 1, 0)
        path = self.root / f"netlink/{tcp_sockets.question(ends).name}@{space}.hex"
        path.parent.mkdir(exist_ok=True)
        path.write_text((head + body).hex())

    def owners(self, found: list[list[object]]) -> None:
        self._probe("socket-owners", {str(SOCKET): found})

    def window(self, found: dict[str, int] | dict[str, str]) -> None:
        self._probe(f"send-window/{SOCKET}", found)

    def _probe(self, name: str, found: object) -> None:
        path = self.root / "probes" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(found))

    def objection(self, fix: Fix, aim: Aim) -> str:
        return fix.objection(RecordedHost(str(self.root)), aim)


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def aim(fix: Fix, **changed: str | int) -> Aim:
    known: dict[str, str | int] = {"local": ENDS.local, "localPort": 4711}
    known |= {"peer": ENDS.peer, "peerPort": 80, "cookie": COOKIE, "acked": 5}
    observation = Observation(
        STUCK,
        f"{SPACE}/{COOKIE:x}",
        Subject(namespace=SPACE, addresses=("192.0.2.1:4711", "192.0.2.2:80")),
        "It is stuck.",
        cures=("RepairSocket", "DestroySocket"),
        aim=known | changed,
    )
    (found,) = fix.aims([observation])
    return found


@BOTH
def test_a_connection_that_is_proven_stuck_may_be_treated(fix: Fix, node: Node) -> None:
    assert node.objection(fix, aim(fix)) == ""


def test_the_deeds_name_the_very_socket_and_nothing_host_wide(node: Node) -> None:
    host = RecordedHost(str(node.root))

    (repair,) = REPAIR.deeds(host, aim(REPAIR))
    (destroy,) = DESTROY.deeds(host, aim(DESTROY))

    title = "192.0.2.1:4711 to 192.0.2.2:80"
    assert repair == RepairTcpSocket(SOCKET, COOKIE, ((17, 3),), title)
    assert destroy == DestroyTcpSocket(ENDS, COOKIE, "proc/17/ns/net", SPACE, title)
    assert not repair.host_wide
    assert not destroy.host_wide


@BOTH
@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"acked": 6}, "its peer has acknowledged data since"),
        ({"cookie": 78}, "there is no such connection any more"),
        ({"timer": 1}, "it does not wait for its peer's window any more"),
        ({"unacked": 1}, "it does not wait for its peer's window any more"),
        ({"unsent": 0}, "it does not wait for its peer's window any more"),
    ],
    ids=str,
)
def test_a_connection_that_is_not_as_it_was_is_left_alone(
    fix: Fix, changed: dict[str, int], why: str, node: Node
) -> None:
    node.socket(changed)

    assert node.objection(fix, aim(fix)).startswith(why)


@BOTH
def test_a_slow_reader_is_left_alone(fix: Fix, node: Node) -> None:
    node.window(FRESH)

    assert node.objection(fix, aim(fix)).endswith("it is a slow reader")


@BOTH
def test_a_finding_without_a_cookie_is_about_no_socket(fix: Fix, node: Node) -> None:
    found = aim(fix)
    known = {key: value for key, value in found.observation.aim.items() if key != "cookie"}
    bare = replace(found, observation=replace(found.observation, aim=known))

    assert "does not carry cookie" in node.objection(fix, bare)


def test_a_connection_that_is_being_closed_is_not_repaired(node: Node) -> None:
    node.socket({"state": 4})

    assert node.objection(REPAIR, aim(REPAIR)).startswith("it is being closed")


def test_a_socket_of_too_many_processes_is_not_repaired(node: Node) -> None:
    node.owners([[pid, 3, "x"] for pid in range(17)])

    assert "17 processes have it open" in node.objection(REPAIR, aim(REPAIR))


def test_a_window_that_cannot_be_read_ends_no_connection(node: Node) -> None:
    node.window({"refused": "it is traced"})

    assert node.objection(DESTROY, aim(DESTROY)).endswith("it is traced")
    assert node.objection(REPAIR, aim(REPAIR)).endswith("it is traced")


@pytest.mark.parametrize(
    ("unread", "against"), [(0, ""), (1, "nothing proves any more that it is stuck: it is traced")]
)
def test_an_idle_peer_on_this_node_is_proof_enough_to_end_it(
    unread: int, against: str, node: Node
) -> None:
    node.window({"refused": "it is traced"})
    node.socket({"unread": unread}, ENDS.turned, PEER_SPACE)

    assert node.objection(DESTROY, aim(DESTROY, peerNamespace=PEER_SPACE)) == against


@pytest.mark.parametrize(
    ("changed", "helped"),
    [
        ({}, []),
        ({"acked": 6}, ["RepairSocket"]),
        ({"cookie": 78}, ["RepairSocket", "DestroySocket"]),
    ],
    ids=["as before", "goes on", "over"],
)
def test_it_is_looked_whether_it_helped(
    changed: dict[str, int], helped: list[str], node: Node
) -> None:
    node.socket(changed)
    host = RecordedHost(str(node.root))

    assert [fix.name for fix in (REPAIR, DESTROY) if fix.achieved(host, aim(fix))] == helped


def test_a_window_that_would_be_taken_is_a_repair(node: Node) -> None:
    node.window(FRESH)

    assert REPAIR.achieved(RecordedHost(str(node.root)), aim(REPAIR))
