from __future__ import annotations

import asyncio

from kernelhealth_operator.agenda import Agenda


class Watch:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


async def _all(agenda: Agenda) -> list[str]:
    """Everything that is to be had without waiting."""
    names = []
    while len(agenda):
        names.append(await agenda.take())
        agenda.done(names[-1])
    return names


async def test_a_name_added_twice_is_handed_out_once() -> None:
    agenda = Agenda(Watch())

    agenda.extend(["alpha", "beta", "alpha"])

    assert await _all(agenda) == ["alpha", "beta"]


async def test_a_name_added_while_held_is_handed_out_again_when_given_back() -> None:
    agenda = Agenda(Watch())
    agenda.add("alpha")
    held = await agenda.take()

    agenda.add("alpha")
    waiting = len(agenda)
    agenda.done(held)

    assert waiting == 0
    assert await _all(agenda) == ["alpha"]


async def test_a_name_is_handed_out_when_it_is_due_and_not_before() -> None:
    clock = Watch()
    agenda = Agenda(clock)
    agenda.at("alpha", 110.0)
    agenda.at("beta", 105.0)
    agenda.add("gamma")

    first = await agenda.take()
    clock.now = 105.0
    second = await agenda.take()
    clock.now = 110.0
    third = await agenda.take()

    assert (first, second, third) == ("gamma", "beta", "alpha")


async def test_of_several_wishes_the_earliest_counts_and_only_once() -> None:
    clock = Watch()
    agenda = Agenda(clock)
    agenda.at("alpha", 110.0)
    agenda.at("alpha", 105.0)
    agenda.at("alpha", 120.0)
    agenda.at("beta", 130.0)

    clock.now = 105.0
    first = await agenda.take()
    agenda.done(first)
    clock.now = 130.0
    second = await agenda.take()

    assert (first, second) == ("alpha", "beta")
    assert len(agenda) == 0


async def test_whoever_waits_is_woken_by_what_is_added() -> None:
    agenda = Agenda(asyncio.get_running_loop().time)
    waiting = asyncio.create_task(agenda.take())
    await asyncio.sleep(0)

    agenda.add("alpha")

    async with asyncio.timeout(60):
        assert await waiting == "alpha"


async def test_whoever_waits_is_woken_by_time() -> None:
    now = asyncio.get_running_loop().time
    agenda = Agenda(now)
    agenda.at("alpha", now() + 0.01)

    async with asyncio.timeout(60):
        assert await agenda.take() == "alpha"
