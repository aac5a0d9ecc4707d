from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelhealth_agent import catalogue, errors, plugins, thresholds
from kernelhealth_agent.commands import scan
from kernelhealth_agent.examination import Examiner, Knowledge, Outcome
from kernelhealth_agent.hosts import Host
from kernelhealth_agent.hosts.live import LiveHost
from kernelhealth_agent.hosts.recorded import RecordedHost
from kernelhealth_agent.identity import Identity
from kernelhealth_agent.kernel import plugin_results
from kernelhealth_agent.kernel.namespaces import Inventory, Namespace, Remembered
from kernelhealth_agent.kernel.plugin_results import Result
from kernelhealth_agent.main import main
from kernelhealth_agent.moments import Moment
from kernelhealth_agent.plugins import NoPluginsError, Plugged, Surroundings
from kernelhealth_agent.rounds import Rounds
from kernelhealth_agent.workers import Workers

WriteFile = Callable[..., Path]
WriteScript = Callable[..., str]
PATIENCE = 60.0
START = Moment(datetime(2026, 1, 1, tzinfo=UTC), 1000.0)


def survey(host: Host, moment: Moment, memory: Mapping[int, Remembered]) -> Inventory:
    """Take an inventory of a host that has nothing but itself."""
    boot = host.read("proc/sys/kernel/random/boot_id").decode().strip()
    return Inventory(boot, moment.wall, Namespace(1), {}, frozenset(), (), {}, memory)


def plugged(folder: Path, patience: float = PATIENCE) -> Plugged:
    around = Surroundings(catalogue.every(), plugins.environment("/", "node-a"), patience)
    return plugins.plugged(folder, around)


def looked(made: Plugged, host: Any = None) -> Outcome:
    """Look once with the detectors of plugins alone."""
    host = host or LiveHost("/")
    rounds = Rounds(host, made.pairs, Workers(host.doing), PATIENCE)
    examiner = Examiner(rounds, survey, lambda _: {}, Identity("boot-1", "6.1", "X"), "1.0")
    chosen = thresholds.in_force(rounds.detectors, {})
    outcome = examiner.examine(Knowledge(), chosen, START)
    made.close()
    return outcome


def told(outcome: Outcome) -> dict[str, tuple[str, str]]:
    """Status and reason of each condition."""
    return {each.type: (each.status, each.reason) for each in outcome.status.conditions}


def permanent(path: str, **more: Any) -> dict[str, Any]:
    return {
        "type": "permanent", "condition": "NTPProblem", "reason": "NTPIsDown", "path": path
    } | more  # fmt: skip


def temporary(path: str, **more: Any) -> dict[str, Any]:
    return {"type": "temporary", "reason": "ClockJumped", "path": path} | more


def test_a_plugin_that_is_content_makes_its_condition_true(
    file: WriteFile, folder: Path, script: WriteScript
) -> None:
    file(permanent(script("echo ntp is running")))

    outcome = looked(plugged(folder))

    assert told(outcome) == {"NTPHealthy": ("True", "AsExpected")}
    assert outcome.findings == ()


def test_one_that_is_not_makes_it_false_with_its_reason_and_what_it_said(
    file: WriteFile, folder: Path, script: WriteScript
) -> None:
    path = script("echo ntp.service is not running", "exit 1")
    file(permanent(path))

    outcome = looked(plugged(folder))

    (finding,) = outcome.findings
    assert told(outcome) == {"NTPHealthy": ("False", "NTPIsDown")}
    assert finding.severity == "Warning"
    assert finding.message == f"Plugin {path} reports: ntp.service is not running"
    assert finding.subject.file == path


def test_no_more_is_told_of_what_it_said_than_the_file_wants(
    file: WriteFile, folder: Path, script: WriteScript
) -> None:
    path = script("echo 0123456789", "exit 1")
    file(permanent(path), pluginConfig={"max_output_length": 4})

    (finding,) = looked(plugged(folder)).findings

    assert finding.message.endswith("reports: 0123")


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (("echo who knows", "exit 2"), "it does not know (exit status 2): who knows"),
        (("kill -KILL $$",), "it was ended by SIGKILL"),
        (("exit 127",), "it does not know (exit status 127): it said nothing"),
    ],
)
def test_one_that_does_not_know_makes_it_unknown_and_never_healthy(
    file: WriteFile, folder: Path, script: WriteScript, lines: tuple[str, ...], why: str
) -> None:
    file(permanent(script(*lines)))

    outcome = looked(plugged(folder))

    (condition,) = outcome.status.conditions
    assert condition.status == "Unknown"
    assert why in condition.message
    assert outcome.status.health == "Unknown"


