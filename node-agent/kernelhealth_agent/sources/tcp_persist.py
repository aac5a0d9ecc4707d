"""Reads which TCP connections probe a closed window, and whether the own kernel keeps it closed.

Cheap first: of each namespace one counter of probes. Where it moved the connections are listed;
what is asked of one that stalls for long costs more, and is asked every half hour at the most.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from kernelhealth_agent import errors
from kernelhealth_agent.detectors.tcp_persist import TcpPersistParams
from kernelhealth_agent.hosts import Host
from kernelhealth_agent.hosts.connections import Connections
from kernelhealth_agent.hosts.stall_evidence import Evidence
from kernelhealth_agent.kernel import inet_diag, persist, tcp_counters
from kernelhealth_agent.kernel.namespaces import Namespace
from kernelhealth_agent.kernel.persist import RULES, Memory, Persist, Rules, Sample
from kernelhealth_agent.moments import Moment
from kernelhealth_agent.source import Occasion, Source

_MOST_LISTED = 256
_MOST_KNOWN = 256


@dataclass(frozen=True, slots=True)
class _Look:
    """One look under way; *spaces* are all namespaces by inode number, the host's own as well."""

    host: Host
    moment: Moment
    memory: Memory
    connections: Connections
    spaces: Mapping[int, Namespace]
    blind: list[str] = field(default_factory=list)


def collect(host: Host, occasion: Occasion[Memory]) -> Sample:
    """Look by the rules that hold where nobody wants others, or sooner where somebody does."""
    wanted = occasion.params.rules if isinstance(occasion.params, TcpPersistParams) else RULES
    return looked(host, occasion, RULES.or_sooner(wanted))


def looked(host: Host, occasion: Occasion[Memory], rules: Rules) -> Sample:
    """List the connections in persist; *rules* say of which of them more is asked.

    Raises ``AbsentError`` where the kernel has counters of TCP for no namespace.
    """
    own = occasion.inventory.host
    spaces = {own.inode: own, **occasion.inventory.namespaces}
    memory, moment = occasion.memory or Memory(), occasion.moment
    look = _Look(host, moment, memory, Connections(host, own.inode), spaces)
    counts = _counts(look)
    due = [inode for inode, count in counts.items() if _has_moved(inode, count, memory)]
    found: list[Persist] = []
    unseen = set(due[_MOST_LISTED:])
    if unseen:
        why = f"{len(due)} network namespaces probe closed windows at once"
        look.blind.append(f"{why}: the connections of {len(unseen)} were not listed yet")
    for inode in due[:_MOST_LISTED]:
        listed = _listed(look, spaces[inode])
        if listed is None:
            unseen.add(inode)
        found += listed or ()
    evidence = Evidence(host, look.connections, spaces, rules, moment.uptime)
    found = evidence.gathered(sorted(found, key=lambda one: one.known.since), look.blind)
    # A namespace that was not seen counts as moved the next time, too.
    probes = {str(i): n for i, n in counts.items() if n is not None and i not in unseen}
    known = {one.key: one.known for one in found[:_MOST_KNOWN]}
    listed_spaces = len(due) - len(unseen)
    return Sample(
        moment.uptime,
        tuple(found),
        Memory(probes, known),
        len(counts),
        listed_spaces,
        tuple(look.blind),
    )


def _counts(look: _Look) -> dict[int, int | None]:
    """Return the probes sent in each namespace that has a process; None where not counted."""
    counts: dict[int, int | None] = {}
    for inode, space in look.spaces.items():
        for pid in space.pids:
            path = f"proc/{pid}/net/netstat"
            try:
                counts[inode] = tcp_counters.window_probes(look.host.read(path, 1 << 16), path)
            except errors.AbsentError:
                continue  # That process ended; the next may still be there.
            except errors.HostError as error:
                look.blind.append(str(error))
            break
    if not counts and not look.blind:
        raise errors.AbsentError("proc/*/net/netstat")
    return counts


def _has_moved(inode: int, count: int | None, memory: Memory) -> bool:
    """Whether there can be something new: a probe was sent, or a connection is known to wait."""
    if count is None or any(key.startswith(f"{inode}/") for key in memory.known):
        return True
    return count != memory.probes.get(str(inode), 0)


def _listed(look: _Look, space: Namespace) -> list[Persist] | None:
    """Return the connections of a namespace that probe a closed window; None where not told."""
    found = []
    try:
        for now in look.connections.of(space, inet_diag.PERSIST):
            past = look.memory.known.get(f"{space.inode}/{now.identity}")
            known = persist.remembered(now, past, look.moment)
            found.append(Persist(space, now, known))
    except errors.AbsentError:
        return None  # It ended meanwhile.
    except errors.HostError as error:
        look.blind.append(str(error))
        return None
    return found


SOURCE = Source(
    name="tcp_persist",
    sample=Sample,
    reads=(
        "proc/*/net/netstat",
        "netlink inet_diag in namespaces that probe closed windows",
        "proc/*/net/tcp and tcp6, where inet_diag is not loaded",
        "netlink RTM_GETADDR, proc/*/fd and TCP_REPAIR_WINDOW, when a connection stalls for long",
        "proc/modules",
        "lib/modules/*/modules.builtin",
    ),
    collect=collect,
    period=60.0,
    memory=Memory,
    remember=lambda sample: sample.memory,
)
