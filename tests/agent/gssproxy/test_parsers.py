from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelhealth_agent import errors
from kernelhealth_agent.kernel import gssproxy, rpc_xprt

PATH = "proc/1/x"
SERVICE = "[service/nfs-server]\n"


@pytest.mark.parametrize("value", ["yes", "YES", "true", "True", "on", "1", " yes \t"])
def test_every_spelling_of_true_is_found_with_its_line(value: str) -> None:
    assert gssproxy.kernel_nfsd(f"{SERVICE}mechs = krb5\nkernel_nfsd={value}\n".encode()) == 3


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(SERVICE + "kernel_nfsd = no", id="switched off"),
        pytest.param(SERVICE + "# kernel_nfsd = yes", id="hash comment"),
        pytest.param(SERVICE + " ; kernel_nfsd = yes", id="semicolon comment"),
        pytest.param(SERVICE + "/* one\nkernel_nfsd = yes\ntwo */\n", id="comment of many lines"),
        pytest.param("[gssproxy]\nkernel_nfsd = yes", id="section that is no service"),
        pytest.param("kernel_nfsd = yes", id="before any section"),
        pytest.param(SERVICE + "kernel_nfsd = no\nkernel_nfsd = yes", id="second of two values"),
        pytest.param(SERVICE + "kernel_nfsd = yes # really", id="words after the value"),
        pytest.param(SERVICE + "kernel_nfsd", id="no value"),
        pytest.param("", id="empty file"),
    ],
)
def test_what_gssproxy_does_not_take_for_true_is_not_found(text: str) -> None:
    assert gssproxy.kernel_nfsd(text.encode()) is None


def test_names_are_not_case_sensitive() -> None:
    assert gssproxy.kernel_nfsd(b"[Service/NFS]\nKernel_NFSD = yes\n") == 2


def test_one_service_does_not_decide_for_another() -> None:
    text = "[service/a]\nkernel_nfsd = no\n[service/b]\n\nkernel_nfsd = yes\n"

    assert gssproxy.kernel_nfsd(text.encode()) == 5


def test_what_follows_a_closed_comment_counts() -> None:
    assert gssproxy.kernel_nfsd(f"/* a\nb */\n{SERVICE}kernel_nfsd = 1".encode()) == 4


@given(st.binary())
def test_any_configuration_gives_a_line_of_it_or_none(content: bytes) -> None:
    line = gssproxy.kernel_nfsd(content)

    assert line is None or 1 <= line <= content.count(b"\n") + 1


@pytest.mark.parametrize(("content", "state"), [(b"-1\n", -1), (b"0\n", 0), (b"1\n", 1)])
def test_the_state_is_read(content: bytes, state: int) -> None:
    assert gssproxy.state(content, PATH) == state


@pytest.mark.parametrize("content", [b"", b"\n", b"2\n", b"yes\n", b"\xff\n"])
def test_a_state_that_cannot_be_names_the_file(content: bytes) -> None:
    with pytest.raises(errors.UnreadableError, match=f"^{PATH} cannot be understood"):
        gssproxy.state(content, PATH)


def test_a_transport_is_read_with_and_without_the_namespace() -> None:
    text = b"netid: local\naddr:  /var/run/gssproxy.sock\nport:  0\nstate: 0x10\n"

    old = rpc_xprt.transport(text, PATH)
    new = rpc_xprt.transport(text + b"netns: 4026532128\n", PATH)

    assert (old.netns, new.netns) == (None, 4026532128)
    assert old.to_gssproxy
    assert new.to_gssproxy


@pytest.mark.parametrize(
    "text",
    ["netid: tcp\naddr: /gssproxy.sock\n", "netid: local\naddr: /var/run/rpcbind.sock\n"],
    ids=["another kind", "another socket"],
)
def test_other_transports_are_told_apart(text: str) -> None:
    assert not rpc_xprt.transport(text.encode(), PATH).to_gssproxy


def test_a_transport_without_address_is_named() -> None:
    with pytest.raises(errors.UnreadableError, match="no line 'addr'"):
        rpc_xprt.transport(b"netid: local\n", PATH)


@given(st.binary() | st.from_regex(r"netid: \w+\naddr: .*\nnetns:.*\n").map(str.encode))
def test_any_transport_gives_a_value_or_says_what_is_wrong(content: bytes) -> None:
    with contextlib.suppress(errors.UnreadableError):
        assert rpc_xprt.transport(content, PATH).netid is not None


@given(st.binary())
def test_any_state_gives_one_of_three_or_says_what_is_wrong(content: bytes) -> None:
    with contextlib.suppress(errors.UnreadableError):
        assert gssproxy.state(content, PATH) in {-1, 0, 1}
