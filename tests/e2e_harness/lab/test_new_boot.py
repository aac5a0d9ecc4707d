from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from kernelhealth_e2e.errors import HarnessError
from kernelhealth_e2e.lab import new_boot


def test_another_boot_is_another_id_and_begins_in_the_window() -> None:
    health = {"status": {"bootID": "b", "bootTime": "2027-01-01T00:00:20Z"}}
    late = datetime(2027, 1, 1, 0, 1, tzinfo=UTC)

    assert "boot b" in new_boot.said(health, "a", late - timedelta(minutes=1))
    with pytest.raises(HarnessError, match="still runs boot b"):
        new_boot.said(health, "b")
    with pytest.raises(HarnessError, match="before the window opened"):
        new_boot.said(health, "a", late)
