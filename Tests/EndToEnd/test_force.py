"""One caller, or its server, does its worst with all its might: neighbours are answered, and so is a probe that asks whether Remora
lives. In the gate the bounds are far; `make soak` prints what they notice.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from harness.certificates import Authority
from harness.processes import SERVERS, Process, binary
from harness.remora import Remora, configuration
from harness.soak import FULL, mebibytes, quantile, size, tell
from harness.tap import Tap
from test_admin import ADMIN, admin_address

HERE = Path(__file__).parent
SECONDS = size(2, 30)
CALM = 10
"""Seconds without it, and beside a neighbour who is only busy."""
NEIGHBOURS = 4
REQUESTS, CAPABILITIES = size(8, 70), size(500_000, 8_000_000)
"""Requests with large capabilities, and their bytes. In the gate Remora is not optimised, and its bounds are far from what stays."""
BOUND = 5.0
"""Seconds within which each neighbour is answered, and the probe: far above what it takes on a busy machine, and below what
starving is, which is as long as it goes on."""
MOST = 192 * 1024 * 1024
"""Bytes of memory at any time, of which some are what is on its way."""

PIPELINED = ["wrong path", "unknown method", "notifications", "lists", "discovery", "broken JSON"]
STREAMED = ["messages", "comments", "bytes"]


async def force(address: str, kind: str, count: int = 0, authority: str = "") -> Process:
    forceful = await Process.start(sys.executable, "-m", "harness.force", address, kind, str(count), authority, cwd=HERE)
    settle(forceful.pid, last=True)
    return forceful


def settle(pid: int, *, alone: bool = False, nice: int = 0, last: bool = False) -> None:
    """At full size Remora has a processor of its own (`alone`) and all else shares another, where the caller who does its worst
    comes `last`: what neighbours notice is then what Remora gives to each, and not how the system divides two processors."""
    if FULL and (os.cpu_count() or 1) > 1:
        for task in os.listdir(f"/proc/{pid}/task"):
            os.sched_setaffinity(int(task), {0 if alone else 1})
        if last:
            # A number is not enough: the system lets such a process end its slice of some milliseconds when others wake up.
            return os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0))
        with contextlib.suppress(PermissionError):  # Who is not root may only raise the number.
            os.setpriority(os.PRIO_PROCESS, pid, nice)


class Seen:
    """What neighbours and a prober notice in a while (seconds)."""

    def __init__(self, calls: list[float], probes: list[float], refused: list[str]) -> None:
        self.calls = calls
        self.probes = probes
        self.refused = refused

    @classmethod
    def nothing(cls) -> Seen:
        """Where no one looked."""
        return cls([], [], [])

    @property
    def text(self) -> str:
        if min(len(self.calls), len(self.probes)) < 2:
            return "not measured"
        calls, probes = quantile(self.calls, 99) * 1000, quantile(self.probes, 99) * 1000
        return f"p99 {calls:.1f} ms of {len(self.calls)} calls, {probes:.1f} ms of {len(self.probes)} probes"

    def check(self, bound: float = BOUND) -> None:
        assert not self.refused, self.refused[:5]
        assert len(self.calls) >= NEIGHBOURS and self.probes, "no neighbour was answered"
        assert max(self.calls) < bound, f"a neighbour waited {max(self.calls):.1f} s"
        assert max(self.probes) < bound, f"the probe waited {max(self.probes):.1f} s"


async def watch(
    remora: Remora, admin: str, seconds: float, principals: list[str] | None = None, authority: str = ""
) -> Seen:
    """Neighbours call, one call after the other each, and a prober asks for `/healthz`."""
    names = principals or [f"neighbour-{number}" for number in range(NEIGHBOURS)]
    command = [sys.executable, "-m", "harness.neighbours", remora.address, admin, str(seconds), authority, *names]
    async with await Process.start(*command, cwd=HERE) as neighbours:
        settle(neighbours.pid)
        seen = await neighbours.event("seen", timeout=seconds + 30)
    return Seen(seen["calls"], seen["probes"], seen["refused"])


@contextlib.asynccontextmanager
async def before(*command: str, way: str = "http", authority: Authority | None = None, **changes: Any) -> AsyncIterator[tuple[Remora, str]]:
    """Remora, and where its admin listener is, before a server in a process of its own; over `https` with a tap before it."""
    forceful = (sys.executable, str(SERVERS / "forceful.py"))
    changes = {"admin": ADMIN, "log": {"level": "info"}, **changes}
    async with contextlib.AsyncExitStack() as parts:
        if way == "stdio":
            text = configuration({"command": [*forceful, "--stdio"]}, **changes)
        else:
            command = command or (*forceful, *(["--sse"] if way == "sse" else []))
            server = await parts.enter_async_context(await Process.start(*command))
            settle(server.pid)
            address = (await server.event("listening"))["address"]
            place: dict[str, Any] = {"url": f"http://{address}/mcp"}
            if way == "sse":
                place = {"url": f"http://{address}/sse", "transport": "sse"}
            elif way == "https":
                assert authority is not None
                context = authority.server_context(authority.issue("server", "127.0.0.1"))
                tap = await parts.enter_async_context(Tap(address, listen_tls=context, keeps=False))
                place = {"url": f"https://{tap.address}/mcp", "tls": {"ca": str(authority.file)}}
            text = configuration(place, **changes)
        async with Remora(text) as remora:
            settle(remora.process.pid, alone=True)
            settle(os.getpid(), nice=10)
            yield remora, await admin_address(remora)


async def watch_before(remora: Remora, admin: str, authority: str = "") -> tuple[Seen, Seen]:
    """Without anybody who does his worst: quiet, and beside a busy neighbour."""
    if not FULL:
        return Seen.nothing(), Seen.nothing()
    quiet = await watch(remora, admin, CALM, authority=authority)
    async with await force(remora.address, "busy", authority=authority) as busy:
        await busy.event("going")
        return quiet, await watch(remora, admin, CALM, authority=authority)


async def measured(
    what: str, remora: Remora, admin: str, kind: str, *, at: str = "", count: int = 0, bound: float = BOUND, authority: str = ""
) -> None:
    """What is seen without it is only measured at full size: in the gate the bounds are far from all of it."""
    await watch(remora, admin, 0.2, authority=authority)
    quiet, beside = await watch_before(remora, admin, authority)
    descriptors = remora.descriptors()
    async with await force(at or remora.address, kind, count, authority) as forceful:
        await forceful.event("going", timeout=60)
        under = await watch(remora, admin, SECONDS, authority=authority)
        peak, most = remora.peak(), remora.descriptors()
        assert forceful.running, forceful.tail()
        answers = [each["answers"] for each in forceful.events() if each.get("event") == "second"]
    tell(
        f"{what}: {under.text}; quiet {quiet.text}; beside a busy neighbour {beside.text}; {mebibytes(peak)} at most, "
        f"{mebibytes(remora.resident())} at the end, {most} descriptors ({descriptors} before); {answers[-1:]} answers"
    )
    if FULL:
        ratio = quantile(under.calls, 99) / quantile(beside.calls, 99)
        tell(f"{what}: p99 is {ratio:.2f} of that beside one busy neighbour")
    under.check(bound)
    assert peak < MOST, f"{mebibytes(peak)} of memory"
    assert most < descriptors + 300, f"{most} descriptors"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("what", PIPELINED)
async def test_requests_that_are_answered_at_once(what: str) -> None:
    async with before() as (remora, admin):
        await measured(f"one client pipelines: {what}", remora, admin, what)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("what", ["healthz", "metrics"])
async def test_requests_to_the_admin_listener(what: str) -> None:
    async with before() as (remora, admin):
        await measured(f"one client pipelines at the admin listener: {what}", remora, admin, what, at=admin)


@pytest.mark.timeout(300)
async def test_requests_that_are_answered_at_once_over_tls(tmp_path: Path) -> None:
    """What is pipelined comes in records, of which the last one that was decrypted waits in memory and not in the kernel."""
    authority = Authority(tmp_path)
    async with before(listen={"tls": authority.issue("own", "127.0.0.1").settings}) as (remora, admin):
        await measured("one client pipelines over TLS: lists", remora, admin, "lists", authority=str(authority.file))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("what", STREAMED)
async def test_a_server_that_streams_small_events(what: str) -> None:
    async with before(listen={"legacy_clients": "pass"}) as (remora, admin):
        await measured(f"a server streams small events, to one client: {what}", remora, admin, what)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("way", "what"), [("https", "messages"), ("sse", "messages of a session of its own"), ("stdio", "messages")])
async def test_a_server_that_streams_small_events_on_another_way(way: str, what: str, tmp_path: Path) -> None:
    """In a session of its own the client gets the messages; in one that is shared, which has one stream, they are passed over."""
    async with before(way=way, authority=Authority(tmp_path)) as (remora, admin):
        await measured(f"a server streams small events, over {way}", remora, admin, what)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", ["ask without end", "ask without end, of who can be asked"])
async def test_a_server_that_asks_without_end(kind: str) -> None:
    """It takes no answer, so that each would keep a connection."""
    async with before() as (remora, admin):
        await measured(f"a server asks without end: {kind}", remora, admin, kind)


@pytest.mark.timeout(300)
async def test_large_capabilities() -> None:
    """Each request has others, so that each would be a session of its own. Memory is for what is on its way, not for what was."""
    async with before(binary("legacy-demo"), "--listen", "127.0.0.1:0") as (remora, admin):
        quiet, beside = await watch_before(remora, admin)
        async with await force(remora.address, "capabilities", CAPABILITIES) as forceful:
            await forceful.event("going", timeout=60)
            seen = await watch(remora, admin, SECONDS)
            await forceful.line(lambda _: any(each.get("answers", 0) >= REQUESTS for each in forceful.events()), 200)
        peak = remora.peak()
    tell(
        f"{REQUESTS} requests with capabilities of {CAPABILITIES} bytes: {seen.text}; quiet {quiet.text}; "
        f"beside a busy neighbour {beside.text}; {mebibytes(peak)} at most"
    )
    seen.check()
    assert peak < MOST, f"{mebibytes(peak)} of memory"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("threads", [1, 4])
async def test_calls_that_are_parked_and_left(threads: int) -> None:
    """Neighbours notice nothing, nor does that caller itself in what is no question."""
    count = size(300, 10_000)
    async with before(threads=threads) as (remora, admin):
        quiet = await watch(remora, admin, CALM) if FULL else Seen.nothing()
        async with await force(remora.address, "parked", count) as forceful:
            during = await watch(remora, admin, 0.5)
            done = await forceful.event("done", timeout=240)
            after = await watch(remora, admin, SECONDS, ["neighbour-1", "neighbour-2", "forceful", "forceful"])
            peak, most = remora.peak(), remora.descriptors()
    tell(
        f"{count} parked calls, left, threads {threads}: {after.text}; while they come {during.text}; quiet {quiet.text}; "
        f"{mebibytes(peak)} at most, {most} descriptors; {done['statuses']}"
    )
    during.check()
    after.check()
    assert peak < MOST


@pytest.mark.timeout(300)
async def test_many_lines_behind_a_slow_client() -> None:
    async with before(way="stdio") as (remora, admin):
        what = "262,144 lines of one byte behind a slow client"
        await measured(what, remora, admin, "lines", count=300, bound=3)
