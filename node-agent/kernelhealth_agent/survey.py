"""Decides how thorough each inventory is: descriptors of all processes cost more than the rest."""

from __future__ import annotations

from collections.abc import Mapping

from kernelhealth_agent import attribution, inventory
from kernelhealth_agent.hosts import Host
from kernelhealth_agent.kernel.namespaces import Inventory, Remembered
from kernelhealth_agent.moments import Moment


class Surveyor:
    """Takes inventories, a thorough one at least every *every* seconds.

    ``doubt`` makes all of them thorough for as long as something is suspected or found: what only
    a thorough look can see must not come and go with the kind of look.
    """

    def __init__(self, places: attribution.Places, every: float) -> None:
        self._places = places
        self._every = every
        self._last: float | None = None
        self.doubt = False

    def __call__(self, host: Host, moment: Moment, memory: Mapping[int, Remembered]) -> Inventory:
        """Take the inventory; raises ``HostError``."""
        due = self._last is None or moment.uptime - self._last >= self._every
        thorough = due or self.doubt
        found = inventory.take(host, moment.wall, memory, self._places, thorough=thorough)
        if thorough:
            self._last = moment.uptime
        return found
