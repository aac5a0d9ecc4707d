"""How the parts of the operator are wired; nothing runs yet."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from kernelhealth_api import registry
from kernelhealth_api.remediation import Remediation
from kernelhealth_operator import catalogue, kinds, metrics, probes, remediations
from kernelhealth_operator.agenda import Agenda
from kernelhealth_operator.answers import Answers
from kernelhealth_operator.archive import Archive
from kernelhealth_operator.bulletin import Bulletin
from kernelhealth_operator.care import Care
from kernelhealth_operator.cluster.leadership import Leadership
from kernelhealth_operator.cluster.lease import LeaseLock, LeaseTiming
from kernelhealth_operator.cluster.session import ApiSession
from kernelhealth_operator.cluster.watch import NarrowWatch
from kernelhealth_operator.effects import Effects
from kernelhealth_operator.events import Announcer, TokenBucket
from kernelhealth_operator.executor import DryRun, Executor
from kernelhealth_operator.feeds import Feeds
from kernelhealth_operator.fleet import Clock, Fleet
from kernelhealth_operator.headcount import Listener
from kernelhealth_operator.history import Retention
from kernelhealth_operator.news import News
from kernelhealth_operator.outcomes import Outcomes
from kernelhealth_operator.policies import Policies
from kernelhealth_operator.probes import Heard
from kernelhealth_operator.reconcile import Reconciler
from kernelhealth_operator.rounds import Round
from kernelhealth_operator.settings import Settings
from kernelhealth_operator.shell import Shell
from kernelhealth_operator.silence import Hearing
from kernelhealth_operator.writes import Writes


def assemble(settings: Settings, session: ApiSession) -> Shell:
    """All parts, wired; nothing runs yet. Raises ``CatalogueBroken``."""
    actions = registry.load(remediations, "REMEDIATION", Remediation)
    known = catalogue.shipped(actions)
    clock = Clock(lambda: datetime.now(UTC), time.monotonic)
    agenda, standings = Agenda(clock.seconds), Agenda(clock.seconds)
    hearing = Hearing(settings.silence.total_seconds())
    # The counts of a policy move with its nodes, and its standing is told by who knows the counts.
    listener = Listener(agenda.add, lambda name: policies.mark(name))  # noqa: PLW0108
    nodes, healths = NarrowWatch(session, kinds.nodes()), NarrowWatch(session, kinds.healths())
    unreadable = healths.holdings.unreadable
    fleet = Fleet(clock, hearing, listener, known.reasons, unreadable)
    leadership = Leadership(_lock(settings, session))
    writes = Writes(session, leadership.fence)
    period = settings.status_period.total_seconds()
    policies = Policies(fleet, standings, writes, known.catalogue, clock, period)
    announcer = _announcer(settings, writes, clock)
    answers = Answers(session, fleet, policies)
    outcomes = Outcomes(known.catalogue.causes)
    executing = (
        DryRun()
        if settings.dry_run
        else Executor(writes, answers, announcer, Effects(writes, answers, fleet), outcomes)
    )
    watches: Mapping[str, Heard] = {"Node": nodes, "NodeKernelHealth": healths}
    unheard = partial(probes.unheard, watches, clock.seconds)
    care = Care(fleet, answers, executing, actions, clock, agenda.add, unheard)
    types = {reason: type_ for type_, reasons in known.reasons.items() for reason in reasons}
    round_ = _round(settings, care, writes, News(fleet, announcer, types))
    measurements = metrics.Measurements(clock.seconds)
    jitter, workers = random.random, settings.workers
    shell = Shell(
        settings=settings,
        nodes=nodes,
        healths=healths,
        leadership=leadership,
        fleet=fleet,
        hearing=hearing,
        feeds=Feeds(session, fleet, policies),
        policies=policies,
        reconciler=Reconciler(fleet, agenda, round_, measurements, clock, jitter, workers),
        pulse=probes.Pulse(clock.seconds, last=clock.seconds()),
        measurements=measurements,
    )
    sources = _sources(shell, agenda, writes, announcer)
    sources = replace(sources, outlooks=policies.outlooks, storms=policies.storms)
    sources = replace(sources, ineffective=lambda: outcomes.ineffective)
    measurements.registry.register(metrics.Snapshot(sources))
    return shell


def _announcer(settings: Settings, writes: Writes, clock: Clock) -> Announcer:
    bucket = TokenBucket(settings.events_burst, settings.events_per_minute / 60, clock.seconds)
    return Announcer(writes, settings.identity, bucket, clock.seconds)


def _round(settings: Settings, care: Care, writes: Writes, news: News) -> Round:
    retention = Retention(settings.history_limit, settings.history_ttl)
    fleet, answers, clock = care.fleet, care.answers, care.clock
    silence, touches = settings.silence.total_seconds(), not settings.dry_run
    return Round(
        fleet=fleet,
        answers=answers,
        writes=writes,
        care=care,
        bulletin=Bulletin(fleet, answers, writes, clock, silence, notes=touches),
        news=news,
        archive=Archive(fleet, writes, retention),
        touch_nodes=touches,
        clock=clock,
    )


def _sources(shell: Shell, agenda: Agenda, writes: Writes, announcer: Announcer) -> metrics.Sources:
    watches: Mapping[str, Heard] = {"Node": shell.nodes, "NodeKernelHealth": shell.healths}
    return metrics.Sources(
        fleet=shell.fleet,
        decisions=shell.reconciler.round.decisions,
        waiting=lambda: len(agenda),
        leading=shell.leadership.is_leader,
        silences=lambda: {
            kind: time.monotonic() - watch.last_heard for kind, watch in watches.items()
        },
        lag=lambda: shell.pulse.lag,
        writes=writes.counters.sent,
        events=lambda: (announcer.raised, announcer.dropped),
    )


def _lock(settings: Settings, session: ApiSession) -> LeaseLock:
    timing = LeaseTiming(
        duration=round(settings.lease_duration.total_seconds()),
        renew_deadline=settings.renew_deadline.total_seconds(),
        retry_period=settings.retry_period.total_seconds(),
    )
    return LeaseLock(session, settings.namespace, settings.lease_name, settings.identity, timing)
