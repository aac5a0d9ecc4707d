from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kernelhealth_agent import inventory
from kernelhealth_agent.attribution import Places
from kernelhealth_agent.hosts.live import LiveHost
from kernelhealth_agent.kernel.namespaces import Inventory, Remembered

Look = Callable[..., Inventory]


@pytest.fixture(autouse=True)
def _root() -> None:
    if os.geteuid():
        pytest.skip("makes real kernel state: needs root")


@pytest.fixture
def live() -> LiveHost:
    """This machine."""
    return LiveHost("/")


@pytest.fixture
def kubelet(tmp_path: Path) -> Path:
    """A kubelet's directory of pods, empty: a pod is there as long as its directory is."""
    pods = tmp_path / "pods"
    pods.mkdir()
    return pods


@pytest.fixture
def look(live: LiveHost, kubelet: Path) -> Look:
    """Take the inventory of this machine now."""

    def taken(memory: Mapping[int, Remembered] | None = None) -> Inventory:
        places = Places(pods=str(kubelet).lstrip("/"), logs="nowhere")
        return inventory.take(live, datetime.now(UTC), memory or {}, places)

    return taken
