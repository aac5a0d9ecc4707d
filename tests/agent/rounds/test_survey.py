from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kernelhealth_agent import attribution
from kernelhealth_agent.hosts.recorded import RecordedHost
from kernelhealth_agent.moments import Moment
from kernelhealth_agent.survey import Surveyor

HEALTHY = Path(__file__).parents[2] / "fixtures" / "hosts" / "network_namespaces-healthy"
START = Moment(datetime(2026, 1, 1, tzinfo=UTC), 1000.0)
HELD = 4026539999


@pytest.fixture
def host(tmp_path: Path) -> RecordedHost:
    """A healthy host where one more namespace is held by an open descriptor and by nothing else."""
    root = tmp_path / "host"
    shutil.copytree(HEALTHY, root, symlinks=True)
    pid = next(path.name for path in (root / "proc").iterdir() if path.name.isdigit())
    (root / "proc" / pid / "fd").mkdir(exist_ok=True)
    (root / "proc" / pid / "fd" / "99").symlink_to(f"net:[{HELD}]")
    listing = root / "netlink" / "namespaces.json"
    known = json.loads(listing.read_text())
    known.setdefault("inodes", {})[f"proc/{pid}/fd/99"] = HELD
    listing.write_text(json.dumps(known))
    return RecordedHost(str(root))


def test_descriptors_are_looked_at_now_and_then(host: RecordedHost) -> None:
    surveyor = Surveyor(attribution.Places(), every=600.0)

    seen = [
        HELD in surveyor(host, START.after(seconds), {}).namespaces for seconds in (0, 60, 599, 600)
    ]

    assert seen == [True, False, False, True]


def test_in_doubt_descriptors_are_looked_at_always(host: RecordedHost) -> None:
    surveyor = Surveyor(attribution.Places(), every=600.0)
    surveyor(host, START, {})
    surveyor.doubt = True

    assert HELD in surveyor(host, START.after(1), {}).namespaces
