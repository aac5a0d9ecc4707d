"""Prescriptions: which fixes would do what to what, for that which was found. Nothing is done."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from kernelhealth_agent import errors
from kernelhealth_agent.confirmation import Seen
from kernelhealth_agent.fix import Aim, Fix
from kernelhealth_agent.hands import Hands
from kernelhealth_agent.hosts import Host
from kernelhealth_agent.moments import Moment
from kernelhealth_agent.wording import clipped
from kernelhealth_api import cures
from kernelhealth_api.v1alpha1.request import Fixing, HostAction, HostRequest

_MOST_REASONS = 32
_TIME = timedelta(minutes=5)


class NoSuchFixError(Exception):
    """A fix was named that does not exist; the message lists those that do."""


@dataclass(frozen=True, slots=True)
class Prescription:
    """One fix for one aim: what it would do, or what stands *against* it.

    *named*: somebody asked for it by name, as a risky one has to be.
    """

    fix: Fix
    aim: Aim
    deeds: tuple[str, ...] = ()
    against: str = ""
    named: bool = False

    @property
    def risky(self) -> bool:
        """Whether it may do harm, so that it is only done where it was named."""
        cure = cures.named(self.fix.name)
        return cure is None or cure.risky

    @property
    def objection(self) -> str:
        """Why it is not done, as half a sentence, or nothing."""
        if self.against or not self.risky or self.named:
            return self.against
        return f"it may do harm, and is only done when it is named: treat {self.fix.name} --yes"


def chosen(fixes: Mapping[str, Fix], names: Collection[str]) -> tuple[Fix, ...]:
    """Return the fixes of those names, all of them for none, those that stop a cause first."""
    for name in names:
        if name not in fixes:
            there = ", ".join(sorted(fixes)) or "none"
            raise NoSuchFixError(f"there is no fix {name!r}; there are: {there}")
    order = {cure.name: number for number, cure in enumerate(cures.CURES)}
    wanted = [fix for fix in fixes.values() if not names or fix.name in names]
    return tuple(sorted(wanted, key=lambda fix: order.get(fix.name, len(order))))


def prescribed(
    fixes: Iterable[Fix],
    confirmed: Iterable[Seen],
    host: Host,
    hands: Hands,
    names: Collection[str] = (),
) -> tuple[Prescription, ...]:
    """Return what each fix would do to what it is a cure for."""
    confirmed = tuple(confirmed)
    return tuple(
        _looked_at(fix, aim, host, hands, named=fix.name in names)
        for fix in fixes
        for aim in fix.aims(
            [seen.observation for seen in confirmed if fix.name in seen.observation.cures]
        )
    )


def request(fix: Fix, reasons: Iterable[str], moment: Moment, boot_id: str) -> HostRequest:
    """Return what a person at this machine asks for, in the form in which the operator would."""
    fixing = Fixing(fix=fix.name, reasons=tuple(sorted(set(reasons)))[:_MOST_REASONS])
    is_config = fix.stage is cures.Stage.FIX_CONFIG
    return HostRequest(
        id=f"by-hand-{int(moment.wall.timestamp() * 1000)}-{fix.name.lower()}",
        action=HostAction(fix_config=fixing) if is_config else HostAction(reclaim=fixing),
        boot_id=boot_id,
        deadline=moment.wall + _TIME,
    )


def _looked_at(fix: Fix, aim: Aim, host: Host, hands: Hands, *, named: bool) -> Prescription:
    try:
        against = fix.objection(host, aim)
        deeds = () if against else tuple(fix.deeds(host, aim))
    except (errors.HostError, OSError) as error:
        # What cannot be looked at is an objection.
        return Prescription(fix, aim, against=clipped(str(error)), named=named)
    against = against or next(filter(None, map(hands.objection, deeds)), "")
    return Prescription(fix, aim, tuple(deed.name for deed in deeds), against, named)
