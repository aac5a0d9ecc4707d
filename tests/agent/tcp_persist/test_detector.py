from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from kernelhealth_agent import errors
from kernelhealth_agent.detectors import tcp_persist as detector
from kernelhealth_agent.hosts.recorded import RecordedHost
from kernelhealth_agent.kernel.inet_diag import Connection
from kernelhealth_agent.kernel.namespaces import Namespace
from kernelhealth_agent.kernel.persist import RULES, Known, Memory, Persist, Sample, remembered
from kernelhealth_agent.kernel.send_window import Refusal, SendWindow
from kernelhealth_agent.kernel.socket_owners import Owner
from kernelhealth_agent.moments import Moment
from kernelhealth_agent.source import Occasion
from kernelhealth_agent.sources import tcp_persist as source
from kernelhealth_api.detector import Observation, Severity

Recorded = Callable[..., tuple[RecordedHost, Occasion[Any]]]
Replayed = Callable[..., Sample]
HOSTS = Path(__file__).parents[2] / "fixtures" / "hosts"
SICK = ("tcp_persist-stuck", "tcp_persist-peer-empty")
SLOW = (
    "tcp_persist-slow-reader",
    "tcp_persist-look-alike",
    "tcp_persist-unproven",
    "tcp_persist-no-inet-diag",
)
DEFAULTS = detector.TcpPersistParams()
NOW = Moment(datetime(2026, 1, 1, tzinfo=UTC), 400000.0)


@pytest.fixture
def replayed(recorded: Recorded) -> Replayed:
    """Look at a recorded host as it was, or *later* seconds after that with another memory."""

    def taken(name: str | Path, later: float = 0.0, memory: Memory | None = None) -> Sample:
        host, occasion = recorded(name)
        said = host.recording()
        moment = Moment(NOW.wall, said.get("uptime", NOW.uptime)).after(later)
        past = memory or source.SOURCE.recalled(said.get("memories", {}).get("tcp_persist"))
        return source.collect(host, replace(occasion, moment=moment, memory=past))

    return taken


@pytest.fixture
def copied(tmp_path: Path) -> Callable[[str], Path]:
    """Copy a recorded host, to change it."""

    def made(name: str) -> Path:
        target = tmp_path / name
        shutil.copytree(HOSTS / name, target, symlinks=True)
        return target

    return made


def judged(sample: Sample, params: detector.TcpPersistParams = DEFAULTS) -> list[Observation]:
    return list(detector.judge(sample, params))


def test_the_stuck_connection_of_the_report_is_proven_by_snd_wl1(replayed: Replayed) -> None:
    (found,) = judged(replayed("tcp_persist-stuck"))

    assert found.reason is detector.STUCK
    assert found.cause == "StaleSndWl1"
    assert found.cures == ("RepairSocket", "DestroySocket")
    assert found.subject.pod == "devdb/rsync-0"
    assert found.subject.process == "rsync[310], rsync[311]"
    assert found.subject.addresses == ("[2001:db8:2a::3]:38022", "[2001:db8:2a::18]:873")
    assert found.began == datetime(2025, 12, 31, 19, 28, 38, tzinfo=UTC)
    assert found.message == (
        "Pod devdb/rsync-0: the connection of rsync[310], rsync[311] from [2001:db8:2a::3]:38022 to"
        " [2001:db8:2a::18]:873 cannot be used since 2025-12-31 19:28:38Z: the kernel ignores every"
        " window that the peer announces (snd_wl1 1708927328 is after all that can still come in"
        " (1253278418 + 2097152)), and 392827 bytes wait for ever; repair the socket (RepairSocket)"
        " or restart one of the two programs, and update to a kernel with commit 18a4c0eab262; no"
        " reboot is needed."
    )


def test_a_peer_that_has_read_everything_for_minutes_is_a_proof(replayed: Replayed) -> None:
    (found,) = judged(replayed("tcp_persist-peer-empty"))

    assert found.reason is detector.STUCK
    assert "(pod bulk/server-0, zwtest[420])" in found.message
    assert "the peer has read everything and has room" in found.message


