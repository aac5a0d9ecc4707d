from __future__ import annotations

import json
from pathlib import Path

import pytest

from kernelhealth_e2e.accounts import Account
from kernelhealth_e2e.controlplane import ControlPlane, Settings
from kernelhealth_e2e.errors import ProcessError
from kernelhealth_e2e.processes import start_time


def test_the_api_server_reports_the_version_that_the_module_file_names(
    control_plane: ControlPlane,
) -> None:
    answer = json.loads(control_plane.kubectl("version", "-o", "json"))

    assert answer["serverVersion"]["gitVersion"] == "v1.34.4"


def test_an_outage_cuts_off_clients_and_keeps_the_data(
    control_plane_binaries: Path, tmp_path: Path
) -> None:
    with ControlPlane(Settings(control_plane_binaries, tmp_path)) as plane:
        plane.kubectl("create", "namespace", "kept")

        plane.stop_apiserver()
        ready_during_the_outage = plane.is_ready()
        plane.start_apiserver()

        assert not ready_during_the_outage
        assert plane.kubectl("get", "namespace", "kept", "-o", "name") == "namespace/kept\n"


def test_a_user_without_roles_may_log_in_and_do_nothing(
    control_plane_binaries: Path, tmp_path: Path
) -> None:
    nobody = Account("nobody-in-particular")
    with ControlPlane(Settings(control_plane_binaries, tmp_path, users=(nobody,))) as plane:
        config = plane.kubeconfig_for(nobody)

        with pytest.raises(ProcessError, match="Forbidden"):
            plane.kubectl(f"--kubeconfig={config}", "get", "nodes")


def test_nothing_runs_any_more_after_a_control_plane_is_left(
    control_plane_binaries: Path, tmp_path: Path
) -> None:
    with ControlPlane(Settings(control_plane_binaries, tmp_path)) as plane:
        pids = plane.pids()

    assert set(pids) == {"etcd", "kube-apiserver"}
    assert [start_time(pid) for pid in pids.values()] == [None, None]


def test_a_server_that_refuses_its_flags_is_reported_with_the_end_of_its_log(
    control_plane_binaries: Path, tmp_path: Path
) -> None:
    settings = Settings(control_plane_binaries, tmp_path, flags=("--no-such-flag",))

    with pytest.raises(ProcessError, match="unknown flag: --no-such-flag"):
        ControlPlane(settings).__enter__()
