"""What the AWS VPC CNI and the Azure CNI keep of their attachments, each in one file."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelhealth_agent import errors
from kernelhealth_agent.detectors import residual_links as detector
from kernelhealth_agent.hosts.recorded import RecordedHost
from kernelhealth_agent.kernel import cni_excerpt, plugin_state
from kernelhealth_agent.source import Occasion
from kernelhealth_agent.sources import residual_links as source

HOSTS = Path(__file__).parents[2] / "fixtures" / "hosts"
HOST = HOSTS / "residual_links-plugin-state"
Recorded = Callable[..., tuple[RecordedHost, Occasion[None]]]


def test_the_allocations_of_the_aws_plugin_name_pod_and_address() -> None:
    text = (HOST / plugin_state.AWS).read_bytes()

    alive, dead = plugin_state.attachments(text, plugin_state.AWS)

    assert (alive.pod, alive.addresses) == (("shop", "cart-7"), ("10.244.0.7",))
    assert (dead.pod, dead.addresses) == (("shop", "cart-8"), ("10.244.0.8",))
    assert dead.shared


def test_the_endpoints_of_the_azure_plugin_name_the_hosts_end_of_the_link_too() -> None:
    text = (HOST / plugin_state.AZURE).read_bytes()

    (found,) = plugin_state.attachments(text, plugin_state.AZURE)

    assert found.pod == ("shop", "cart-9")
    assert found.host_links == ("azv5b0c2e7",)
    assert found.addresses == ("10.240.0.9",)
    assert found.netns == "/var/run/netns/cni-1b0f0000-0000-4000-8000-000000000009"


def test_what_a_plugin_keeps_for_gone_sandboxes_is_told_and_not_deleted(recorded: Recorded) -> None:
    sample = source.collect(*recorded(HOST.name))

    found = list(detector.judge(sample, detector.ResidualLinksParams()))

    assert [(o.subject.pod, o.subject.file, o.cures) for o in found] == [
        ("shop/cart-9", "/run/azure-vnet.json", ()),
        ("shop/cart-8", "/run/aws-node/ipam.json", ()),
    ]
    assert all("have the plugin release it" in o.message for o in found)


def test_a_result_of_libcni_is_named_before_the_file_of_all(
    recorded: Recorded, tmp_path: Path
) -> None:
    root = Path(shutil.copytree(HOST, tmp_path / "h", symlinks=True))
    sandbox = "c9d1f1a0" * 8
    place = f"var/lib/cni/results/aws-cni-{sandbox}-eth0"
    (root / place).write_text(json.dumps({"kind": "cniCacheV1", "containerId": sandbox}))
    sample = source.collect(*recorded(root))

    found = list(detector.judge(sample, detector.ResidualLinksParams()))

    (own,) = [o for o in found if o.subject.pod == "shop/cart-8"]
    assert own.subject.file == f"/{place}"
    assert own.cures == ("ReleaseAddress",)


@pytest.mark.parametrize("file", plugin_state.DECODERS)
def test_a_capture_has_what_is_read_of_a_state_and_no_more(file: str) -> None:
    text = (HOST / file).read_bytes()
    secret = text.replace(b'"ifName"', b'"token": "SECRET", "ifName"')
    secret = secret.replace(b'"IfName"', b'"DNS": {"IP": ["SECRET"]}, "IfName"')

    kept = cni_excerpt.excerpt(secret)

    assert b"SECRET" in secret
    assert b"SECRET" not in kept
    assert cni_excerpt.concerns(file)
    assert plugin_state.attachments(kept, file) == plugin_state.attachments(text, file)


@pytest.mark.parametrize("file", plugin_state.DECODERS)
@pytest.mark.parametrize("text", [b"", b"[]", b"{", b"\xff", b"[" * 9999])
def test_a_file_that_is_being_written_is_named(file: str, text: bytes) -> None:
    with pytest.raises(errors.UnreadableError, match=f"^{file} cannot be understood"):
        plugin_state.attachments(text, file)


values: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(
                [
                    "allocations",
                    "metadata",
                    "Network",
                    "ExternalInterfaces",
                    "Networks",
                    "Endpoints",
                ]
            )
            | st.sampled_from(["ContainerID", "containerID", "IPAddresses", "IP", "HostIfName"])
            | st.text(),
            inner,
        )
    ),
)


@given(st.sampled_from(list(plugin_state.DECODERS)), st.binary() | values.map(json.dumps))
def test_anything_gives_attachments_or_the_typed_error(file: str, text: bytes | str) -> None:
    content = text if isinstance(text, bytes) else text.encode(errors="replace")
    assert cni_excerpt.excerpt(content).endswith(b"\n")
    with contextlib.suppress(errors.UnreadableError):
        for found in plugin_state.attachments(content, file):
            assert found.sandbox
