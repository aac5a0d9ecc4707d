from __future__ import annotations

import pytest

from kernelhealth_e2e.errors import HarnessError
from kernelhealth_e2e.lab.scenarios import breadth


def condition(status: str, reason: str, message: str = "") -> dict[str, str]:
    return {"type": "TCPHealthy", "status": status, "reason": reason, "message": message}


def test_a_detector_that_is_not_available_is_told_with_what_it_lacks() -> None:
    well, lacking = condition("True", "AsExpected"), condition("Unknown", "NotAvailable", "no diag")

    words = breadth.summary([well, lacking], 2)

    assert words.startswith("1 of 2 detectors have what they need")
    assert "no diag" in words


@pytest.mark.parametrize(
    "conditions",
    [
        [condition("True", "AsExpected")],
        [condition("True", "AsExpected"), condition("False", "Leaked")],
        [condition("True", "AsExpected"), condition("Unknown", "Failed")],
    ],
)
def test_a_detector_that_kept_silent_found_something_or_failed_fails_the_scan(
    conditions: list[dict[str, str]],
) -> None:
    with pytest.raises(HarnessError):
        breadth.summary(conditions, 2)
