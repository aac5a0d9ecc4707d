"""Which pod a process belongs to, by lines as kubelets and runtimes leave them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernelhealth_agent.kernel import cgroups

UID = "8a7f0c1e-5b1d-4f6a-9c0e-3d2b1a09f8e7"
SCORED = UID.replace("-", "_")
STATIC = "0123456789abcdef0123456789abcdef"
BOX = "3f1c" * 16
POD = (UID, BOX)

IN_PODS: dict[str, tuple[str, tuple[str, str | None]]] = {
    "v2 cgroupfs": (f"0::/kubepods/burstable/pod{UID}/{BOX}\n", POD),
    "v2 cgroupfs, guaranteed": (f"0::/kubepods/pod{UID}/{BOX}\n", POD),
    "v2 systemd, containerd": (
        (
            "0::/kubepods.slice/kubepods-besteffort.slice/"
            f"kubepods-besteffort-pod{SCORED}.slice/cri-containerd-{BOX}.scope\n"
        ),
        POD,
    ),
    "v2 systemd, guaranteed": (
        f"0::/kubepods.slice/kubepods-pod{SCORED}.slice/cri-containerd-{BOX}.scope\n",
        POD,
    ),
    "v2 systemd, CRI-O": (
        (
            "0::/kubepods.slice/kubepods-burstable.slice/"
            f"kubepods-burstable-pod{SCORED}.slice/crio-{BOX}.scope\n"
        ),
        POD,
    ),
    "v2 systemd, CRI-O with a group inside": (
        (
            "0::/kubepods.slice/kubepods-burstable.slice/"
            f"kubepods-burstable-pod{SCORED}.slice/crio-{BOX}.scope/container\n"
        ),
        POD,
    ),
    "v2 systemd, conmon of CRI-O": (
        (
            "0::/kubepods.slice/kubepods-burstable.slice/"
            f"kubepods-burstable-pod{SCORED}.slice/crio-conmon-{BOX}.scope\n"
        ),
        POD,
    ),
    "v2 systemd, docker": (
        f"0::/kubepods.slice/kubepods-pod{SCORED}.slice/docker-{BOX}.scope\n",
        POD,
    ),
    "v1 cgroupfs": (
        (
            f"12:pids:/kubepods/besteffort/pod{UID}/{BOX}\n"
            f"11:memory:/kubepods/besteffort/pod{UID}/{BOX}\n"
            f"1:name=systemd:/kubepods/besteffort/pod{UID}/{BOX}\n"
        ),
        POD,
    ),
    "v1 systemd": (
        (
            "11:cpu,cpuacct:/kubepods.slice/kubepods-burstable.slice/"
            f"kubepods-burstable-pod{SCORED}.slice/cri-containerd-{BOX}.scope\n0::/\n"
        ),
        POD,
    ),
    "v1, the first hierarchies at the root": (
        f"13:misc:/\n12:rdma:/\n4:memory:/kubepods/burstable/pod{UID}/{BOX}\n",
        POD,
    ),
    "a systemd path under the cgroupfs driver": (
        (
            f"0::/system.slice/containerd.service/kubepods-burstable-pod{SCORED}.slice"
            f":cri-containerd:{BOX}\n"
        ),
        POD,
    ),
    "a static pod": (f"0::/kubepods/burstable/pod{STATIC}/{BOX}\n", (STATIC, BOX)),
    "a static pod, systemd": (
        f"0::/kubepods.slice/kubepods-pod{STATIC}.slice/cri-containerd-{BOX}.scope\n",
        (STATIC, BOX),
    ),
    "a root of its own": (f"0::/kernelhealth-ab12/kubepods/pod{UID}/{BOX}\n", POD),
    "a kubelet with --cgroup-root": (
        (
            "0::/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/"
            f"kubelet-kubepods-burstable-pod{SCORED}.slice/cri-containerd-{BOX}.scope\n"
        ),
        POD,
    ),
    "a node in a container, from outside": (
        f"0::/docker/{'d' * 64}/kubelet/kubepods/besteffort/pod{UID}/{BOX}\n",
        POD,
    ),
    "a node in a pod: the pod that is this node's": (
        f"0::/kubepods/pod{UID}/{BOX}/kubelet/kubepods/pod{STATIC}/{'e' * 64}\n",
        POD,
    ),
    "seen from another cgroup namespace": (
        f"0::/../../kubepods/burstable/pod{UID}/{BOX}\n",
        POD,
    ),
    "the pod's own group": (f"0::/kubepods/burstable/pod{UID}\n", (UID, None)),
}

IN_NO_POD = {
    "nothing": "",
    "the root": "0::/\n",
    "a container of docker": f"0::/system.slice/docker-{BOX}.scope\n",
    "a container of docker, cgroupfs": f"5:devices:/docker/{BOX}\n",
    "a container of podman": f"0::/machine.slice/libpod-{BOX}.scope\n",
    "a pod of podman": f"0::/machine.slice/machine-libpod_pod_{BOX}.slice/libpod-{BOX}.scope\n",
    "the kubelet": "0::/system.slice/kubelet.service\n",
    "the parent of all pods": "0::/kubepods/burstable\n",
    "a UID that is none": f"0::/kubepods/burstable/pod1234/{BOX}\n",
    "words on two lines": f"2:cpu:/kubepods\n1:memory:/pod{UID}/{BOX}\n",
    "a service": "0::/user.slice/user-1000.slice/session-2.scope\n",
}


@pytest.mark.parametrize(("text", "pod"), IN_PODS.values(), ids=IN_PODS)
def test_a_process_of_a_pod_is_told_by(text: str, pod: tuple[str, str | None]) -> None:
    assert cgroups.pod(text.encode()) == pod


@pytest.mark.parametrize("text", IN_NO_POD.values(), ids=IN_NO_POD)
def test_no_pod_is_made_of(text: str) -> None:
    assert cgroups.pod(text.encode()) is None


@settings(deadline=None)
@given(st.binary())
def test_any_bytes_are_a_pod_or_none(text: bytes) -> None:
    found = cgroups.pod(text)

    assert found is None or len(found[0]) in {32, 36}


@settings(deadline=None)
@given(st.uuids(), st.booleans(), st.text("0123456789abcdef", min_size=64, max_size=64))
def test_every_uid_comes_back(uid: object, systemd: bool, box: str) -> None:  # noqa: FBT001
    name = str(uid)
    scored = name.replace("-", "_")
    path = (
        f"kubepods.slice/kubepods-pod{scored}.slice/cri-containerd-{box}.scope"
        if systemd
        else f"kubepods/pod{name}/{box}"
    )

    assert cgroups.pod(f"0::/{path}\n".encode()) == (name, box)
