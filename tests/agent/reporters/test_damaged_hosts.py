"""Any file of a recorded host may be garbage: no detector breaks, and none says it is healthy."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from kernelhealth_agent import attribution, catalogue, looking, thresholds
from kernelhealth_agent.examination import Examiner, Knowledge
from kernelhealth_agent.hosts.recorded import RecordedHost
from kernelhealth_agent.moments import now
from kernelhealth_agent.survey import Surveyor

HOSTS = sorted((Path(__file__).parents[2] / "fixtures" / "hosts").iterdir())
DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "torn": lambda content: content[: len(content) // 2],
    "bytes": lambda content: b"\xff\x00\xfe" + content[::-1],
    "words": lambda _: b"zz garbage -1 0x \n" * 3,
    "digits": lambda _: b"99999999999999999999999999\n",
}


def examiner(root: Path) -> Examiner:
    surveyor = Surveyor(attribution.Places(), 0.0)
    return looking.examiner(RecordedHost(str(root)), catalogue.every(), surveyor, 30.0)


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("host", HOSTS, ids=[host.name for host in HOSTS])
def test_no_damage_to_a_file_is_a_defect_of_a_detector(
    host: Path, damage: str, tmp_path: Path
) -> None:
    root = tmp_path / "host"
    shutil.copytree(host, root, symlinks=True)
    looks = examiner(root)
    chosen = thresholds.in_force(looks.rounds.detectors, {})
    broken = []
    for path in sorted(root.rglob("*")):
        if path.is_symlink() or not path.is_file() or path.name.startswith("expected."):
            continue
        content = path.read_bytes()
        path.write_bytes(DAMAGES[damage](content))

        status = looks.examine(Knowledge(), chosen, now()).status

        broken += [
            f"{path.relative_to(root)}: {condition.type}: {condition.message}"
            for condition in status.conditions
            if condition.reason == "InternalError"
        ]
        path.write_bytes(content)
    assert broken == []
