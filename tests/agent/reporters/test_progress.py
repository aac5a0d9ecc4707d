from __future__ import annotations

import io

from kernelhealth_agent.reporters.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_in_a_file_only_what_takes_long_is_told() -> None:
    stream, times = io.StringIO(), iter([0.0, 0.1, 2.5, 3.0, 5.0])

    with Progress(stream, lambda: next(times)) as progress:
        for name in ("one", "two", "three", "four"):
            progress.say(name)

    assert stream.getvalue() == "two (2 s)\nfour (5 s)\n"


def test_a_terminal_is_left_as_it_was() -> None:
    stream = Terminal()

    with Progress(stream, lambda: 0.0) as progress:
        progress.say("looking at slab")

    assert stream.getvalue().count("\x1b[?25l") == stream.getvalue().count("\x1b[?25h") == 1
