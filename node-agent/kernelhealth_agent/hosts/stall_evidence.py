"""Gathers what tells why a connection stalls: its other end, the processes, the send window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from kernelhealth_agent import errors
from kernelhealth_agent.hosts import Host
from kernelhealth_agent.hosts.connections import Connections
from kernelhealth_agent.hosts.send_window import SendWindowProbe
from kernelhealth_agent.hosts.socket_owners import SocketOwners
from kernelhealth_agent.kernel import send_window, socket_owners
from kernelhealth_agent.kernel.inet_diag import Connection
from kernelhealth_agent.kernel.namespaces import Namespace
from kernelhealth_agent.kernel.persist import Persist, Rules
from kernelhealth_agent.kernel.send_window import Refusal, SendWindow

_MOST = 64
_MOST_OWNERS = 16


@dataclass(frozen=True, slots=True)
class Evidence:
    """Asks at *uptime*; *spaces* are all namespaces by inode number, the host's own as well."""

    host: Host
    connections: Connections
    spaces: Mapping[int, Namespace]
    rules: Rules
    uptime: float

    def gathered(self, found: list[Persist], blind: list[str]) -> list[Persist]:
        """Return the connections, the 64 oldest that stall with what was asked of them.

        The peer is looked at each time, the rest once in a while. *blind* gets what went wrong.
        """
        stalled = [one for one in found if one.is_stalled(self.rules, self.uptime)][:_MOST]
        due = {one.key for one in stalled if self._is_due(one)}
        try:
            owned = self.connections.addresses(self.spaces.values()) if due else {}
            near = {one.key: self._with_peer(one, owned) for one in stalled}
            if due:
                near |= self._with_owners([near[key] for key in due])
            near |= {key: self._with_window(near[key]) for key in due}
        except errors.HostError as error:
            blind.append(f"why connections stall was not found out: {error}")
            return found
        return [near.get(one.key, one) for one in found]

    def _is_due(self, one: Persist) -> bool:
        """Whether what costs more was not asked of a connection for long, or has a new use."""
        asked = one.known.asked
        if asked is None or self.uptime - asked >= self.rules.again:
            return True
        return one.known.window is None and one.is_suspect(self.rules, self.uptime)

    def _with_peer(self, one: Persist, owned: Mapping[str, list[int]]) -> Persist:
        """Return a connection with its other end, where that is on this node."""
        places = list(owned.get(one.connection.peer, ()))
        if one.known.peer_inode is not None and one.known.peer_inode in self.spaces:
            places.append(one.known.peer_inode)
        # An address of the own namespace is the own one, 127.0.0.1 above all.
        places = [one.space.inode] if one.space.inode in places else sorted(set(places))
        for inode in places:
            peer = self._peer(self.spaces[inode], one.connection)
            if peer is not None:
                since = self._empty_since(one, peer)
                known = replace(one.known, peer_inode=inode, empty_since=since)
                return replace(one, known=known, peer=peer, peer_space=self.spaces[inode])
        named = self.spaces[places[0]] if len(places) == 1 else None
        return replace(one, known=replace(one.known, empty_since=None), peer_space=named)

    def _peer(self, space: Namespace, near: Connection) -> Connection | None:
        try:
            every = self.connections.of(space)
            return next((far for far in every if far.ends == near.far_ends), None)
        except errors.AbsentError:
            return None  # It ended meanwhile.

    def _empty_since(self, one: Persist, peer: Connection) -> float | None:
        """Return since when the peer has read everything and has room; None where it has not."""
        if peer.unread or peer.receive_window == 0:
            return None
        past = one.known.empty_since
        return self.uptime if past is None else past

    def _with_owners(self, every: list[Persist]) -> dict[str, Persist]:
        """Return connections with the processes at both ends, from one walk over all of them."""
        ends = [end for one in every for end in (one.connection, one.peer) if end is not None]
        probe = SocketOwners(frozenset(end.inode for end in ends if end.inode))
        found = socket_owners.decode(self.host.probe(probe), probe.name)
        return {
            one.key: replace(
                one,
                known=replace(
                    one.known,
                    asked=self.uptime,
                    owners=found.get(one.connection.inode, ()),
                    peer_owners=found.get(one.peer.inode, ()) if one.peer is not None else (),
                ),
            )
            for one in every
        }

    def _with_window(self, one: Persist) -> Persist:
        """Return a suspect with its send window; one that is stale stays so and is read once."""
        past, owners = one.known.window, one.known.owners
        if isinstance(past, SendWindow) and past.stale:
            return one
        window: SendWindow | Refusal | None = None
        if len(owners) > _MOST_OWNERS:
            window = Refusal(f"{len(owners)} processes have it open")
        elif one.is_suspect(self.rules, self.uptime):
            who = tuple((owner.pid, owner.number) for owner in owners)
            probe = SendWindowProbe(one.connection.inode, who)
            try:
                window = send_window.decode(self.host.probe(probe), probe.name)
            except errors.HostError as error:
                window = Refusal(str(error))
        return replace(one, known=replace(one.known, window=window))
