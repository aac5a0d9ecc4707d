from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from kernelhealth_agent.hosts import Host
from kernelhealth_agent.source import Occasion
from kernelhealth_api.detector import Params


def test_a_source_is_told_the_thresholds_by_which_its_sample_will_be_judged(node: Any) -> None:
    told: dict[str, Params | None] = {}

    def listening(source: Any) -> Any:
        def collect(host: Host, occasion: Occasion[Any]) -> Any:
            told[source.name] = occasion.params
            return source.collect(host, occasion)

        return replace(source, collect=collect)

    rounds = node.examiner.rounds
    rounds.pairs = tuple((listening(source), detector) for source, detector in rounds.pairs)
    node.wanted = {"leaks": {"confirmAfter": "7s"}}
    node.look()

    leaks, traps = (detector for _, detector in rounds.pairs)
    assert told["leaks"] == leaks.params(confirm_after=timedelta(seconds=7))
    assert told["traps"] == traps.params()
