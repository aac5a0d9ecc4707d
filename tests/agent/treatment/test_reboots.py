"""Reboots, as far as this machine can stand them: by a hook, refused, or never sent."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from kernelhealth_agent import errors, rebooting
from kernelhealth_agent.attendance import Attendance
from kernelhealth_agent.hands import LiveHands, RefusingHands
from kernelhealth_agent.hosts.deeds import Deed
from kernelhealth_agent.hosts.deeds.reboots import CleanReboot, ForcedReboot, HookedReboot
from kernelhealth_agent.surgery import StoppedError
from kernelhealth_api.v1alpha1.request import (
    HostRequest,
    RebootMethod,
    RequestState,
    RequestStatus,
)
from kernelhealth_e2e.treatment.ward import BOOT, Ward, reboot


class Clinic(Protocol):
    ward: Ward
    said: list[RequestStatus]

    def open(self, hands: Any = None, **parts: Any) -> None: ...
    def asks(self, request: HostRequest | dict[str, Any] | None) -> None: ...
    def until(self, true: Any) -> RequestStatus: ...
    def answer(self, request_id: str) -> RequestStatus: ...


class Hook:
    """Whoever reboots the host in its own way: answers each line with *words*."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.words = "ok"
        self.asked: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(self.path)
        self._socket.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection, connection.makefile("rwb") as stream:
                self.asked.append(stream.readline().decode())
                if self.words:
                    stream.write(f"{self.words}\n".encode())


@pytest.fixture
def hook(tmp_path: Path) -> Iterator[Hook]:
    made = Hook(tmp_path / "hook.sock")
    yield made
    made.close()


def test_a_hook_is_told_which_boot_is_to_end(clinic: Clinic, hook: Hook) -> None:
    clinic.open(hook=hook.path)

    clinic.asks(reboot("r-1"))

    said = clinic.until(lambda said: said.id == "r-1")
    assert said.state is RequestState.RUNNING
    assert hook.asked == [f"reboot {BOOT} r-1\n"]


def test_a_restarted_agent_does_not_reboot_again(clinic: Clinic, hook: Hook) -> None:
    clinic.open(hook=hook.path)
    clinic.asks(reboot("r-1"))
    clinic.until(lambda said: said.id == "r-1")

    clinic.said.clear()
    clinic.open(hook=hook.path)
    clinic.asks(reboot("r-1"))

    said = clinic.until(lambda said: said.id == "r-1")
    assert said.state is RequestState.RUNNING
    assert "the node still runs the same boot" in said.message
    assert len(hook.asked) == 1


def test_an_agent_that_waited_for_another_repeats_what_that_one_has_begun(
    clinic: Clinic, hook: Hook
) -> None:
    """As during a rolling update: it asked what is on record before the other had begun."""
    practice = clinic.ward.practice(hook=hook.path)
    first = Attendance(reboot("r-1"), (), practice).conduct(lambda _: None, lambda: True)

    second = Attendance(reboot("r-1"), (), practice).conduct(lambda _: None, lambda: True)

    assert (first.state, second.state) == (RequestState.RUNNING, RequestState.RUNNING)
    assert len(hook.asked) == 1


def test_another_request_does_not_reboot_the_same_boot_again(clinic: Clinic, hook: Hook) -> None:
    clinic.open(hook=hook.path)
    clinic.asks(reboot("r-1"))
    clinic.until(lambda said: said.id == "r-1")

    clinic.asks(reboot("r-2"))

    said = clinic.answer("r-2")
    assert said.state is RequestState.REFUSED
    assert "asked for before, and there is only one" in said.message
    assert len(hook.asked) == 1


def test_a_forced_reboot_may_follow_a_clean_one_that_hangs(clinic: Clinic, hook: Hook) -> None:
    clinic.open(hook=hook.path)
    clinic.asks(reboot("r-1"))
    clinic.until(lambda said: said.id == "r-1")

    clinic.asks(reboot("r-2", RebootMethod.FORCED))
    second = clinic.until(lambda said: said.id == "r-2")
    clinic.asks(reboot("r-3"))
    third = clinic.answer("r-3")

    assert second.state is RequestState.RUNNING
    assert third.state is RequestState.REFUSED
    assert len(hook.asked) == 2


def test_a_reboot_for_a_boot_that_is_over_is_refused(clinic: Clinic, hook: Hook) -> None:
    clinic.open(hook=hook.path)

    clinic.asks(reboot("r-1").model_copy(update={"boot_id": "earlier"}))

    assert clinic.answer("r-1").state is RequestState.REFUSED
    assert hook.asked == []


