"""Metrics as a Prometheus server would get them."""

from __future__ import annotations

import http.client
import time
import urllib.request
from collections.abc import Mapping

Samples = Mapping[str, float]
_PATIENCE_SECONDS = 60.0
_PAUSE_SECONDS = 1.0


def scrape(published: str) -> Samples:
    """Scrape the metrics at an address: each series with its labels, as it is written.

    Nobody answers there while a pod restarts, and late where a machine is busy: one tries again
    for a minute, and then raises what the last try did.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            text = _fetched(published)
        except (OSError, http.client.HTTPException):
            if time.monotonic() > deadline:
                raise
        else:
            parts = (line.rpartition(" ") for line in text.splitlines() if line[:1] != "#")
            return {series: float(value) for series, _, value in parts}
        # Nothing tells when somebody listens there again.
        time.sleep(_PAUSE_SECONDS)


def _fetched(published: str) -> str:
    with urllib.request.urlopen(f"http://{published}/metrics", timeout=20) as answer:
        text: str = answer.read().decode()
    return text
