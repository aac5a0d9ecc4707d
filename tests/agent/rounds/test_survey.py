from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.agent.conftest import TRAP_DETECTOR

from kernelhealth_agent import attribution
from kernelhealth_agent.hosts.recorded import RecordedHost
from kernelhealth_agent.kernel.namespaces import Inventory, Namespace
from kernelhealth_agent.looks import Look, Round
from kernelhealth_agent.moments import Moment
from kernelhealth_agent.survey import Surveyor, is_doubtful
from kernelhealth_agent.thresholds import Thresholds
from kernelhealth_api.detector import Observation, Reason, Severity, Subject

HEALTHY = Path(__file__).parents[2] / "fixtures" / "hosts" / "network_namespaces-healthy"
START = Moment(datetime(2026, 1, 1, tzinfo=UTC), 1000.0)
HELD = 4026539999


@pytest.fixture
def host(tmp_path: Path) -> RecordedHost:
    """A healthy host."""
    root = tmp_path / "host"
    shutil.copytree(HEALTHY, root, symlinks=True)
    return RecordedHost(str(root))


def hold(host: RecordedHost) -> None:
    """Let one more namespace be held by an open descriptor and by nothing else."""
    root = Path(host.path("proc")).parent
    pid = next(path.name for path in (root / "proc").iterdir() if path.name.isdigit())
    (root / "proc" / pid / "fd").mkdir(exist_ok=True)
    (root / "proc" / pid / "fd" / "99").symlink_to(f"net:[{HELD}]")
    listing = root / "netlink" / "namespaces.json"
    known = json.loads(listing.read_text())
    known.setdefault("inodes", {})[f"proc/{pid}/fd/99"] = HELD
    listing.write_text(json.dumps(known))


def test_descriptors_are_looked_at_now_and_then(host: RecordedHost) -> None:
    surveyor = Surveyor(attribution.Places(), every=600.0)
    surveyor(host, START, {})
    hold(host)

    seen = [
        HELD in surveyor(host, START.after(seconds), {}).namespaces
        for seconds in (60, 599, 600, 601)
    ]

    assert seen == [False, False, True, True]


def test_in_doubt_descriptors_are_looked_at_always(host: RecordedHost) -> None:
    surveyor = Surveyor(attribution.Places(), every=600.0)
    surveyor(host, START, {})
    hold(host)
    surveyor.doubt = True

    assert HELD in surveyor(host, START.after(1), {}).namespaces


LEAKED = Reason("Leaked", Severity.WARNING, "It leaked.")


def a_round(subject: Subject, *, looked: bool = True) -> Round:
    """Return a round that saw one thing, where namespace 100 is reached and id 4 is not."""
    seen = Inventory(
        "boot", START.wall, Namespace(1), {100: Namespace(100, nsid=3)}, frozenset({3, 4}), (), {}
    )
    observation = Observation(LEAKED, "key", subject, "It leaked: reboot.")
    look = Look(TRAP_DETECTOR, Thresholds(TRAP_DETECTOR.params()), observations=(observation,))
    return Round(START, seen if looked else None, (look,), 0.1, 0.1)


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        (Subject(file="/etc/x"), False),
        (Subject(namespace=1), False),
        (Subject(namespace=100), False),
        (Subject(namespace=200, nsid=4), False),
        (Subject(namespace=200), True),
    ],
    ids=["no namespace", "the host's", "reached", "an id", "neither reached nor an id"],
)
def test_only_a_namespace_that_thorough_looks_alone_can_see_is_doubtful(
    subject: Subject, *, expected: bool
) -> None:
    assert is_doubtful(a_round(subject), before=False) is expected


@pytest.mark.parametrize("before", [True, False])
def test_where_nothing_could_be_seen_the_doubt_stays(*, before: bool) -> None:
    assert is_doubtful(a_round(Subject(), looked=False), before=before) is before
