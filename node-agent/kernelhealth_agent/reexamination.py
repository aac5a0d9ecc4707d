"""Looks again at what a fix is to be done to, right before: is it still so, and still the same?

A finding may be a minute old, and its pod may have come back. All that is taken from it is which
namespace it was and whose; what is so now is read from the host anew.
"""

from __future__ import annotations

from dataclasses import dataclass

from kernelhealth_agent import inventory, moments
from kernelhealth_agent.attribution import Places
from kernelhealth_agent.hosts import Host
from kernelhealth_agent.kernel.namespaces import Inventory, Namespace, Pod, Remembered
from kernelhealth_agent.kernel.pod_networks import PodNetworks, mounted, plain, waits
from kernelhealth_agent.source import Occasion
from kernelhealth_agent.sources import residual_links
from kernelhealth_api.detector import Observation


@dataclass(frozen=True, slots=True)
class Premises:
    """The host as it is now: its namespaces, and what is left of pods' networks."""

    inventory: Inventory
    networks: PodNetworks

    def uncertainty(self) -> str:
        """Return why it cannot be told which pods are gone, as half a sentence, or nothing."""
        if not self.inventory.pods_known:
            return "it cannot be told which pods are on the node"
        if self.networks.sandboxes is None:
            return "it cannot be told which containers live: no runtime lists them"
        if self.networks.doubts:
            return f"not all that might speak for a pod can be read: {self.networks.doubts[0]}"
        return ""

    def claimant(self, space: Namespace) -> str:
        """Return who may still want a namespace without processes, or nothing."""
        if space.pod is not None and self.networks.has_pod(space.pod):
            return f"pod {space.pod.title} is on the node"
        if space.sandbox is not None and self.networks.lives(space.sandbox):
            return f"container {space.sandbox[:13]} lives"
        attached = {plain(a.netns): a for a in self.networks.attachments if a.netns}
        spaces = mounted(self.inventory)
        for mount in space.mounts:
            found = attached.get(plain(mount.path))
            if found is None:
                continue
            if self.networks.lives(found.sandbox) or waits(found, self.networks, spaces):
                return f"the CNI result of sandbox {found.sandbox[:13]} names {mount.path}"
        return ""


def premises(host: Host, observation: Observation, places: Places) -> Premises:
    """Look at everything anew, with what an observation remembers; raises ``HostError``.

    *places* is where the kubelet of this host has its pods.
    """
    now = moments.now()
    memory = {past.inode: past for past in remembered(observation, now)}
    found = inventory.take(host, now.wall, memory, places, thorough=True)
    return Premises(found, residual_links.SOURCE.collect(host, Occasion(found, now)))


def remembered(observation: Observation, now: moments.Moment) -> tuple[Remembered, ...]:
    """Return whose the namespace of an observation was; nothing where it does not say."""
    subject = observation.subject
    if subject.namespace is None or subject.pod is None:
        return ()
    namespace, slash, name = subject.pod.partition("/")
    title = (namespace, name) if slash else ("", "")
    pod = Pod(*title, subject.pod_uid, subject.pod_known_by or "memory")
    return (
        Remembered(
            subject.namespace,
            subject.nsid,
            pod,
            subject.container,
            now.wall,
            number(observation, "cookie"),
        ),
    )


def is_same(host: Host, observation: Observation, space: Namespace) -> bool:
    """Whether a namespace is the observed one, and not the next that got its inode number.

    By the cookie where the observation and the kernel have one, else by the id that it keeps for
    as long as it is; raises ``HostError``.
    """
    if space.inode != observation.subject.namespace:
        return False
    cookie = number(observation, "cookie")
    now = None if cookie is None else host.cookie(space.file or "")
    if cookie is not None and now is not None:
        return cookie == now
    return observation.subject.nsid == space.nsid


def number(observation: Observation, key: str) -> int | None:
    """Return a number that an observation carries for its cures; None where it has none."""
    found = observation.aim.get(key)
    return found if isinstance(found, int) else None


def text(observation: Observation, key: str) -> str | None:
    """Return a text that an observation carries for its cures; None where it has none."""
    found = observation.aim.get(key)
    return found if isinstance(found, str) else None


def missing(observation: Observation, *keys: str) -> str:
    """Return that an observation does not carry what a cure has to know, or nothing."""
    lacks = [key for key in keys if key not in observation.aim]
    if not lacks:
        return ""
    return f"the finding does not carry {', '.join(lacks)}, so that it may be about another one"
