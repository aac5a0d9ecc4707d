"""What a capture takes down of a CNI result."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelhealth_agent import errors, moments
from kernelhealth_agent.hosts.live import LiveHost
from kernelhealth_agent.hosts.recording import RecordingHost
from kernelhealth_agent.hosts.recordings import write
from kernelhealth_agent.kernel import cni_cache, cni_excerpt

FILE = "var/lib/cni/results/pods-x-eth0"
IPAM = {"type": "host-local", "ranges": [[{"subnet": "10.244.0.0/24"}]], "password": "SECRET"}
PLUGIN = {"type": "calico", "policy": {"k8s_auth_token": "SECRET"}, "ipam": IPAM}
RESULT: dict[str, Any] = {
    "kind": "cniCacheV1",
    "containerId": "3f1c" * 16,
    "ifName": "eth0",
    "networkName": "pods",
    "netns": "/var/run/netns/cni-1",
    "cniArgs": [["K8S_POD_NAMESPACE", "shop"], ["K8S_POD_NAME", "cart-7"], ["TOKEN", "SECRET"]],
    "capabilityArgs": {"token": "SECRET"},
    "config": base64.b64encode(json.dumps({"plugins": [PLUGIN]}).encode()).decode(),
    "result": {"interfaces": [{"name": "veth1"}], "ips": [{"address": "10.244.0.9/24"}]},
}


def test_a_capture_has_no_secret_of_a_network_configuration(tmp_path: Path) -> None:
    place = tmp_path / "host" / FILE
    place.parent.mkdir(parents=True)
    place.write_text(json.dumps(RESULT))
    host = RecordingHost(LiveHost(str(tmp_path / "host")))

    read = host.read(FILE)
    write(host.recording(moments.now(), {}), tmp_path / "recorded")

    recorded = (tmp_path / "recorded" / FILE).read_bytes()
    config = base64.b64decode(json.loads(recorded)["config"])
    assert b"SECRET" not in recorded + config
    assert cni_cache.attachment(recorded, FILE) == cni_cache.attachment(read, FILE)


values = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*RESULT, "ips", "plugins", "ipam"]), inner)
    ),
)


@given(st.binary(max_size=40) | values.map(lambda value: json.dumps(value).encode()))
def test_an_excerpt_is_understood_as_the_whole_is(text: bytes) -> None:
    try:
        whole = cni_cache.attachment(text, FILE)
    except errors.UnreadableError:
        with pytest.raises(errors.UnreadableError):
            cni_cache.attachment(cni_excerpt.excerpt(text), FILE)
        return

    assert cni_cache.attachment(cni_excerpt.excerpt(text), FILE) == whole
