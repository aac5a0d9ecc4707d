"""Which interfaces carry default routes: /proc/net/route and /proc/net/ipv6_route.

net/ipv4/fib_trie.c prints a heading, then interface, destination, gateway, flags, three counters,
mask; net/ipv6/route.c prints destination, its length, source, its length, next hop, metric, two
counters, flags, interface. Addresses and flags are hexadecimal.
"""

from __future__ import annotations

_REJECT = 0x0200
"""RTF_REJECT: the default route that every namespace has, to nowhere."""
_NOWHERE = "0" * 32


def ipv4(text: bytes) -> frozenset[str]:
    """Return the interfaces of default routes in /proc/net/route; other lines are passed over."""
    lines = (line.split() for line in text.decode(errors="replace").splitlines()[1:])
    return frozenset(
        fields[0] for fields in lines if len(fields) >= 8 and fields[1] == fields[7] == "00000000"
    )


def ipv6(text: bytes) -> frozenset[str]:
    """Return the interfaces of default routes in /proc/net/ipv6_route."""
    found = set()
    for line in text.decode(errors="replace").splitlines():
        fields = line.split()
        if len(fields) >= 10 and fields[0] == _NOWHERE and fields[1] == "00":
            try:
                rejects = int(fields[8], 16) & _REJECT
            except ValueError:
                continue
            if not rejects:
                found.add(fields[9])
    return frozenset(found)
