"""The narrow watch against a real API server, through a proxy that can do what networks do."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import ssl
import subprocess
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self
from urllib.parse import parse_qs, quote, urlsplit

import pytest
import pytest_asyncio
from pydantic import BaseModel, Field

from kernelhealth_e2e.controlplane import ControlPlane
from kernelhealth_operator.cluster import access, views
from kernelhealth_operator.cluster.access import Access
from kernelhealth_operator.cluster.backoff import Backoff
from kernelhealth_operator.cluster.call import MERGE_PATCH
from kernelhealth_operator.cluster.envelope import NarrowObject
from kernelhealth_operator.cluster.errors import HistoryLost
from kernelhealth_operator.cluster.holdings import Change, ChangeKind
from kernelhealth_operator.cluster.kinds import Kind, WatchSettings
from kernelhealth_operator.cluster.session import ApiSession
from kernelhealth_operator.cluster.views import NodeModel, NodeView
from kernelhealth_operator.cluster.watch import NarrowWatch

DEADLINE = 60.0
NODES = "/api/v1/nodes"
QUICK = WatchSettings(silence=30.0, backoff=Backoff(first=0.01, most=0.2))


class Proxy:
    """A TCP proxy: plain http for the client, TLS to the API server; it cuts, stalls and lies."""

    def __init__(self, target: str, ca: Path) -> None:
        split = urlsplit(target)
        self._target = split.hostname or "", split.port or 443
        self._tls = ssl.create_default_context(cafile=ca)
        self._clients: dict[asyncio.StreamWriter, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._came = asyncio.Condition()
        self.gate = asyncio.Event()
        self.gate.set()
        self.refusing = False
        self.piece: int | None = None
        self.halve_next = False
        self.rewrite: Callable[[bytes], bytes] = bytes
        self.requests: list[str] = []
        self.refused = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Every connection ends now, in the middle of whatever it says."""
        for writer in list(self._clients):
            writer.transport.abort()

    def say(self, data: bytes) -> None:
        """Puts *data* into the watches' answers as a whole HTTP chunk."""
        self.say_raw(b"%x\r\n%s\r\n" % (len(data), data))

    def say_raw(self, data: bytes) -> None:
        """Puts *data* into the watches' answers as it is."""
        for writer, request in self._clients.items():
            if "watch=true" in request:
                writer.write(data)

    async def until(self, reached: Callable[[], bool]) -> None:
        """Waits until requests or refusals make *reached* true."""
        async with asyncio.timeout(DEADLINE), self._came:
            await self._came.wait_for(reached)

    def watches(self) -> list[dict[str, list[str]]]:
        """The parameters of the watches asked for so far."""
        queries = [parse_qs(urlsplit(path).query) for path in self.requests]
        return [query for query in queries if "watch" in query]

    async def _accept(self, client: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if self.refusing:
                self.refused += 1
                await self._tell()
            else:
                await self._join(client, writer)
        except OSError:
            pass
        finally:
            self._tasks.discard(task)
            self._clients.pop(writer, None)
            writer.transport.abort()

    async def _join(self, client: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server, to_server = await asyncio.open_connection(*self._target, ssl=self._tls)
        self._clients[writer] = ""
        try:
            async with asyncio.TaskGroup() as group:
                up = group.create_task(self._up(client, writer, to_server))
                await self._down(server, writer)
                up.cancel()
        except* OSError:
            pass
        finally:
            to_server.transport.abort()

    async def _up(
        self, client: asyncio.StreamReader, own: asyncio.StreamWriter, server: asyncio.StreamWriter
    ) -> None:
        while data := await client.read(65536):
            sent = self.rewrite(data)
            asked = re.match(rb"[A-Z]+ (\S+) HTTP/1.1\r\n", sent)
            if asked:
                self._clients[own] = asked.group(1).decode()
                self.requests.append(asked.group(1).decode())
                await self._tell()
            server.write(sent)
            await server.drain()
        server.transport.abort()

    async def _down(self, server: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        while data := await server.read(65536):
            await self.gate.wait()
            if self.halve_next:
                self.halve_next = False
                client.write(data[: len(data) // 2])
                await client.drain()
                return
            step = self.piece or len(data)
            for start in range(0, len(data), step):
                client.write(data[start : start + step])
                await client.drain()

    async def _tell(self) -> None:
        async with self._came:
            self._came.notify_all()


@dataclass
class Reader:
    """Reads a watch in the background and remembers every change."""

    watch: NarrowWatch[NodeModel, NodeView]
    changes: list[Change[NodeView]] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        self._more = asyncio.Condition()
        self._task = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _read(self) -> None:
        async for change in self.watch.changes():
            async with self._more:
                self.changes.append(change)
                self._more.notify_all()

    async def synced(self) -> None:
        async with asyncio.timeout(DEADLINE):
            await self.watch.synced.wait()

    async def until(self, reached: Callable[[list[str]], bool]) -> None:
        """Waits until what was told, as in ``told()``, makes *reached* true."""
        async with asyncio.timeout(DEADLINE), self._more:
            await self._more.wait_for(lambda: reached(self.told()))

    def told(self) -> list[str]:
        return [f"{change.kind.value} {change.key.split('.')[0]}" for change in self.changes]


@dataclass
class Bench:
    """A proxy to the API server, and Nodes of one test's own, told apart by a label."""

    direct: ApiSession
    proxied: ApiSession
    proxy: Proxy
    control_plane: ControlPlane
    label: str = field(default_factory=lambda: f"t{uuid.uuid4().hex[:8]}")

    @property
    def selectors(self) -> dict[str, str]:
        return {"labelSelector": f"test={self.label}"}

    def watch(self, settings: WatchSettings = QUICK) -> NarrowWatch[NodeModel, NodeView]:
        return NarrowWatch(self.proxied, views.nodes((), self.selectors), settings)

    async def create(self, *names: str) -> None:
        for name in names:
            metadata = {"name": f"{name}.{self.label}", "labels": {"test": self.label}}
            body = {"apiVersion": "v1", "kind": "Node", "metadata": metadata}
            await self.direct.request("POST", NODES, body=body)

    async def cordon(self, name: str) -> None:
        await self.direct.request(
            "PATCH",
            f"{NODES}/{name}.{self.label}",
            body={"spec": {"unschedulable": True}},
            content_type=MERGE_PATCH,
        )

    async def delete(self, name: str) -> None:
        await self.direct.request("DELETE", f"{NODES}/{name}.{self.label}")

    def node(self, watch: NarrowWatch[NodeModel, NodeView], name: str) -> NodeView:
        view = watch.holdings.get(f"{name}.{self.label}")
        assert view is not None
        return view

    def restart_apiserver(self) -> None:
        """An API server that has just started knows no history from before its start."""
        self.control_plane.stop_apiserver()
        self.control_plane.start_apiserver()

    def compact(self) -> None:
        """Has etcd forget all history up to now, as the API server does every five minutes."""
        line = Path(f"/proc/{self.control_plane.pids()['etcd']}/cmdline").read_text()
        endpoint = re.search(r"--listen-client-urls[=\0]([^\0]+)", line)
        assert endpoint is not None
        etcdctl = ["etcdctl", f"--endpoints={endpoint.group(1)}"]
        status = subprocess.run(
            [*etcdctl, "get", "nothing", "-w", "json"], check=True, capture_output=True
        )
        revision = json.loads(status.stdout)["header"]["revision"]
        subprocess.run([*etcdctl, "compact", str(revision)], check=True, capture_output=True)


@pytest_asyncio.fixture
async def bench(control_plane: ControlPlane) -> AsyncIterator[Bench]:
    entry = await access.from_kubeconfig(control_plane.kubeconfig)
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(Proxy(control_plane.server, control_plane.ca))
        direct = await stack.enter_async_context(ApiSession(entry))
        through = Access(proxy.url, None, entry.credentials)
        proxied = await stack.enter_async_context(ApiSession(through))
        made = Bench(direct, proxied, proxy, control_plane)
        yield made
        await direct.request("DELETE", NODES, params=made.selectors)


async def test_a_list_in_chunks_and_a_watch_tell_everything_once(bench: Bench) -> None:
    names = [f"n{number}" for number in range(7)]
    await bench.create(*names)

    watch = bench.watch(replace(QUICK, chunk=3))
    async with Reader(watch) as reader:
        await reader.synced()
        await bench.create("late")
        await bench.cordon("n3")
        await bench.delete("n5")
        await reader.until(lambda told: "DELETED n5" in told)

    listed = [f"ADDED {name}" for name in names]
    assert reader.told() == [*listed, "ADDED late", "MODIFIED n3", "DELETED n5"]
    modified = reader.changes[-2]
    assert modified.previous is not None
    assert (modified.previous.unschedulable, modified.object.unschedulable) == (False, True)
    assert len([path for path in bench.proxy.requests if "limit=3" in path]) == 3
    assert len(watch.holdings) == 7


async def test_after_a_restart_of_the_api_server_a_new_list_repeats_nothing_and_misses_nothing(
    bench: Bench,
) -> None:
    await bench.create("kept", "changed", "doomed")
    watch = bench.watch()
    async with Reader(watch) as reader:
        await reader.synced()
        bench.proxy.refusing = True
        bench.proxy.cut()
        await bench.cordon("changed")
        await bench.delete("doomed")
        bench.restart_apiserver()

        bench.proxy.refusing = False
        await reader.until(lambda told: "DELETED doomed" in told)
        await bench.create("after")
        await reader.until(lambda told: "ADDED after" in told)

    assert reader.told()[3:] == ["MODIFIED changed", "DELETED doomed", "ADDED after"]
    assert watch.counters.expired == 1
    assert watch.counters.lists == 2
    assert bench.node(watch, "changed").unschedulable


async def test_an_expired_continue_token_starts_the_list_over(bench: Bench) -> None:
    await bench.create("n1", "n2", "n3")
    bench.compact()
    stale = base64.urlsafe_b64encode(
        json.dumps({"v": "meta.k8s.io/v1", "rv": 2, "start": "n1\0"}).encode()
    ).rstrip(b"=")
    bench.proxy.rewrite = _once(rb"continue=[^& ]+", b"continue=" + quote(stale).encode())

    watch = bench.watch(replace(QUICK, chunk=2))
    async with Reader(watch) as reader:
        await reader.synced()

    assert reader.told() == ["ADDED n1", "ADDED n2", "ADDED n3"]
    assert watch.counters.expired == 1
    assert watch.counters.lists == 2


async def test_a_cut_connection_resumes_where_it_was(bench: Bench) -> None:
    await bench.create("n1")
    watch = bench.watch()
    async with Reader(watch) as reader:
        await reader.synced()
        await bench.proxy.until(lambda: len(bench.proxy.watches()) >= 1)
        bench.proxy.refusing = True
        bench.proxy.cut()
        await bench.proxy.until(lambda: bench.proxy.refused > 2)
        await bench.create("n2")
        await bench.delete("n1")

        bench.proxy.refusing = False
        await reader.until(lambda told: len(told) == 3)

    assert reader.told() == ["ADDED n1", "ADDED n2", "DELETED n1"]
    assert watch.counters.lists == 1


async def test_a_line_cut_in_half_is_asked_for_again(bench: Bench) -> None:
    watch = bench.watch()
    async with Reader(watch) as reader:
        await reader.synced()
        await bench.create("n1")
        await reader.until(lambda told: told == ["ADDED n1"])
        bench.proxy.halve_next = True
        await bench.create("n2")
        await reader.until(lambda told: len(told) == 2)

    assert reader.told() == ["ADDED n1", "ADDED n2"]
    assert watch.counters.failures == 1
    assert watch.counters.lists == 1


@pytest.mark.parametrize(
    "garbage",
    [b"\x00\xff garbage\n", b'{"type":"ADDED"}\n', b"[]\n", b'{"type":"ADDED","object":{}\n'],
    ids=["bytes", "an event without object", "no object", "half an object"],
)
async def test_garbage_in_a_watch_costs_the_connection_only(bench: Bench, garbage: bytes) -> None:
    watch = bench.watch()
    async with Reader(watch) as reader:
        await reader.synced()
        await bench.create("n1")
        await reader.until(lambda told: told == ["ADDED n1"])
        bench.proxy.say(garbage)
        await bench.proxy.until(lambda: len(bench.proxy.watches()) >= 2)
        await bench.create("n2")
        await reader.until(lambda told: len(told) == 2)

    assert reader.told() == ["ADDED n1", "ADDED n2"]
    assert watch.counters.lists == 1


async def test_broken_framing_costs_the_connection_only(bench: Bench) -> None:
    watch = bench.watch(replace(QUICK, silence=2.0))
    async with Reader(watch) as reader:
        await reader.synced()
        await bench.create("n1")
        await reader.until(lambda told: told == ["ADDED n1"])
        bench.proxy.say_raw(b"zz\r\nthis is no chunk\r\n")
        await bench.proxy.until(lambda: len(bench.proxy.watches()) >= 2)
        await bench.create("n2")
        await reader.until(lambda told: len(told) == 2)

    assert reader.told() == ["ADDED n1", "ADDED n2"]


async def test_a_resource_version_from_a_lost_future_leads_to_a_new_list(bench: Bench) -> None:
    watch = bench.watch(replace(QUICK, silence=0.5))
    bench.proxy.rewrite = lambda data: re.sub(
        rb"([?&]resourceVersion=)\d+", rb"\g<1>999999999", data
    )
    async with Reader(watch) as reader:
        await reader.synced()
        await bench.create("n1")
        await reader.until(lambda told: len(told) == 1)

    assert reader.told() == ["ADDED n1"]
    assert watch.counters.lists >= 2


async def test_a_cluster_that_was_restored_from_a_backup_is_not_taken_for_the_old_one(
    bench: Bench,
) -> None:
    watch = bench.watch(QUICK)
    # Stands for what was seen of the cluster after the backup was made.
    watch._progress.highest = 10**12

    with pytest.raises(HistoryLost, match="restored from a backup"):
        async with aclosing(watch.changes()) as changes:
            await anext(changes)


async def test_a_silent_connection_is_given_up_and_nothing_is_lost(bench: Bench) -> None:
    watch = bench.watch(replace(QUICK, silence=0.5))
    async with Reader(watch) as reader:
        await reader.synced()
        await bench.proxy.until(lambda: len(bench.proxy.watches()) >= 1)
        bench.proxy.gate.clear()
        await bench.create("n1")
        asked = len(bench.proxy.requests)
        await bench.proxy.until(lambda: len(bench.proxy.requests) > asked)

        bench.proxy.gate.set()
        await reader.until(lambda told: len(told) == 1)

    assert reader.told() == ["ADDED n1"]


async def test_a_server_that_dribbles_is_understood(bench: Bench) -> None:
    await bench.create("n1", "n2")
    bench.proxy.piece = 7

    watch = bench.watch()
    async with Reader(watch) as reader:
        await reader.synced()
        await bench.cordon("n2")
        await reader.until(lambda told: len(told) == 3)

    assert reader.told() == ["ADDED n1", "ADDED n2", "MODIFIED n2"]
    assert watch.counters.failures == 0


async def test_bookmarks_advance_the_resource_version_of_a_quiet_watch(bench: Bench) -> None:
    watch = bench.watch(replace(QUICK, shortest=4.0, longest=4.0))
    async with Reader(watch) as reader:
        await reader.synced()
        await bench.proxy.until(lambda: len(bench.proxy.watches()) >= 1)
        elsewhere = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": f"x-{bench.label}"}}
        made = await bench.direct.request("POST", NODES, body=elsewhere)
        version = int(made["metadata"]["resourceVersion"])
        await bench.direct.request("DELETE", f"{NODES}/x-{bench.label}")
        # What is made after the bookmark of a watch, which comes 2 s before its end, is in another.
        await bench.proxy.until(lambda: _begun_at(bench)[-1] >= version)

    assert _begun_at(bench)[0] < version
    assert watch.counters.bookmarks >= 1
    assert reader.told() == []


async def test_an_object_made_anew_under_its_name_is_deleted_and_added(bench: Bench) -> None:
    await bench.create("n1")
    watch = bench.watch()
    async with Reader(watch) as reader:
        await reader.synced()
        bench.proxy.refusing = True
        bench.proxy.cut()
        await bench.delete("n1")
        await bench.create("n1")
        bench.restart_apiserver()
        bench.proxy.refusing = False
        await reader.until(lambda told: len(told) == 3)

    assert watch.counters.expired == 1
    first, gone, new = reader.changes
    assert (gone.kind, new.kind) == (ChangeKind.DELETED, ChangeKind.ADDED)
    assert gone.object.uid == first.object.uid != new.object.uid


def _begun_at(bench: Bench) -> list[int]:
    return [int(query["resourceVersion"][0]) for query in bench.proxy.watches()]


class _Strict(NarrowObject):
    """A Node that must have a pod range: what a model too narrow for the cluster looks like."""

    class Spec(BaseModel):
        pod_range: str = Field(alias="podCIDR")

    spec: Spec


async def test_one_object_that_does_not_fit_the_model_leaves_the_others_alone(
    bench: Bench,
) -> None:
    await bench.create("misfit")
    fit = {"name": f"fit.{bench.label}", "labels": {"test": bench.label}}
    await bench.direct.request(
        "POST",
        NODES,
        body={
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": fit,
            "spec": {"podCIDR": "10.1.0.0/24", "podCIDRs": ["10.1.0.0/24"]},
        },
    )
    kind = Kind(NODES, _Strict, lambda node: node.metadata.name, bench.selectors)
    watch = NarrowWatch(bench.proxied, kind, QUICK)
    changes = watch.changes()

    async with asyncio.timeout(DEADLINE):
        listed = await anext(changes)
        await bench.create("late")
        later = asyncio.ensure_future(anext(changes))
        await bench.delete("fit")
        deleted = await later
    await changes.aclose()

    assert listed.key == fit["name"]
    assert deleted.kind is ChangeKind.DELETED
    assert sorted(key.split(".")[0] for key in watch.holdings.unreadable) == ["late", "misfit"]
    assert "spec.podCIDR" in watch.holdings.unreadable[f"misfit.{bench.label}"]


async def test_last_heard_moves_with_every_byte_and_stands_still_in_an_outage(
    bench: Bench,
) -> None:
    times = iter(range(1_000_000))
    kind = views.nodes((), bench.selectors)
    watch = NarrowWatch(bench.proxied, kind, QUICK, clock=lambda: float(next(times)))
    async with Reader(watch) as reader:
        await reader.synced()
        await bench.create("n1")
        await reader.until(lambda told: len(told) == 1)
        heard = watch.last_heard
        bench.proxy.refusing = True
        bench.proxy.cut()
        await bench.proxy.until(lambda: bench.proxy.refused > 3)
        during = watch.last_heard
        bench.proxy.refusing = False
        await bench.create("n2")
        await reader.until(lambda told: len(told) == 2)

    assert 0 < heard == during < watch.last_heard


def _once(pattern: bytes, replacement: bytes) -> Callable[[bytes], bytes]:
    """A rewriting that happens to the first request with *pattern* and to none after it."""
    left = [1]

    def rewrite(data: bytes) -> bytes:
        if not left or not re.search(pattern, data):
            return data
        left.clear()
        return re.sub(pattern, replacement, data, count=1)

    return rewrite
