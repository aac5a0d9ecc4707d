from __future__ import annotations

import io
from collections.abc import Callable
from typing import Protocol

from kernelhealth_agent.examination import Outcome
from kernelhealth_agent.reporters import terminal


class Node(Protocol):
    has: Callable[..., None]
    look: Callable[..., Outcome]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(outcome: Outcome, *notes: str, stream: io.StringIO | None = None) -> str:
    stream = stream or io.StringIO()
    terminal.show(outcome.status, notes, stream, outcome.round.moment.wall)
    return stream.getvalue()


def test_a_finding_is_shown_with_all_that_a_person_needs(node: Node) -> None:
    node.has(leaks="cart")
    node.look()

    text = shown(node.look(121))

    for part in ("Warning", "ThingLeaked", "Thing cart leaked: reboot", "pod: shop/cart", "Reboot",
                 "cause: Bug", "2026-01-01 00:00:00"):  # fmt: skip
        assert part in text
    assert text.startswith("Kernel health: Warning (ThingLeaked)")


def test_an_unknown_condition_is_explained(node: Node) -> None:
    node.has(leaks="garbage")

    text = shown(node.look())

    assert "ReadFailed" in text
    assert "leaks:1 cannot be understood" in text


def test_there_are_no_colours_where_nobody_sees_them(node: Node) -> None:
    node.has(traps="x")

    assert "\x1b" not in shown(node.look(), "blind in one eye")


def test_markup_in_a_message_is_only_text(node: Node) -> None:
    node.has(traps="[bold]x[/bold]")

    text = shown(node.look(), "[red]note[/red]")

    assert "Trap [bold]x[/bold] is set" in text
    assert "note: [red]note[/red]" in text


def test_a_terminal_gets_colours(node: Node) -> None:
    node.has(traps="x")

    assert "\x1b[" in shown(node.look(), stream=Terminal())