def test_a_peer_that_was_just_seen_empty_is_no_proof_yet(replayed: Replayed) -> None:
    name = "tcp_persist-peer-empty"
    known = replayed(name).memory.known
    fresh = {key: replace(one, empty_since=None) for key, one in known.items()}
    memory = Memory({}, fresh)

    first = replayed(name, memory=memory)
    second = replayed(name, 239.0, first.memory)
    third = replayed(name, 241.0, second.memory)

    assert [judged(s)[0].reason for s in (first, second)] == [detector.SLOW, detector.SLOW]
    assert judged(third)[0].reason is detector.STUCK


@pytest.mark.parametrize("name", SLOW)
def test_without_proof_it_is_a_slow_reader_and_only_noted(name: str, replayed: Replayed) -> None:
    (found,) = judged(replayed(name))

    assert found.reason is detector.SLOW
    assert found.reason.severity is Severity.INFO
    assert found.cures == ()


def test_who_asks_for_a_verdict_sooner_has_the_window_read_sooner(
    replayed: Replayed, recorded: Recorded
) -> None:
    name = "tcp_persist-stuck"
    before = replayed(name)
    began = before.uptime - 60.0
    young = {
        key: replace(one, since=began, asked=None, window=None)
        for key, one in before.memory.known.items()
    }
    host, occasion = recorded(name)
    occasion = replace(occasion, moment=Moment(NOW.wall, before.uptime), memory=Memory({}, young))
    eager = detector.TcpPersistParams(stalled_after=timedelta(seconds=30))

    by_default = source.SOURCE.collect(host, occasion)
    sooner = source.SOURCE.collect(host, replace(occasion, params=eager))

    assert judged(by_default, eager)[0].reason is detector.SLOW
    assert judged(sooner, eager)[0].reason is detector.STUCK
    assert judged(sooner) == []


def test_who_asks_for_a_verdict_later_loses_nothing_until_then(
    replayed: Replayed, recorded: Recorded
) -> None:
    host, occasion = recorded("tcp_persist-stuck")
    before = replayed("tcp_persist-stuck")
    occasion = replace(occasion, moment=Moment(NOW.wall, before.uptime))
    patient = detector.TcpPersistParams(stalled_after=timedelta(days=30))

    seen = source.SOURCE.collect(host, replace(occasion, params=patient))

    assert seen.persists == source.SOURCE.collect(host, occasion).persists


def test_unread_bytes_at_the_peer_are_named(replayed: Replayed) -> None:
    (found,) = judged(replayed("tcp_persist-look-alike"))

    assert "81482 bytes wait there to be read" in found.message


def test_a_slow_reader_is_not_stuck_whatever_it_received(replayed: Replayed) -> None:
    (one,) = replayed("tcp_persist-look-alike").persists

    assert one.is_suspect(RULES, NOW.uptime)
    assert isinstance(one.known.window, SendWindow)
    assert one.known.window.behind == 848


def test_a_suspect_that_cannot_be_proven_says_why_and_what_to_look_at(replayed: Replayed) -> None:
    (found,) = judged(replayed("tcp_persist-unproven"))

    assert "snd_wl1 was not read (Function not implemented)" in found.message
    assert "look at the receive queue of the peer" in found.message


def test_a_window_closed_for_a_moment_is_healthy(replayed: Replayed) -> None:
    sample = replayed("tcp_persist-healthy")

    assert len(sample.persists) == 1
    assert judged(sample) == []


def test_what_is_shorter_than_the_parameter_wants_is_no_finding(replayed: Replayed) -> None:
    patient = detector.TcpPersistParams.model_validate({"stalledAfter": "5h"})

    assert judged(replayed("tcp_persist-stuck"), patient) == []


def test_only_namespaces_whose_counter_moved_are_listed(
    replayed: Replayed, copied: Callable[[str], Path]
) -> None:
    directory = copied("tcp_persist-healthy")
    first = replayed(directory)
    (directory / "netlink" / "tcp4@4026532301.hex").write_text("")

    second = replayed(directory, 60.0, first.memory)
    third = replayed(directory, 120.0, second.memory)

    # What is known to be in persist is listed until it is gone.
    assert [s.listed for s in (first, second, third)] == [1, 1, 0]
    assert third.memory.known == {}
    assert third.memory.probes == first.memory.probes


