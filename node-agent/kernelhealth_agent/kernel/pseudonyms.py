"""Other names and addresses for those that nobody outside shall see, the same for the same. Pure.

Addresses keep the prefixes that they have in common (J. Xu et al., Prefix-Preserving IP Address
Anonymization, 2002), so that what was in one subnet stays in one. Words keep their length and their
kinds of characters, so that formats stay what they were.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
import string
from dataclasses import dataclass

_WORD = re.compile(r"[A-Za-z0-9]")
_ALPHABETS = (string.digits, string.ascii_lowercase, string.ascii_uppercase)


@dataclass(frozen=True, slots=True)
class Pseudonyms:
    """Pseudonyms under one *key*; who does not know it cannot tell what they stand for."""

    key: bytes

    def address(self, raw: bytes) -> bytes:
        """Return another address for one of 4 or 16 bytes; those that mean the same anywhere stay.

        Addresses of IPv4 within IPv6 are treated as the former. ``ValueError`` for another length.
        """
        if len(raw) == 16 and raw.startswith(bytes(10) + b"\xff\xff"):
            return raw[:12] + self.address(raw[12:])
        if _is_special(raw):
            return raw
        number, bits = int.from_bytes(raw, "big"), len(raw) * 8
        # The kind of address stays: private, global, link-local.
        fixed = 8 if bits == 32 else 10
        made = number >> (bits - fixed)
        for at in range(fixed, bits):
            bit = number >> (bits - 1 - at) & 1
            made = made << 1 | bit ^ self._flip(number, at, bits)
        return made.to_bytes(len(raw), "big")

    def hardware(self, raw: bytes) -> bytes:
        """Return another link-layer address; whether it is a group's or a local one stays."""
        if not any(raw) or raw == b"\xff" * len(raw):
            return raw
        made = self._digest(b"hardware", raw)[: len(raw)].ljust(len(raw), b"\0")
        return bytes([made[0] & 0xFC | raw[0] & 3]) + made[1:]

    def word(self, text: str) -> str:
        """Return another word with digits for digits and letters for letters."""
        stream = iter(self._digest(b"word", text.encode(errors="surrogatepass")) * len(text))

        def other(match: re.Match[str]) -> str:
            alphabet = next(a for a in _ALPHABETS if match[0] in a)
            return alphabet[next(stream) % len(alphabet)]

        return _WORD.sub(other, text)

    def _flip(self, number: int, at: int, bits: int) -> int:
        prefix = number >> (bits - at)
        return self._digest(b"%d/%d" % (bits, at), prefix.to_bytes(17, "big"))[0] & 1

    def _digest(self, kind: bytes, raw: bytes) -> bytes:
        return hashlib.blake2b(kind + b":" + raw, key=self.key[:64]).digest()


def _is_special(raw: bytes) -> bool:
    address = ipaddress.ip_address(raw)
    if len(raw) == 4 and (raw[0] in {0, 127} or raw[0] >= 224 or address.is_link_local):
        return True
    return address.is_unspecified or address.is_loopback or address.is_multicast