def test_a_hook_that_says_no_has_not_rebooted_and_may_be_asked_anew(
    clinic: Clinic, hook: Hook
) -> None:
    hook.words = "no: somebody is logged in"
    clinic.open(hook=hook.path)
    clinic.asks(reboot("r-1"))
    refused = clinic.answer("r-1")

    hook.words = "ok: in a minute"
    clinic.asks(reboot("r-2"))

    assert refused.state is RequestState.FAILED
    assert "answered 'no: somebody is logged in'" in refused.message
    assert clinic.until(lambda said: said.id == "r-2").state is RequestState.RUNNING


def test_a_hook_that_was_asked_and_does_not_answer_may_be_rebooting(
    clinic: Clinic, hook: Hook
) -> None:
    """Whoever reboots may be ended before it has answered: it is not asked a second time."""
    hook.words = ""
    clinic.open(hook=hook.path)
    clinic.asks(reboot("r-1"))
    first = clinic.until(lambda said: said.id == "r-1")

    clinic.asks(reboot("r-2"))
    second = clinic.answer("r-2")

    assert first.state is RequestState.RUNNING
    assert "there was no answer" in first.message
    assert second.state is RequestState.REFUSED
    assert len(hook.asked) == 1


def test_a_reboot_that_was_withdrawn_right_before_may_be_asked_for_anew(
    clinic: Clinic, hook: Hook
) -> None:
    practice = clinic.ward.practice(hook=hook.path)

    def withdrawn(_: str) -> None:
        raise StoppedError("it was stopped")

    state, message = rebooting.ask(reboot("r-1"), practice, withdrawn)

    assert (state, message) == (RequestState.FAILED, "it was stopped")
    assert rebooting.objection(reboot("r-2"), practice) == ""
    assert hook.asked == []


def test_a_hook_below_an_absolute_link_of_the_host_is_found_on_the_host(
    tmp_path: Path, hook: Hook
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "hook.sock").rename(tmp_path / "run/hook.sock")
    (tmp_path / "var").mkdir()
    (tmp_path / "var/run").symlink_to("/run")

    HookedReboot("/var/run/hook.sock", BOOT, "r-1").do(str(tmp_path), str(tmp_path))

    assert hook.asked == [f"reboot {BOOT} r-1\n"]


def test_a_hook_that_is_not_there_is_said(clinic: Clinic, tmp_path: Path) -> None:
    clinic.open(hook=str(tmp_path / "nobody.sock"))

    clinic.asks(reboot("r-1"))

    assert clinic.answer("r-1").state is RequestState.FAILED


@pytest.mark.parametrize("method", list(RebootMethod))
def test_hands_that_refuse_never_reboot_a_real_machine(
    clinic: Clinic, tmp_path: Path, method: RebootMethod
) -> None:
    clinic.open(RefusingHands(LiveHands("/", str(tmp_path / "kept"))))

    clinic.asks(reboot("r-1", method))

    said = clinic.answer("r-1")
    assert said.state is RequestState.REFUSED
    assert "which KERNELHEALTH_HANDS=refuse-host-wide forbids" in said.message


def test_hands_that_refuse_let_the_hook_be_asked(clinic: Clinic, hook: Hook) -> None:
    clinic.open(RefusingHands(LiveHands("/", str(Path(hook.path).parent / "kept"))), hook=hook.path)

    clinic.asks(reboot("r-1"))

    assert clinic.until(lambda said: said.id == "r-1").state is RequestState.RUNNING
    assert len(hook.asked) == 1


@pytest.mark.parametrize("deed", [CleanReboot(), ForcedReboot()], ids=["clean", "forced"])
def test_where_process_1_is_not_the_hosts_nobody_is_rebooted(tmp_path: Path, deed: Deed) -> None:
    (tmp_path / "proc/self/ns").mkdir(parents=True)
    (tmp_path / "proc/self/ns/pid").write_text("")

    with pytest.raises(errors.AbsentError, match="is not the host's: the agent needs hostPID"):
        deed.do(str(tmp_path), str(tmp_path))


def test_a_clean_reboot_is_only_asked_of_systemd(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "proc/self/ns").mkdir(parents=True)
    (tmp_path / "proc/self/ns/pid").write_text("")
    (tmp_path / "proc/1").mkdir()
    (tmp_path / "proc/1/comm").write_text("runit\n")
    inode = (tmp_path / "proc/self/ns/pid").stat().st_ino
    monkeypatch.setattr("kernelhealth_agent.hosts.deeds.reboots._INITIAL_PID_NAMESPACE", inode)

    with pytest.raises(errors.AbsentError, match="only systemd is known to take the signal"):
        CleanReboot().do(str(tmp_path), str(tmp_path))


def test_a_hook_is_looked_for_on_the_host_and_not_in_the_container(
    tmp_path: Path, hook: Hook
) -> None:
    HookedReboot("/hook.sock", BOOT, "r-1").do(str(tmp_path), str(tmp_path))

    assert hook.asked == [f"reboot {BOOT} r-1\n"]
