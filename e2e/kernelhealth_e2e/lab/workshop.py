"""What scenarios are made with before a machine boots: the cache, and who is told of progress."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kernelhealth_e2e.cache import Cache
    from kernelhealth_e2e.progress import Progress


@dataclass(frozen=True, slots=True)
class Workshop:
    """Everything that is fetched or built goes through ``cache``."""

    cache: Cache
    progress: Progress
