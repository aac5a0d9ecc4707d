"""What can go wrong while a test cluster is made, each as a sentence to act on."""

from __future__ import annotations


class HarnessError(Exception):
    """The harness could not do what it was asked; the message says what to change."""


class UnavailableError(HarnessError):
    """This machine lacks something a layer needs (root, Debian, a program); a test skips on it."""


class ProcessError(HarnessError):
    """A child process ended, or did not become ready before its deadline."""