def test_a_kernel_without_the_counter_has_every_namespace_listed(
    replayed: Replayed, copied: Callable[[str], Path]
) -> None:
    directory = copied("tcp_persist-healthy")
    for path in directory.glob("proc/*/net/netstat"):
        path.write_bytes(path.read_bytes().replace(b" TCPWinProbe ", b" TCPWinProbf "))

    sample = replayed(directory)

    # The host's own and the client's; the server's was not recorded.
    assert sample.spaces == 3
    assert sample.listed >= 2
    assert len(sample.persists) == 1


def test_a_namespace_that_could_not_be_listed_is_due_again(
    replayed: Replayed, copied: Callable[[str], Path]
) -> None:
    directory = copied("tcp_persist-healthy")
    listing = directory / "netlink" / "tcp4@4026532301.hex"
    content = listing.read_text()
    listing.write_text("10000000")

    first = replayed(directory)
    listing.write_text(content)
    second = replayed(directory, 60.0, first.memory)

    assert (first.listed, second.listed) == (0, 1)
    assert len(first.blind) == 1
    assert "netlink tcp4 cannot be understood" in first.blind[0]


def test_counters_that_are_garbage_blind_one_namespace_only(
    replayed: Replayed, copied: Callable[[str], Path]
) -> None:
    directory = copied("tcp_persist-stuck")
    (directory / "proc" / "1" / "net" / "netstat").write_bytes(b"\xff\x00")

    sample = replayed(directory)

    assert len(judged(sample)) == 1
    assert sample.blind == (
        "proc/1/net/netstat:1 cannot be understood: it does not begin with the counters TcpExt",
    )


def test_a_host_without_counters_is_not_available(
    replayed: Replayed, copied: Callable[[str], Path]
) -> None:
    directory = copied("tcp_persist-healthy")
    for path in directory.glob("proc/*/net/netstat"):
        path.unlink()

    with pytest.raises(errors.AbsentError, match="netstat"):
        replayed(directory)


def test_an_answer_about_owners_that_is_garbage_blinds_and_proves_nothing(
    replayed: Replayed, copied: Callable[[str], Path]
) -> None:
    directory = copied("tcp_persist-stuck")
    (directory / "probes" / "socket-owners").write_text("garbage")

    sample = replayed(directory)

    (said,) = sample.blind
    assert said.startswith("why connections stall was not found out: socket-owners cannot")
    assert [o.reason for o in judged(sample)] == [detector.SLOW]


def test_a_stale_window_is_read_once(replayed: Replayed, copied: Callable[[str], Path]) -> None:
    directory = copied("tcp_persist-stuck")
    first = replayed(directory)
    (directory / "probes" / "send-window" / "88123").unlink()

    later = replayed(directory, 7200.0, first.memory)

    assert judged(later)[0].reason is detector.STUCK


def test_what_costs_more_is_asked_again_after_half_an_hour_only(
    replayed: Replayed, copied: Callable[[str], Path]
) -> None:
    directory = copied("tcp_persist-look-alike")
    first = replayed(directory)
    answer = {"snd_wl1": 1, "snd_wnd": 2, "max_window": 3, "rcv_wnd": 4, "rcv_wup": 5}
    (directory / "probes" / "send-window" / "1142").write_text(json.dumps(answer))

    soon = replayed(directory, 1799.0, first.memory)
    late = replayed(directory, 1800.0, soon.memory)

    assert soon.persists[0].known.window == first.persists[0].known.window
    assert late.persists[0].known.window == SendWindow(1, 2, 3, 4, 5)


