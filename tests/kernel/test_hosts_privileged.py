"""The live host beside other sources of the same truth: the tests' own files, and pyroute2."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from pyroute2 import IPRoute

from kernelhealth_agent import errors
from kernelhealth_agent.hosts import Descriptor, SocketHolder, Task, sockets
from kernelhealth_agent.hosts.live import LiveHost
from kernelhealth_agent.kernel import rtnetlink
from kernelhealth_agent.kernel.netlink import Request
from kernelhealth_e2e.faults import held_namespace
from kernelhealth_e2e.faults.namespace import Sandbox, sandbox
from kernelhealth_e2e.faults.veth import veth

PATIENCE = 60.0


@pytest.fixture
def pod() -> Iterator[Sandbox]:
    with sandbox() as made:
        yield made


def inside(pod: Sandbox) -> str:
    return pod.file.lstrip("/")


def test_ids_come_in_the_order_of_the_questions_however_many_there_are(live: LiveHost) -> None:
    with ExitStack() as stack:
        connected, alone = (stack.enter_context(sandbox()) for _ in range(2))
        stack.enter_context(veth(connected.pid))
        (nsid,) = live.nsids([inside(connected)])
        paths = [inside(connected), inside(alone), "proc/0/ns/net", "proc/1/comm"] * 75

        found = live.nsids(paths)

    assert nsid is not None
    assert found == [nsid, None, None, None] * 75


def test_no_question_has_no_answer(live: LiveHost) -> None:
    assert live.nsids([]) == []


def test_an_id_is_among_those_that_are_dumped(live: LiveHost, pod: Sandbox) -> None:
    with veth(pod.pid):
        (nsid,) = live.nsids([inside(pod)])
        answer = live.dump(rtnetlink.nsids_request())

    assert nsid in rtnetlink.nsids(answer, "nsids")


def test_ids_are_those_that_pyroute2_gets(live: LiveHost, pod: Sandbox) -> None:
    with veth(pod.pid), IPRoute() as netlink:
        told = netlink.get_netnsid(pid=pod.pid)["nsid"]

        assert live.nsids([inside(pod)]) == [told]


def test_links_are_those_that_pyroute2_decodes(live: LiveHost, pod: Sandbox) -> None:
    with veth(pod.pid) as near:
        links = rtnetlink.links(live.dump(rtnetlink.links_request()), "links")
        (found,) = [link for link in links if link.name == near]
        with IPRoute() as netlink:
            (told,) = netlink.get_links(ifname=near)

    assert (found.index, found.mac) == (told["index"], told.get_attr("IFLA_ADDRESS"))
    assert found.kind == told.get_nested("IFLA_LINKINFO", "IFLA_INFO_KIND")
    assert found.peer_index == told.get_attr("IFLA_LINK")
    assert found.peer_nsid == told.get_attr("IFLA_LINK_NETNSID")


def test_addresses_inside_a_namespace_are_those_that_pyroute2_decodes(
    live: LiveHost, pod: Sandbox
) -> None:
    with veth(pod.pid, "192.0.2.7/24"):
        answer = live.dump(rtnetlink.addresses_request(), inside(pod))
        found = rtnetlink.addresses(answer, "addresses")
        with held_namespace.inside(pod.file), IPRoute() as netlink:
            told = [(a["index"], a.get_attr("IFA_ADDRESS")) for a in netlink.get_addr()]

    assert "192.0.2.7" in {address.address for address in found}
    assert {(address.index, address.address) for address in found} == set(told)


def test_a_namespace_is_looked_into_by_its_id_and_by_its_file_alike(
    live: LiveHost, pod: Sandbox
) -> None:
    with veth(pod.pid):
        (nsid,) = live.nsids([inside(pod)])
        by_id = rtnetlink.links(live.dump(rtnetlink.links_request(nsid)), "links")
        by_file = rtnetlink.links(live.dump(rtnetlink.links_request(), inside(pod)), "links")

    assert [link.name for link in by_id] == ["lo", "eth0"]
    assert [(link.index, link.mac) for link in by_id] == [(k.index, k.mac) for k in by_file]


def test_the_thread_that_asked_in_another_namespace_is_back_at_home(
    live: LiveHost, pod: Sandbox
) -> None:
    home = Path("/proc/thread-self/ns/net").readlink()

    live.dump(rtnetlink.links_request(), inside(pod))
    live.cookie(inside(pod))

    assert Path("/proc/thread-self/ns/net").readlink() == home


def test_no_look_leaves_a_descriptor_open(
    live: LiveHost, pod: Sandbox, open_files: Callable[[], set[tuple[str, str]]]
) -> None:
    live.tasks()
    before = open_files()

    live.nsids([inside(pod), "proc/0/ns/net"])
    live.cookie(inside(pod))
    live.dump(rtnetlink.links_request(), inside(pod))
    live.strangers({1})
    live.descriptors()

    assert open_files() <= before


def test_a_namespace_that_is_gone_cannot_be_asked(live: LiveHost, pod: Sandbox) -> None:
    path = inside(pod)
    pod.stop()

    assert live.nsids([path]) == [None]
    for ask in (
        lambda: live.inode(path),
        lambda: live.cookie(path),
        lambda: live.dump(rtnetlink.links_request(), path),
    ):
        with pytest.raises(errors.AbsentError):
            ask()


def test_a_cookie_is_the_same_for_one_namespace_and_for_no_other(
    live: LiveHost, pod: Sandbox
) -> None:
    with sandbox() as other:
        cookies = {live.cookie(inside(pod)), live.cookie(inside(other)), live.cookie(inside(pod))}

    assert len(cookies) == 2
    assert None not in cookies


def test_what_is_no_namespace_has_no_number(live: LiveHost, tmp_path: Path) -> None:
    file = tmp_path / "net"
    file.touch()

    assert live.inode(str(file).lstrip("/")) == 0
    with pytest.raises(errors.AbsentError):
        live.cookie(str(file).lstrip("/"))


def test_a_process_is_where_its_links_say(live: LiveHost, pod: Sandbox) -> None:
    mntns = Path("/proc/self/ns/mnt").stat().st_ino

    assert Task(pod.pid, pod.inode, mntns) in live.tasks()


def test_a_thread_is_listed_where_it_left_its_process(live: LiveHost, pod: Sandbox) -> None:
    there, end = threading.Event(), threading.Event()
    ids: list[int] = []

    def stay() -> None:
        with held_namespace.inside(pod.file):
            ids.append(threading.get_native_id())
            there.set()
            end.wait()

    thread = threading.Thread(target=stay)
    thread.start()
    try:
        assert there.wait(60)
        there_now = {task.pid for task in live.tasks() if task.netns == pod.inode}
    finally:
        end.set()
        thread.join()

    assert {pod.pid, *ids} <= there_now
    assert os.getpid() not in there_now


def test_an_open_namespace_file_is_found_with_who_holds_it(live: LiveHost, pod: Sandbox) -> None:
    with held_namespace.descriptor(pod.file), sandbox() as heir:
        held = [d for d in live.descriptors() if d.inode == pod.inode]

    # Whoever else looks at this machine has a namespace open for a moment.
    (its,) = [d for d in held if d.pid == heir.pid]
    assert its == Descriptor(heir.pid, its.number, pod.inode)
    assert os.getpid() not in {d.pid for d in held}


def strangers(live: LiveHost, home: int, pod: Sandbox) -> list[SocketHolder]:
    return [s for s in live.strangers({home}) if s.inode == pod.inode]


def test_a_socket_of_a_namespace_is_found_with_who_holds_it(live: LiveHost, pod: Sandbox) -> None:
    with veth(pod.pid), ExitStack() as stack:
        with held_namespace.socket_in(pod.file) as made:
            number = made.fileno()
            (nsid,) = live.nsids([inside(pod)])
            heir = stack.enter_context(sandbox())
        home = Path("/proc/self/ns/net").stat().st_ino
        found = strangers(live, home, pod)
        # One is told of: whoever else looks at this machine has a socket in there for a moment.
        end = time.monotonic() + PATIENCE
        while [s.pid for s in found] != [heir.pid] and time.monotonic() < end:
            found = strangers(live, home, pod)
        known = [s for s in live.strangers({home, pod.inode}) if s.inode == pod.inode]

    assert [(s.pid, s.number, s.nsid) for s in found] == [(heir.pid, number, nsid)]
    assert known == []


def test_a_request_that_is_never_answered_is_given_up_and_named() -> None:
    live = LiveHost("/", patience=0.1)
    # NLMSG_NOOP: the kernel drops it without a word.
    silence = Request("silence", 0, 1, b"", dump=False)

    with pytest.raises(errors.HungError, match=r"^netlink silence did not answer within 0\.1 s"):
        live.dump(silence)


def test_a_family_that_the_kernel_has_not_is_absent(live: LiveHost) -> None:
    with pytest.raises(errors.AbsentError, match=r"^netlink nothing is not offered"):
        live.dump(Request("nothing", 31, 16, bytes(4)))


def test_a_request_that_the_kernel_refuses_is_named(live: LiveHost) -> None:
    with pytest.raises(errors.UnreadableError, match=r"^netlink links-of-nsid-1000000 cannot"):
        live.dump(rtnetlink.links_request(1_000_000))


def test_dumps_larger_than_one_message_are_whole(live: LiveHost, pod: Sandbox) -> None:
    wanted = {f"10.9.{n // 250}.{n % 250 + 1}" for n in range(600)}
    with held_namespace.inside(pod.file), IPRoute() as netlink:
        for address in sorted(wanted):
            netlink.addr("add", index=1, address=address, prefixlen=32)

    answer = live.dump(rtnetlink.addresses_request(), inside(pod))

    assert wanted <= {address.address for address in rtnetlink.addresses(answer, "addresses")}


def test_only_one_cache_may_be_shrunk(live: LiveHost) -> None:
    with pytest.raises(ValueError, match="kmalloc-8 is not among the caches that may be shrunk"):
        live.shrink("kmalloc-8")


_UNPRIVILEGED = """
import ctypes, json, os, sys
from kernelhealth_agent import errors, inventory
from kernelhealth_agent.hosts.live import LiveHost
from kernelhealth_e2e.faults.namespace import sandbox

