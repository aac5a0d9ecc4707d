from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kernelhealth_agent import inventory
from kernelhealth_agent.hosts.recorded import RecordedHost
from kernelhealth_agent.kernel.namespaces import Inventory

HOSTS = Path(__file__).parents[2] / "fixtures" / "hosts"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def recorded() -> Callable[[str], tuple[RecordedHost, Inventory]]:
    """Open a recorded host by its name, or by the path of a directory, and take its inventory."""

    def opened(name: str) -> tuple[RecordedHost, Inventory]:
        host = RecordedHost(str(HOSTS / name))
        return host, inventory.take(host, NOW, {})

    return opened
