from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernelhealth_agent import errors
from kernelhealth_agent.hosts import SocketHolder
from kernelhealth_agent.hosts.recorded import NAMESPACES, RecordedHost
from kernelhealth_agent.kernel import rtnetlink


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "proc/17/ns").mkdir(parents=True)
    (tmp_path / "proc/17/ns/net").symlink_to("net:[100]")
    (tmp_path / "netlink").mkdir()
    known = {
        "inodes": {"run/netns/blue": 200},
        "nsids": {"100": 3},
        "cookies": {"200": 7001},
        "sockets": {"17/4": 200, "17/5": 100},
    }
    (tmp_path / NAMESPACES).write_text(json.dumps(known))
    return tmp_path


@pytest.fixture
def host(root: Path) -> RecordedHost:
    return RecordedHost(str(root))


def test_no_process_looks_at_a_recording(host: RecordedHost) -> None:
    assert host.own_pid is None


def test_namespaces_are_known_by_link_and_by_path(host: RecordedHost, root: Path) -> None:
    (root / "plain").touch()

    assert host.inode("proc/17/ns/net") == 100
    assert host.inode("run/netns/blue") == 200
    assert host.inode("plain") == 0
    with pytest.raises(errors.AbsentError):
        host.inode("run/netns/red")


def test_ids_and_cookies_are_those_of_the_namespace_behind_a_path(host: RecordedHost) -> None:
    assert host.nsids(["proc/17/ns/net", "run/netns/blue", "gone"]) == [3, None, None]
    assert host.cookie("run/netns/blue") == 7001
    assert host.cookie("proc/17/ns/net") is None


def test_a_socket_of_each_namespace_that_is_not_known_is_told(host: RecordedHost) -> None:
    assert host.strangers({200}) == [SocketHolder(17, 5, 100, 3)]
    assert host.strangers({100, 200}) == []


def test_answers_are_told_apart_by_the_namespace_in_which_was_asked(
    host: RecordedHost, root: Path
) -> None:
    (root / "netlink/links.hex").write_text("00\n0102\n")
    (root / "netlink/links@100.hex").write_text("03\n")
    request = rtnetlink.links_request()

    assert host.dump(request) == b"\0\1\2"
    assert host.dump(request, "proc/17/ns/net") == b"\3"
    with pytest.raises(errors.AbsentError, match=r"^netlink/links@200\.hex"):
        host.dump(request, "run/netns/blue")


def test_an_answer_that_is_not_hexadecimal_is_named(host: RecordedHost, root: Path) -> None:
    (root / "netlink/links.hex").write_text("0x\n")

    with pytest.raises(errors.UnreadableError, match=r"^netlink/links\.hex cannot be understood"):
        host.dump(rtnetlink.links_request())


def test_a_recording_without_namespaces_knows_none(host: RecordedHost, root: Path) -> None:
    (root / NAMESPACES).unlink()

    assert host.nsids(["proc/17/ns/net"]) == [None]
    assert host.strangers(()) == []


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"nsids": []}',
        '{"nsids": {"100": "3"}}',
        '{"nsids": {"100": true}}',
        '{"nsids": {"100": null}}',
    ],
)
def test_namespaces_that_are_written_wrongly_are_named(
    text: str, host: RecordedHost, root: Path
) -> None:
    (root / NAMESPACES).write_text(text)

    with pytest.raises(errors.UnreadableError, match=r"^netlink/namespaces\.json cannot be"):
        host.nsids(["proc/17/ns/net"])


@pytest.mark.parametrize("holder", ["17", "a/4", "17/", "/4"])
def test_a_socket_of_nobody_is_named(holder: str, host: RecordedHost, root: Path) -> None:
    (root / NAMESPACES).write_text(json.dumps({"sockets": {holder: 200}}))

    with pytest.raises(errors.UnreadableError, match="is no descriptor"):
        host.strangers(())


def test_a_link_to_no_namespace_is_named(host: RecordedHost, root: Path) -> None:
    (root / "proc/17/ns/user").symlink_to("somewhere")

    with pytest.raises(errors.UnreadableError, match=r"^proc/17/ns/user .* is no namespace"):
        host.inode("proc/17/ns/user")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(content=st.binary(max_size=80))
def test_any_bytes_give_answers_or_name_the_file(
    content: bytes, host: RecordedHost, root: Path
) -> None:
    (root / NAMESPACES).write_bytes(content)
    (root / "netlink/links.hex").write_bytes(content)

    for ask in (
        lambda: host.nsids(["proc/17/ns/net"]),
        lambda: host.strangers(()),
        lambda: host.dump(rtnetlink.links_request()),
    ):
        try:
            ask()
        except errors.HostError as error:
            assert error.path.startswith("netlink/")  # noqa: PT017 - Both outcomes are right.
