"""How the parts of the operator are wired; nothing runs yet."""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime

from kernelhealth_api import registry
from kernelhealth_api.remediation import Remediation
from kernelhealth_operator import catalogue, kinds, metrics, probes, remediations
from kernelhealth_operator.agenda import Agenda
from kernelhealth_operator.answers import Answers
from kernelhealth_operator.cluster.leadership import Leadership
from kernelhealth_operator.cluster.lease import LeaseLock, LeaseTiming
from kernelhealth_operator.cluster.session import ApiSession
from kernelhealth_operator.cluster.watch import NarrowWatch
from kernelhealth_operator.events import Announcer, TokenBucket
from kernelhealth_operator.executor import DryRun, Executor
from kernelhealth_operator.feeds import Feeds
from kernelhealth_operator.fleet import Clock, Fleet, Listener
from kernelhealth_operator.history import Retention
from kernelhealth_operator.news import News
from kernelhealth_operator.policies import Policies
from kernelhealth_operator.reconcile import Reconciler
from kernelhealth_operator.rounds import Round, Rules
from kernelhealth_operator.settings import Settings
from kernelhealth_operator.shell import Shell
from kernelhealth_operator.silence import Hearing
from kernelhealth_operator.writes import Writes


def assemble(settings: Settings, session: ApiSession) -> Shell:
    """All parts, wired; nothing runs yet. Raises ``CatalogueBroken``."""
    actions = registry.load(remediations, "REMEDIATION", Remediation)
    known = catalogue.shipped(actions)
    clock = Clock(lambda: datetime.now(UTC), time.monotonic)
    agenda, hearing = Agenda(clock.seconds), Hearing(settings.silence.total_seconds())
    # The counts of a policy move with its nodes, and its standing is told by who knows the counts.
    listener = Listener(agenda.add, lambda name: policies.mark(name))  # noqa: PLW0108
    fleet = Fleet(clock, hearing, listener)
    fleet.unmeasurable = known.reasons
    leadership = Leadership(_lock(settings, session))
    writes = Writes(session, leadership.fence)
    policies = Policies(
        fleet,
        Agenda(clock.seconds),
        writes,
        known.catalogue,
        clock,
        settings.status_period.total_seconds(),
    )
    bucket = TokenBucket(settings.events_burst, settings.events_per_minute / 60, clock.seconds)
    announcer = Announcer(writes, settings.identity, bucket, clock.seconds)
    answers = Answers(session, fleet)
    round_ = Round(
        fleet,
        answers,
        writes,
        DryRun() if settings.dry_run else Executor(writes, answers, announcer),
        News(fleet, announcer),
        Rules(
            actions,
            Retention(settings.history_limit, settings.history_ttl),
            settings.silence.total_seconds(),
            touch_nodes=not settings.dry_run,
        ),
        clock,
    )
    measurements = metrics.Measurements(clock.seconds)
    nodes, healths = NarrowWatch(session, kinds.nodes()), NarrowWatch(session, kinds.healths())
    pulse = probes.Pulse(clock.seconds, last=clock.seconds())
    measurements.registry.register(
        metrics.Snapshot(
            metrics.Sources(
                fleet=fleet,
                decisions=round_.decisions,
                waiting=lambda: len(agenda),
                leading=leadership.is_leader,
                heard={
                    "Node": lambda: clock.seconds() - nodes.last_heard,
                    "NodeKernelHealth": lambda: clock.seconds() - healths.last_heard,
                },
                lag=lambda: pulse.lag,
                writes=writes.counters.sent,
                events=lambda: (announcer.raised, announcer.dropped),
            )
        )
    )
    return Shell(
        settings=settings,
        nodes=nodes,
        healths=healths,
        leadership=leadership,
        fleet=fleet,
        hearing=hearing,
        feeds=Feeds(session, fleet, policies),
        policies=policies,
        reconciler=Reconciler(
            fleet, agenda, round_, measurements, clock, random.random, settings.workers
        ),
        pulse=pulse,
        measurements=measurements,
    )


def _lock(settings: Settings, session: ApiSession) -> LeaseLock:
    timing = LeaseTiming(
        duration=round(settings.lease_duration.total_seconds()),
        renew_deadline=settings.renew_deadline.total_seconds(),
        retry_period=settings.retry_period.total_seconds(),
    )
    return LeaseLock(session, settings.namespace, settings.lease_name, settings.identity, timing)
