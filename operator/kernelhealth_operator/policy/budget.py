"""How many nodes may be out of service: the arithmetic of maxUnavailable and minHealthy."""

from __future__ import annotations

from kernelhealth_api.v1alpha1.kernelhealthpolicy import Disruption
from kernelhealth_operator.policy.situation import Tally


class NotAShareError(ValueError):
    """A value that is neither a number of nodes nor a percentage."""


def most_unavailable(value: str | int, nodes: int) -> int:
    """Return how many of *nodes* may be unavailable at once.

    A share is rounded down, but not below one: 10% of 5 nodes would otherwise mean never. 0% and
    0 are 0. Raises ``NotAShareError``.
    """
    amount, percent = _parse(value)
    if not percent:
        return amount
    return max(1, nodes * amount // 100) if amount else 0


def fewest_sound(value: str | int, nodes: int) -> int:
    """Return how many of *nodes* must stay sound; a share is rounded up.

    Raises ``NotAShareError``.
    """
    amount, percent = _parse(value)
    return -(-nodes * amount // 100) if percent else amount


def room(disruption: Disruption, others: Tally) -> bool:
    """Whether one more node may become unavailable, *others* being all but that node."""
    most = most_unavailable(disruption.max_unavailable, others.nodes + 1)
    return others.unavailable + 1 <= most


def room_in_zone(disruption: Disruption, others: Tally) -> bool:
    """Whether one more node of a zone may become unavailable, *others* being the rest of it."""
    limit = disruption.max_unavailable_per_zone
    return limit is None or others.unavailable + 1 <= most_unavailable(limit, others.nodes + 1)


def sound_enough(disruption: Disruption, others: Tally) -> bool:
    """Whether *others*, which are all but the node in question, are enough by themselves."""
    return others.sound >= fewest_sound(disruption.min_healthy, others.nodes + 1)


def remediations_allowed(disruption: Disruption, tally: Tally) -> int:
    """Return how many more available nodes might be disrupted right now; never below 0.

    For minHealthy the node to be treated is taken to be sick already, so that nothing is lost by
    treating it; with fewer sound nodes than that, nothing is allowed.
    """
    if tally.sound < fewest_sound(disruption.min_healthy, tally.nodes):
        return 0
    most = most_unavailable(disruption.max_unavailable, tally.nodes)
    return max(0, most - tally.unavailable)


def _parse(value: str | int) -> tuple[int, bool]:
    text = str(value)
    percent = text.endswith("%")
    digits = text.removesuffix("%")
    if not (digits.isascii() and digits.isdigit()) or (percent and int(digits) > 100):
        raise NotAShareError(f"{value!r} is neither a number of nodes nor a share such as 10%")
    return int(digits), percent
