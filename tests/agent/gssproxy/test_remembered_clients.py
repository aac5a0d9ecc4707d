"""A namespace in which the kernel was gssproxy's client, after nothing leads there any more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from kernelhealth_agent import inventory
from kernelhealth_agent.detectors import gssproxy as detector
from kernelhealth_agent.detectors import network_namespaces as leaks
from kernelhealth_agent.hosts.recorded import RecordedHost
from kernelhealth_agent.kernel.gssproxy import USED, Memory, Sample
from kernelhealth_agent.kernel.namespace_views import Views
from kernelhealth_agent.kernel.namespaces import Inventory, Namespace
from kernelhealth_agent.source import Occasion
from kernelhealth_agent.sources import gssproxy as source
from kernelhealth_agent.sources import network_namespaces as leaks_source
from kernelhealth_api.detector import Observation

Recorded = Callable[..., tuple[RecordedHost, Occasion[Memory]]]
INODE, NSID = 4026532178, 6
POD = "batch/nfs-client-0"


def alive(seen: Inventory) -> Inventory:
    """Give the pod's namespace the id that the host has for it."""
    space = replace(seen.namespaces[INODE], nsid=NSID)
    return replace(seen, namespaces={INODE: space}, nsids=frozenset({NSID}))


def leaked(seen: Inventory) -> Inventory:
    """Let nothing lead to the pod's namespace any more; its id stays in the kernel."""
    return replace(seen, namespaces={}, memory=inventory.remember(seen))


def look(host: RecordedHost, occasion: Occasion[Memory], seen: Inventory) -> Sample:
    return source.collect(host, replace(occasion, inventory=seen))


def pinned(sample: Sample) -> list[Observation]:
    found = detector.judge(sample, detector.GssproxyParams())
    return [one for one in found if one.reason is detector.PINNED]


@pytest.fixture
def before(recorded: Recorded) -> tuple[RecordedHost, Occasion[Memory], Inventory]:
    """A host whose kernel names no namespaces, the occasion after the pod was seen, and the pod."""
    host, occasion = recorded("gssproxy-pinned-unnamed")
    seen = alive(occasion.inventory)
    memory = look(host, occasion, seen).memory
    return host, replace(occasion, memory=memory), seen


Before = tuple[RecordedHost, Occasion[Memory], Inventory]


def test_the_pod_is_named_and_no_longer_counted_among_the_unnamed(before: Before) -> None:
    host, occasion, seen = before
    unnamed = look(host, occasion, seen).unnamed

    after = look(host, occasion, leaked(seen))

    assert unnamed == after.unnamed == 3
    (named,) = [one for one in pinned(after) if one.subject.namespace == INODE]
    assert (named.subject.pod, named.cause) == (POD, "GssProxyPin")


def test_it_is_still_named_a_look_later_and_no_more_when_its_id_is_gone(before: Before) -> None:
    host, occasion, seen = before
    once = look(host, occasion, leaked(seen)).memory
    told = source.SOURCE.recalled(once)
    again = replace(occasion, memory=told)

    stays = look(host, again, leaked(seen))
    gone = look(host, again, replace(leaked(seen), nsids=frozenset()))

    assert stays.memory.lost == (INODE,)
    assert gone.memory.lost == ()
    assert [one.subject.namespace for one in pinned(gone)] == [None] * (gone.unnamed or 0)


def test_a_quick_look_that_leaves_the_question_open_does_not_forget_it(before: Before) -> None:
    host, occasion, seen = before
    unsure = replace(leaked(seen), nsids=frozenset(), open=frozenset({NSID}))

    assert look(host, occasion, unsure).memory.lost == (INODE,)


def test_the_value_outlives_the_last_process_of_a_pod(before: Before) -> None:
    host, occasion, seen = before
    pod = seen.namespaces[INODE].pod
    assert pod is not None
    empty = Namespace(INODE, NSID, pod=replace(pod, known_by="memory"))

    ending = look(host, occasion, replace(seen, namespaces={INODE: empty}))

    assert ending.memory.spaces[INODE].state == USED
    assert ending.memory.clients == {INODE}


def test_the_next_namespace_with_that_inode_number_is_not_believed_to_be_it(before: Before) -> None:
    host, occasion, seen = before

    other = look(host, occasion, replace(seen, namespaces={INODE: Namespace(INODE, 9)}))

    assert other.memory.clients == frozenset()


def test_no_more_are_believed_than_the_kernel_has_clients(before: Before) -> None:
    host, occasion, seen = before
    others = {INODE + n: Namespace(INODE + n, 10 + n) for n in range(1, 5)}

    after = look(host, occasion, replace(leaked(seen), namespaces=others))

    # Their state cannot be read, so that each of them may account for one of the four.
    assert after.unnamed == 0
    assert pinned(after) == []


def test_an_unloaded_module_holds_nothing(before: Before) -> None:
    _, occasion, _ = before
    assert occasion.memory is not None

    assert replace(occasion.memory, loaded=False).clients == frozenset()


def test_the_leak_itself_names_the_cause_and_the_cure(before: Before) -> None:
    host, occasion, seen = before
    told = {"gssproxy": occasion.memory}
    sample = leaks_source.collect(host, Occasion(leaked(seen), occasion.moment, others=told))

    (found,) = leaks.judge(sample, leaks.NetworkNamespacesParams())

    assert (found.subject.pod, found.cause) == (POD, "GssProxyPin")
    assert found.cures == ("BlockRpcGssModule", "UnloadRpcGssModule", "Reboot")


def test_a_kernel_that_names_the_namespaces_of_its_clients_is_believed(recorded: Recorded) -> None:
    host, occasion = recorded("gssproxy-pinned")
    seen = alive(occasion.inventory)
    memory = look(host, occasion, seen).memory
    unheard = replace(memory, spaces={1: memory.spaces[INODE]})
    past = {1: replace(leaked(seen).memory[INODE], inode=1)}
    gone = replace(leaked(seen), memory=past)
    later: Occasion[Views] = Occasion(gone, occasion.moment, others={"gssproxy": unheard})

    (found,) = leaks.judge(leaks_source.collect(host, later), leaks.NetworkNamespacesParams())

    assert (found.subject.pod, found.cause) == (POD, "HeldByKernel")
