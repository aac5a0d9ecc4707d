"""What it takes to treat this host, and what is on record about requests of the past."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from kernelhealth_agent import errors, fixes, moments, requests, surgery, survivors
from kernelhealth_agent.attribution import Places
from kernelhealth_agent.entries import Beginning, Entry, Line
from kernelhealth_agent.fix import Aim, Fix
from kernelhealth_agent.hands import KEPT, Hands, hands
from kernelhealth_agent.hosts import Host
from kernelhealth_agent.journal import Journal
from kernelhealth_agent.moments import Clock
from kernelhealth_agent.requests import Facts, answer
from kernelhealth_agent.settings import Settings
from kernelhealth_agent.surgery import Theatre
from kernelhealth_agent.wording import clipped
from kernelhealth_api import registry
from kernelhealth_api.v1alpha1.request import HostRequest, RequestState, RequestStatus

_JOURNAL = "requests"


@dataclass(frozen=True, slots=True)
class Practice:
    """What treatments work with.

    *wait* returns after so many seconds, or before when something of the host has changed. One
    request may take *deadline* seconds, and one aim *patience* seconds to be achieved. *hook* is
    the path of the socket on the host that reboots it in its own way, if it has one.
    """

    host: Host
    hands: Hands
    fixes: Mapping[str, Fix]
    journal: Journal
    clock: Clock
    wait: Callable[[float], object]
    boot_id: str | None
    deadline: float
    patience: float = 30.0
    hook: str | None = None
    kept: str = KEPT

    def facts(self) -> Facts:
        """Return what a request is judged by at this moment."""
        return Facts(self.boot_id, self.clock().wall, self.fixes)

    def theatre(
        self,
        wait: Callable[[float], object],
        doing: Callable[[str], None],
        did: Callable[[str], None],
    ) -> Theatre:
        """Return what an operation here works with; see there for what is called when."""

        def uptime() -> float:
            return self.clock().uptime

        return Theatre(self.host, self.hands, wait, uptime, doing, did, self.patience)

    def survivors(self) -> tuple[str, ...]:
        """Return, as sentences, which fixes of earlier boots have survived and which have not."""
        if self.boot_id is None:
            return ()
        return tuple(survivors.told(self.host, self.kept, self.fixes, self.boot_id))

    def recalled(self) -> RequestStatus | None:
        """Return what is to be said, after a restart, of the last request of this boot.

        ``BusyError`` where somebody is still at it.
        """
        entry = None if self.boot_id is None else self.journal.latest(self.boot_id)
        return None if entry is None else self._settled(entry)

    def recorded(self, request: HostRequest) -> RequestStatus | None:
        """Return what is to be said of a request that was begun before; None if it never was.

        ``BusyError`` where somebody is still at it.
        """
        entry = self.journal.entry(request.id)
        return None if entry is None else self._settled(entry)

    def _settled(self, entry: Entry) -> RequestStatus:
        if entry.ended is not None:
            return entry.ended
        with self.journal.held():
            return self.resumed(self.journal.entry(entry.id) or entry)

    def found(self, request: HostRequest) -> RequestStatus | None:
        """Do as ``recorded`` does, for somebody who holds the journal."""
        entry = self.journal.entry(request.id)
        return None if entry is None else self.resumed(entry)

    def refused(self, request: HostRequest, why: str) -> RequestStatus:
        """Return a refusal, and keep it: what was refused once is not done later on."""
        final = answer(request.id, RequestState.REFUSED, why, self.clock().wall)
        self.keep_refusal(request, final)
        return final

    def keep_refusal(self, request: HostRequest, final: RequestStatus) -> None:
        """Write a refusal down, if that is possible."""
        with contextlib.suppress(OSError):
            if self.journal.begin(Beginning(request=request, at=self.clock())):
                self.journal.note(request.id, Line(ended=final))

    def dismissed(self, refusal: RequestStatus) -> RequestStatus:
        """Return what is to be said of a request that makes no sense, and keep it.

        Its id may be that of one which made sense: then that one's answer stands.
        """
        moment = self.clock()
        final = answer(refusal.id, refusal.state, refusal.message, moment.wall)
        if requests.is_id(refusal.id):
            entry = self.journal.entry(refusal.id)
            if entry is not None:
                why = f"it was begun before; {refusal.message}"
                return entry.ended or answer(refusal.id, RequestState.RUNNING, why)
            with contextlib.suppress(OSError):
                self.journal.dismiss(final, moment)
        return final

    def outlive(self, request: HostRequest, fix: Fix, achieved: Sequence[Aim]) -> None:
        """Note on the host what is meant to outlive this boot; ``OSError``."""
        if fix.survives and achieved:
            lasting = survivors.recorded(request.boot_id, fix, achieved)
            self.hands.keep(request.id, survivors.FILE, lasting)

    def resumed(self, entry: Entry) -> RequestStatus:
        """Return the answer to a request that was begun: it is looked at, and nothing is done.

        To be called by who holds the journal, since whoever else does may be at it.
        """
        if entry.ended is not None:
            return entry.ended
        begun = entry.begun
        if begun is not None and begun.request.action.reboot is not None:
            return self._rebooting(entry, begun)
        state, message = self._interrupted(entry, begun)
        final = answer(entry.id, state, message, self.clock().wall)
        with contextlib.suppress(OSError):
            self.journal.note(entry.id, Line(ended=final))
        return final

    def _rebooting(self, entry: Entry, begun: Beginning) -> RequestStatus:
        if entry.did and begun.request.boot_id == self.boot_id:
            message = f"{entry.did[-1]} was asked for; the node still runs the same boot"
            return answer(entry.id, RequestState.RUNNING, message)
        why = "it is not known whether the reboot was asked for: the agent was interrupted there"
        return answer(entry.id, RequestState.FAILED, why, begun.at.wall)

    def _interrupted(self, entry: Entry, begun: Beginning | None) -> tuple[RequestState, str]:
        """Return how an interrupted request ended, by looking at what it was to achieve."""
        again = "an id is never done twice: a new request is needed to go on"
        fixing = None if begun is None else requests.wanted(begun.request)
        fix = None if fixing is None else self.fixes.get(fixing.fix)
        if begun is None or fix is None or not begun.aims:
            return RequestState.FAILED, f"it was interrupted, and what it was is lost; {again}"
        of = f"{fix.name}: interrupted by a restart of the agent"
        last = f", the last deed begun was {clipped(entry.doing[-1])}" if entry.doing else ""
        try:
            done = surgery.reached(fix, begun.aims, self.host, self.deadline)
        except errors.HungError as error:
            return RequestState.FAILED, f"{of}{last}; {error}; {again}"
        with contextlib.suppress(OSError):
            self.outlive(begun.request, fix, done)
        of = f"{of}; {len(done)} of {len(begun.aims)} done"
        if len(done) == len(begun.aims):
            return RequestState.SUCCEEDED, of
        return RequestState.FAILED, f"{of}{last}; {again}"


def every() -> Mapping[str, Fix]:
    """Return all fixes that this agent can do, by name."""
    return {fix.name: fix for fix in registry.load(fixes, "FIX", Fix)}


def opened(
    settings: Settings, host: Host, boot_id: str | None, wait: Callable[[float], object]
) -> Practice:
    """Return the practice that an administrator's settings make on a host."""
    places = Places(settings.kubelet_pods, settings.pod_logs)
    return Practice(
        host=host,
        hands=hands(settings.root, settings.kept_dir, settings.hands),
        fixes={name: fix if fix.at is None else fix.at(places) for name, fix in every().items()},
        journal=Journal(settings.run_dir / _JOURNAL),
        clock=moments.now,
        wait=wait,
        boot_id=boot_id,
        deadline=settings.treatment_deadline.total_seconds(),
        hook=settings.reboot_hook,
        kept=settings.kept_dir,
    )