def looked():
    os.setuid(65534)
    ctypes.CDLL(None).prctl(4, 1)  # As after an exec: others of the same user may look at it.
    try:
        return [[t.pid, t.netns, t.mntns] for t in LiveHost("/").tasks()]
    except errors.ForbiddenError as error:
        return str(error)

def reported():
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.write(write, json.dumps([os.getpid(), looked()]).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        said = json.load(answer)
    os.waitpid(child, 0)
    return said

with sandbox(0) as other:
    apart = reported()
together = reported()
zombie = os.fork()
if not zombie:
    os._exit(0)
os.waitid(os.P_PID, zombie, os.WEXITED | os.WNOWAIT)
print(json.dumps([together, apart, reported()]))
"""


@pytest.fixture(scope="module")
def unprivileged() -> list[list[object]]:
    """What an ordinary user sees of root's processes: pid of the looker, and tasks or error.

    In a process namespace of its own: with one process of root in the same network namespace,
    with another in a different one, and with one that ended and was not waited for.
    """
    if os.geteuid():
        pytest.skip("makes namespaces: needs root")
    command = ["unshare", "--pid", "--fork", "--mount-proc", "--net"]
    done = subprocess.run(
        [*command, sys.executable, "-c", _UNPRIVILEGED], check=True, capture_output=True
    )
    found: list[list[object]] = json.loads(done.stdout)
    return found


def test_a_process_that_may_not_be_asked_is_told_by_its_proc_net(
    unprivileged: list[list[object]],
) -> None:
    looker, tasks = unprivileged[0]

    assert isinstance(tasks, list)
    by_pid = {pid: (netns, mntns) for pid, netns, mntns in tasks}
    assert set(by_pid) == {1, looker}
    assert by_pid[1] == (by_pid[looker][0], 0)
    assert by_pid[looker][1] != 0


def test_a_process_that_might_be_in_any_namespace_is_forbidden(
    unprivileged: list[list[object]],
) -> None:
    _, said = unprivileged[1]

    assert said == ("proc/*/ns/net of 1 processes may not be read: the agent lacks CAP_SYS_PTRACE")


def test_a_process_that_ended_is_in_no_namespace(unprivileged: list[list[object]]) -> None:
    looker, tasks = unprivileged[2]

    assert isinstance(tasks, list)
    assert {pid for pid, _, _ in tasks} == {1, looker}


def test_a_netlink_socket_stays_where_it_was_made(pod: Sandbox) -> None:
    with sockets.opened(0, pod.file) as made:
        raw = made.getsockopt(socket.SOL_SOCKET, 71, 8)

    assert int.from_bytes(raw, sys.byteorder) == sockets.cookie(pod.file)
