from __future__ import annotations

from dataclasses import replace

import pytest

from kernelhealth_e2e.errors import HarnessError
from kernelhealth_e2e.lab.scenarios.gssproxy import leak, second_function
from kernelhealth_e2e.lab.scenarios.gssproxy.network_state import Link, NetworkState

MAC = "52:54:00:0e:00:01"
LO, OWN, SECOND = Link(None, "00:00:00:00:00:00", None), Link(None, "52:54", "v4"), "v5"
HEALTHY = NetworkState(
    {"lo": LO, "eth0": OWN, "eth1": Link(None, MAC, SECOND)},
    frozenset(),
    frozenset(),
    frozenset(),
    {"v4": "0000:00:06.0", SECOND: "0000:00:07.0"},
    "",
)
WITHOUT_FUNCTION = {"lo": LO, "eth0": OWN}


def test_a_machine_that_is_as_before_is_healed() -> None:
    leak.require_healed(HEALTHY, HEALTHY)


@pytest.mark.parametrize(
    ("left", "word"),
    [
        (replace(HEALTHY, links={**HEALTHY.links, "veth1": Link(2, "aa", None)}), "veth1"),
        (replace(HEALTHY, known=frozenset({2})), r"namespaces \[2\]"),
        (replace(HEALTHY, functions={**HEALTHY.functions, "v6": "0000:00:08.0"}), "devices v6"),
        (replace(HEALTHY, transports="addr:  /var/run/gssproxy.sock\n"), "1 clients"),
    ],
    ids=["link", "namespace", "function", "client"],
)
def test_whatever_is_left_of_a_leak_is_named(left: NetworkState, word: str) -> None:
    with pytest.raises(HarnessError, match=word):
        leak.require_healed(HEALTHY, left)


def test_a_function_is_known_again_by_its_address_whatever_it_is_called_then() -> None:
    renamed = replace(HEALTHY, links={**WITHOUT_FUNCTION, "dev3": Link(None, MAC, SECOND)})

    words = second_function.returned(renamed)

    assert words.startswith("dev3 ")


def test_a_function_that_is_still_away_has_not_returned() -> None:
    with pytest.raises(HarnessError, match="has not come back"):
        second_function.returned(replace(HEALTHY, links=WITHOUT_FUNCTION))
