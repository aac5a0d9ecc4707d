from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelhealth_agent import plugin_files
from kernelhealth_agent.plugin_files import PluginFileError

LEAST: dict[str, Any] = {
    "plugin": "custom",
    "source": "clock-monitor",
    "conditions": [{"type": "ClockProblem", "reason": "ClockIsRight", "message": "it is right"}],
    "rules": [
        {"type": "permanent", "condition": "ClockProblem", "reason": "ClockIsWrong", "path": "./c"}
    ],
}


def parsed(**more: Any) -> plugin_files.PluginFile:
    return plugin_files.parsed(json.dumps(LEAST | more).encode())


def rule(**more: Any) -> dict[str, Any]:
    return {**LEAST["rules"][0], **more}


def test_what_a_file_leaves_out_is_as_node_problem_detector_has_it() -> None:
    file = parsed()

    assert file.interval(file.rules[0]) == 30.0
    assert file.timeout(file.rules[0]) == 5.0
    assert file.defaults.max_output_length == 80
    assert file.defaults.concurrency == 3


def test_a_rule_may_have_its_own_time_and_interval() -> None:
    file = parsed(
        pluginConfig={"invoke_interval": "86400s", "timeout": "1m"},
        rules=[rule(timeout="1500ms", invoke_interval="7s"), rule()],
    )

    assert [file.timeout(each) for each in file.rules] == [1.5, 60.0]
    assert [file.interval(each) for each in file.rules] == [7.0, 86400.0]


def test_what_means_nothing_here_is_read_over() -> None:
    file = parsed(
        metricsReporting=False,
        pluginConfig={
            "skip_initial_status": True,
            "enable_message_change_based_condition_update": True,
        },
        rules=[rule(args=None), rule(args=["--count=3", "--pattern=x y"])],
    )

    assert [each.args for each in file.rules] == [(), ("--count=3", "--pattern=x y")]


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        ({"plugin": "kmsg"}, "plugin: Input should be 'custom'"),
        ({"rules": [rule(condition="Other")]}, "rules.0.condition: 'Other' is not among"),
        ({"rules": [rule(timeout="6s")]}, "rules.0.timeout: is longer than pluginConfig.timeout"),
        ({"rules": [rule(timeout="soon")]}, "rules.0.timeout: 'soon' is not a duration"),
        ({"rules": [rule(reason="is wrong")]}, "rules.0.reason: String should match"),
        ({"rules": [rule(path="")]}, "rules.0.path: String should have at least 1"),
        ({"rules": [rule(type="sporadic")]}, "rules.0.type: Input should be"),
        ({"conditions": [{"type": "Ready"}]}, "conditions.0.type: Ready is a condition that"),
        ({"conditions": [{"type": "DiskPressure"}]}, "conditions.0.type: DiskPressure is a"),
        ({"pluginConfig": {"invoke_interval": "0s"}}, "pluginConfig.invoke_interval: must be"),
        ({"pluginConfig": {"concurrency": 0}}, "pluginConfig.concurrency: Input should be"),
    ],
)
def test_what_cannot_be_used_is_said_with_its_field(more: dict[str, Any], complaint: str) -> None:
    with pytest.raises(PluginFileError) as refused:
        parsed(**more)

    assert str(refused.value).startswith(complaint)


@given(
    st.binary()
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ).map(lambda value: json.dumps(value).encode())
)
def test_any_bytes_are_a_file_or_the_typed_error(text: bytes) -> None:
    try:
        source = plugin_files.parsed(text).source
    except PluginFileError as error:
        source = str(error)

    assert source