def test_one_that_takes_too_long_is_unknown(
    file: WriteFile, folder: Path, script: WriteScript
) -> None:
    file(permanent(script("sleep 1000"), timeout="100ms"))

    (condition,) = looked(plugged(folder)).status.conditions

    assert condition.status == "Unknown"
    assert "it did not end within 0.1 s and was killed" in condition.message


def test_one_that_has_not_ended_yet_is_unknown(
    file: WriteFile, folder: Path, script: WriteScript
) -> None:
    file(permanent(script("sleep 1000")))

    (condition,) = looked(plugged(folder, patience=0.0)).status.conditions

    assert condition.status == "Unknown"
    assert "has not ended yet" in condition.message


def test_trouble_that_is_known_counts_whatever_else_is_not(
    file: WriteFile, folder: Path, script: WriteScript
) -> None:
    file(
        permanent(script("exit 1", name="a")),
        permanent(script("exit 2", name="b"), reason="NTPDrifts"),
    )

    assert told(looked(plugged(folder))) == {"NTPHealthy": ("False", "NTPIsDown")}


def test_one_condition_is_unknown_where_one_of_its_plugins_does_not_know(
    file: WriteFile, folder: Path, script: WriteScript
) -> None:
    file(
        permanent(script("exit 0", name="a")),
        permanent(script("exit 2", name="b"), reason="NTPDrifts"),
    )

    assert told(looked(plugged(folder)))["NTPHealthy"][0] == "Unknown"


def test_a_temporary_rule_is_a_note_of_the_source_of_its_file(
    file: WriteFile, folder: Path, script: WriteScript
) -> None:
    file(temporary(script("echo by 3 s", "exit 1")))

    outcome = looked(plugged(folder))

    assert [str(each.severity) for each in outcome.findings] == ["Info"]
    assert told(outcome) == {"ClockMonitorHealthy": ("True", "AsExpected")}


def test_a_temporary_rule_with_the_reason_of_a_permanent_one_goes_with_it(
    file: WriteFile, folder: Path, script: WriteScript, tmp_path: Path
) -> None:
    path = script(f"echo x >> {tmp_path}/ran", "exit 1")
    file(
        temporary(path, reason="NTPIsDown"),
        temporary(script("exit 2", name="other"), reason="NTPIsDown"),
        permanent(path),
    )

    outcome = looked(plugged(folder))

    assert told(outcome) == {"NTPHealthy": ("False", "NTPIsDown")}
    assert (tmp_path / "ran").read_text() == "x\n"


def test_a_file_that_cannot_be_used_is_unknown_and_stops_no_other(
    file: WriteFile, folder: Path, script: WriteScript
) -> None:
    (folder / "a-broken.json").write_text("{")
    file(permanent(script("exit 0")))

    outcome = looked(plugged(folder))

    assert told(outcome) == {
        "PluginFileABrokenHealthy": ("Unknown", "ReadFailed"),
        "NTPHealthy": ("True", "AsExpected"),
    }
    assert f"{folder}/a-broken.json" in outcome.status.conditions[0].message


def test_a_file_that_others_may_change_is_not_used(
    file: WriteFile, folder: Path, script: WriteScript, tmp_path: Path
) -> None:
    file(permanent(script(f"touch {tmp_path}/ran"))).chmod(0o666)

    (condition,) = looked(plugged(folder)).status.conditions

    assert condition.status == "Unknown"
    assert "others than root may change it" in condition.message
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("rule", "complaint"),
    [
        ({"condition": "GssProxyHealthy"}, "GssProxyHealthy is the condition of gssproxy already"),
        ({"reason": "StrandedDevice"}, "StrandedDevice is a reason of residual_links"),
    ],
)
def test_names_that_are_taken_are_refused(
    file: WriteFile, folder: Path, script: WriteScript, rule: dict[str, str], complaint: str
) -> None:
    file(permanent(script("exit 0"), **rule))

    (condition,) = looked(plugged(folder)).status.conditions

    assert condition.type == "PluginFileClockHealthy"
    assert complaint in condition.message


