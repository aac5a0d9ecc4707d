"""The cluster's own certificate authority and what it signs, made with the openssl program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kernelhealth_e2e import processes

if TYPE_CHECKING:
    from pathlib import Path

_DAYS = "30"
_CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


@dataclass(frozen=True, slots=True)
class Pair:
    """A PEM certificate and its PEM private key (PKCS 8, P-256)."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority whose files lie in one directory."""

    directory: Path
    pair: Pair

    def issue(self, name: str, subject: str, names: tuple[str, ...] = ()) -> Pair:
        """Sign a certificate; ``names`` are subject alternative names such as ``IP:127.0.0.1``."""
        signed = _pair(self.directory, name)
        extensions = ["-addext", "basicConstraints=critical,CA:FALSE"]
        if names:
            extensions += ["-addext", f"subjectAltName={','.join(names)}"]
        signer = ("-CA", str(self.pair.certificate), "-CAkey", str(self.pair.key))
        _request(signed, subject, *signer, *extensions)
        return signed


def authority(directory: Path) -> Authority:
    """Make a new certificate authority in a directory."""
    directory.mkdir(parents=True, exist_ok=True)
    pair = _pair(directory, "ca")
    _request(pair, "/CN=kernelhealth-e2e-ca")
    return Authority(directory, pair)


def signing_key(directory: Path) -> Pair:
    """Make the key that signs service-account tokens; ``certificate`` is the public key here."""
    pair = Pair(directory / "service-accounts.pub", directory / "service-accounts.key")
    made = ("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:prime256v1")
    processes.output((*made, "-out", str(pair.key)))
    key = ("-in", str(pair.key), "-pubout", "-out", str(pair.certificate))
    processes.output(("openssl", "pkey", *key))
    return pair


def _pair(directory: Path, name: str) -> Pair:
    return Pair(directory / f"{name}.crt", directory / f"{name}.key")


def _request(pair: Pair, subject: str, *more: str) -> None:
    files = ("-keyout", str(pair.key), "-out", str(pair.certificate))
    what = ("-days", _DAYS, "-subj", subject)
    processes.output(("openssl", "req", "-x509", *_CURVE, *files, *what, *more))
