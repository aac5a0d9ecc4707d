"""The kernels of the lab by name, and how each is got."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING

from kernelhealth_e2e import debian
from kernelhealth_e2e.errors import HarnessError
from kernelhealth_e2e.lab.kernels import building
from kernelhealth_e2e.lab.kernels.source import Variant
from kernelhealth_e2e.vm import kernel

if TYPE_CHECKING:
    from collections.abc import Callable

    from kernelhealth_e2e.cache import Cache
    from kernelhealth_e2e.progress import Progress
    from kernelhealth_e2e.vm.kernel import Kernel

_SHOWN = ("node.config", "observable.config")
_BUILT = Variant("built", _SHOWN)
_SUPPRESS = Variant("without-cdef4852", _SHOWN, ("without-cdef4852.patch",))
_WINDOW = Variant("without-18a4c0ea", _SHOWN, ("without-18a4c0ea.patch",))
_ALIKE = (_BUILT, _SUPPRESS, _WINDOW)
_BARE = Variant("bare", ("node.config", "bare.config"))


@dataclass(frozen=True, slots=True)
class Known:
    """One kernel of the lab: what it is, in one line, and how it is got."""

    description: str
    get: Callable[[Cache, Progress], Kernel]


def get(name: str, cache: Cache, progress: Progress) -> Kernel:
    """Return the kernel of that name, fetched or built when it is not in the cache."""
    if name not in KERNELS:
        raise HarnessError(f"the lab has no kernel {name}; it has {', '.join(KERNELS)}")
    return KERNELS[name].get(cache, progress)


def _here(package: str, cache: Cache, progress: Progress) -> Kernel:
    return kernel.debian(cache, progress, package)


def _of_suite(suite: str, cache: Cache, progress: Progress) -> Kernel:
    return kernel.debian(cache, progress, archive=debian.suite(suite, cache))


def _built(variant: Variant, cache: Cache, progress: Progress) -> Kernel:
    alike = _ALIKE if variant in _ALIKE else ()
    others = tuple(one for one in alike if one != variant)
    return building.kernel(variant, others, cache, progress)


KERNELS = MappingProxyType(
    {
        "5.10": Known("Debian 11's, stock", partial(_of_suite, "bullseye")),
        "6.1": Known("Debian 12's, stock", partial(_here, kernel.STOCK)),
        "6.12": Known(
            "Debian 13's, stock, as Debian 12 has it too", partial(_here, "linux-image-6.12-amd64")
        ),
        "newest": Known("the newest that Debian has, stock", partial(_of_suite, "sid")),
        "6.1-built": Known(
            "6.1 from Debian's source, as it is: the control", partial(_built, _BUILT)
        ),
        "6.1-without-cdef4852": Known(
            "the same, with the fix of the IPv6 route leak taken back", partial(_built, _SUPPRESS)
        ),
        "6.1-without-18a4c0ea": Known(
            "the same, with the fix of the stuck zero window taken back", partial(_built, _WINDOW)
        ),
        "6.1-bare": Known(
            "the same source without BTF, slab sysfs, debugfs, kcore and inet_diag",
            partial(_built, _BARE),
        ),
    }
)
"""Every kernel there is, by name, in the order of tables."""
