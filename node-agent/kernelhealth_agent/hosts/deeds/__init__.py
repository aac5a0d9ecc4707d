"""Deeds: the changes of a host that fixes are made of, a module for each kind."""

from __future__ import annotations

from typing import Protocol


class Deed(Protocol):
    """One change of the host. A frozen value, so that a dry run can tell it without doing it."""

    @property
    def name(self) -> str:
        """What is done to what, as the journal and people read it."""

    @property
    def host_wide(self) -> bool:
        """Whether it changes more than what one pod left behind: a module, a sysctl, a boot."""

    def do(self, root: str, keep: str) -> None:
        """Do it to the host whose files are below *root*; ``OSError`` or ``HostError``.

        *root* is ``/``, or ``/host/proc/1/root`` in a container: absolute links below it lead into
        the container, so whatever may be one is to be resolved below *root*. What is replaced is
        copied into the directory *keep* first, which is there, empty or not, and stays for good.
        """
