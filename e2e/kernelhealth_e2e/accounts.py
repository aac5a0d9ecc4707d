"""Who may log in to the test API server: static tokens, made anew for every control plane."""

from __future__ import annotations

import csv
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def _token() -> str:
    return secrets.token_hex(16)


@dataclass(frozen=True, slots=True)
class Account:
    """A user of the API server; without groups it may do nothing until RBAC says so."""

    user: str
    groups: tuple[str, ...] = ()
    token: str = field(default_factory=_token, repr=False)


def administrator() -> Account:
    """Give an account that may do everything."""
    return Account("kernelhealth-admin", ("system:masters",))


def controller_manager() -> Account:
    """Give the account of kube-controller-manager; the API server's own roles are bound to it."""
    return Account("system:kube-controller-manager")


def scheduler() -> Account:
    """Give the account of kube-scheduler; the API server's own roles are bound to it."""
    return Account("system:kube-scheduler")


def node(name: str) -> Account:
    """Give the account of a kubelet."""
    return Account(f"system:node:{name}", ("system:nodes",))


def write(path: Path, accounts: tuple[Account, ...]) -> None:
    """Write the file that kube-apiserver reads with --token-auth-file, mode 0600."""
    path.touch(mode=0o600)
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        for account in accounts:
            groups = (",".join(account.groups),) if account.groups else ()
            rows.writerow((account.token, account.user, account.user, *groups))