def test_two_files_with_the_same_condition_are_refused_the_second(
    file: WriteFile, folder: Path, script: WriteScript
) -> None:
    file(permanent(script("exit 0")), name="a.json")
    file(permanent(script("exit 0"), reason="NTPDrifts"), name="b.json")

    assert [pair[1].condition for pair in plugged(folder).pairs] == [
        "NTPHealthy",
        "PluginFileBHealthy",
    ]


def test_more_conditions_than_a_report_has_room_for_are_refused(
    file: WriteFile, folder: Path, script: WriteScript
) -> None:
    path = script("exit 0")
    rules = [permanent(path, condition=f"No{n}Problem", reason=f"No{n}") for n in range(25)]
    file(*rules)

    (pair,) = plugged(folder).pairs

    assert pair[1].condition == "PluginFileClockHealthy"


def test_without_a_directory_there_are_no_plugins_and_a_wrong_one_is_an_error(
    tmp_path: Path,
) -> None:
    around = Surroundings((), {}, 0.0)

    assert plugins.plugged(None, around) == Plugged()
    with pytest.raises(NoPluginsError, match=r"KERNELHEALTH_PLUGIN_DIR is .*/none, which cannot"):
        plugins.plugged(tmp_path / "none", around)


def test_a_recorded_host_tells_what_its_plugins_said_and_runs_none(
    file: WriteFile, folder: Path, script: WriteScript, tmp_path: Path
) -> None:
    file(permanent(script(f"touch {tmp_path}/ran")))
    probes = tmp_path / "host/probes/plugins"
    probes.mkdir(parents=True)
    boot = tmp_path / "host/proc/sys/kernel/random"
    boot.mkdir(parents=True)
    (boot / "boot_id").write_text("boot-1\n")
    answer = {"rules.0": {"status": 1, "output": "it is down", "wrong": ""}}
    (probes / "plugin_ntp").write_text(json.dumps(answer))

    outcome = looked(plugged(folder), RecordedHost(str(tmp_path / "host")))

    assert told(outcome) == {"NTPHealthy": ("False", "NTPIsDown")}
    assert not (tmp_path / "ran").exists()


def test_scan_runs_the_plugins_that_the_environment_names(
    file: WriteFile,
    folder: Path,
    script: WriteScript,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file(permanent(script("echo the clock is late on $NODE_NAME$KERNELHEALTH_ROOT", "exit 1")))
    monkeypatch.setenv("KERNELHEALTH_PLUGIN_DIR", str(folder))

    code = main(["scan", "--detector", "plugin_ntp"])

    out = capsys.readouterr().out
    assert code == 1
    assert "NTPIsDown" in out
    assert "the clock is late on /" in " ".join(out.split())


def test_scan_says_so_where_the_directory_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KERNELHEALTH_PLUGIN_DIR", str(tmp_path / "none"))

    code = scan.execute(
        argparse.Namespace(
            confirm_after="1s", watch=None, root=None, detector=[], output="table", by="finding"
        )
    )

    assert code == 2
    assert "KERNELHEALTH_PLUGIN_DIR is" in capsys.readouterr().err


@given(
    st.binary()
    | st.dictionaries(
        st.text(),
        st.none()
        | st.fixed_dictionaries(
            {"status": st.none() | st.integers(), "output": st.text(), "wrong": st.text()}
        ),
    ).map(lambda value: json.dumps(value).encode())
)
def test_any_answer_gives_results_or_the_typed_error(answer: bytes) -> None:
    found: dict[str, Result | None] | errors.UnreadableError
    try:
        found = plugin_results.decoded(answer, "plugins/x")
    except errors.UnreadableError as error:
        found = error

    if isinstance(found, errors.UnreadableError):
        assert found.path == "plugins/x"
    else:
        assert all(result is None or isinstance(result, Result) for result in found.values())
