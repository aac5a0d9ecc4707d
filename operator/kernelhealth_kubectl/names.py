"""Which object is meant by a name, and which may have been where there is none."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final

from kernelhealth_kubectl.complaints import ComplaintError

_NEAR: Final = 5
_ALIKE: Final = 0.6


def unknown(sentence: str, name: str, known: Iterable[str], where: str) -> ComplaintError:
    """Return the complaint that nothing is called *name*; *where* is the command that lists all."""
    near = alike(name, known)
    hint = f"did you mean {' or '.join(near)}?" if near else "there is none of a name like it;"
    return ComplaintError(f"{sentence}: {hint} {where} lists them")


def alike(name: str, known: Iterable[str]) -> tuple[str, ...]:
    """Return names like that one: first those that contain it, then those spelled alike."""
    names = sorted(known)
    containing = [each for each in names if len(name) > 2 and name in each]
    close = difflib.get_close_matches(name, names, _NEAR, _ALIKE)
    return tuple(dict.fromkeys([*containing, *close]))[:_NEAR]