@pytest.mark.parametrize("name", [*SICK, *SLOW, "tcp_persist-healthy"])
def test_the_memory_survives_a_restart(name: str, replayed: Replayed) -> None:
    memory = replayed(name).memory
    written = TypeAdapter(Memory).dump_json(memory)

    assert source.SOURCE.recalled(json.loads(written)) == memory
    assert source.SOURCE.recalled(memory) == memory


@pytest.mark.parametrize("name", [*SICK, *SLOW])
def test_a_finding_stays_the_same_from_look_to_look(name: str, replayed: Replayed) -> None:
    first = replayed(name)

    second = replayed(name, 60.0, first.memory)

    assert judged(first) == judged(second)


CONNECTION = Connection(
    "192.0.2.1",
    1000,
    "192.0.2.2",
    2000,
    timer=4,
    unread=0,
    unsent=5000,
    inode=7,
    cookie=0x10,
    probes=0,
    backoff=10,
    unacked=0,
    not_sent=5000,
    last_sent=2000.0,
    acked=100,
    received=5 << 30,
)


def persist(known: Known | None = None, **changed: Any) -> Persist:
    now = replace(CONNECTION, **changed)
    return Persist(Namespace(17), now, known or remembered(now, None, NOW))


def sample(one: Persist) -> Sample:
    return Sample(NOW.uptime, (one,), Memory(), 1, 1)


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"backoff": 8}, id="probed for minutes only"),
        pytest.param({"probes": 2}, id="a peer that does not answer"),
        pytest.param({"unacked": 1}, id="data under way"),
        pytest.param({"not_sent": 0, "unsent": 10}, id="nothing left to send"),
        pytest.param({"last_sent": 899.0}, id="sent a quarter of an hour ago"),
    ],
)
def test_each_rule_alone_keeps_a_connection_from_being_a_finding(changed: dict[str, Any]) -> None:
    assert len(judged(sample(persist()))) == 1
    assert judged(sample(persist(**changed))) == []


def test_what_was_received_before_data_went_out_does_not_count() -> None:
    before = remembered(replace(CONNECTION, received=5 << 30), None, NOW)
    later = remembered(replace(CONNECTION, acked=200, received=6 << 30), before, NOW.after(60.0))

    assert persist(later, acked=200, received=(7 << 30) - 1).received == (2 << 30) - 1
    assert not persist(later, acked=200, received=(7 << 30) - 1).is_suspect(
        RULES, NOW.uptime + 9000
    )
    assert persist(later, acked=200, received=7 << 30).is_suspect(RULES, NOW.uptime + 9000)


def test_a_stale_window_of_too_little_received_is_no_verdict() -> None:
    stale = SendWindow(1708927328, 0, 0, 2097152, 1253278418)
    known = replace(remembered(CONNECTION, None, NOW), window=stale)

    assert persist(known).is_stuck(RULES, NOW.uptime)
    assert not persist(known, received=1 << 30).is_stuck(RULES, NOW.uptime)


def test_what_the_own_end_says_outweighs_an_empty_peer() -> None:
    good = SendWindow(1253278000, 0, 0, 2097152, 1253278418)
    known = replace(remembered(CONNECTION, None, NOW), window=good, empty_since=0.0)

    assert not persist(known).is_stuck(RULES, NOW.uptime)
    assert persist(replace(known, window=Refusal("no"))).is_stuck(RULES, NOW.uptime)


def test_names_from_processes_cannot_break_a_message() -> None:
    owners = tuple(Owner(pid, 3, "\x1b[31mevil\n") for pid in range(5))
    known = replace(remembered(CONNECTION, None, NOW), owners=owners)

    (found,) = judged(sample(persist(known)))

    assert found.message.isprintable()
    assert "and 2 more" in found.message


def test_signals_count_connections_suspects_and_proofs(replayed: Replayed) -> None:
    taken = replayed("tcp_persist-stuck")

    values = {s.name: dict(s.values(taken)) for s in detector.DETECTOR.signals}

    assert values == {
        "tcp_persist_connections": {(): 1.0},
        "tcp_persist_suspects": {(): 1.0},
        "tcp_persist_stuck": {(): 1.0},
        "tcp_persist_listed_namespaces": {(): 1.0},
    }
