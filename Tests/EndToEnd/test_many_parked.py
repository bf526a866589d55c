"""Thousands of calls wait for their clients at once: each costs Remora little, and each gets its own answer."""

from __future__ import annotations

import asyncio
import time

import pytest

from harness.modern import Client, call, request
from harness.processes import Process, binary
from harness.remora import Remora, configuration
from harness.soak import size, tell

COUNT = size(300, 5000)
AT_ONCE = 50
LIMIT = 12 * 1024
"""Bytes of resident memory for each parked call, near twice what it takes: what is kept by mistake is kept for minutes."""
ELICITING = {"elicitation": {"form": {}}}


ABANDONED = size(400, 10_000)
"""Calls of one caller who never comes back."""
KEPT = 32 * 1024 * 1024
"""Bytes of memory that all of these may leave behind: the calls that still wait, the processes and buffers that they went through."""

CLIENTS, CALLS = size(50, 200), size(500, 10_000)
"""Clients at once, and calls of all of them."""


async def demo() -> Process:
    return await Process.start(binary("legacy-demo"), "--listen", "127.0.0.1:0", "--sse")


async def each(address: str, count: int, step) -> None:  # type: ignore[no-untyped-def]
    """Does `step(client, number)` for each number, over some connections."""
    numbers = iter(range(count))

    async def worker() -> None:
        async with Client(address) as client:
            for number in numbers:
                await step(client, number)

    await asyncio.gather(*(worker() for _ in range(AT_ONCE)))


async def park_and_answer(remora: Remora, count: int) -> tuple[float, float, float]:
    """Parks calls and answers them. Returns the bytes of memory of each, and the seconds of both."""
    states: list[str] = [""] * count

    async def ask(client: Client, number: int) -> None:
        message = call("ask", {"n": number}, id=number, clientCapabilities=ELICITING)
        asked = await client.send(message, timeout=60)
        assert list(asked.result["inputRequests"]) == ["elicitation-1"], asked
        states[number] = asked.result["requestState"]

    async def answer(client: Client, number: int) -> None:
        message = call("ask", {"n": number}, id=number, clientCapabilities=ELICITING)
        said = {"action": "accept", "content": {"name": f"n{number}"}}
        message["params"] |= {"requestState": states[number], "inputResponses": {"elicitation-1": said}}
        done = await client.send(message, timeout=60)
        assert done.text == f"Hello, n{number}", done

    before, start = remora.resident(), time.monotonic()
    await each(remora.address, count, ask)
    await asyncio.sleep(1)  # For connections to close.
    memory, asked = (remora.resident() - before) / count, time.monotonic()
    await each(remora.address, count, answer)
    return memory, asked - start - 1, time.monotonic() - asked


@pytest.mark.timeout(600)
async def test_many_parked_calls() -> None:
    room = COUNT + 100
    async with await demo() as server:
        address = (await server.event("listening"))["address"]
        text = configuration(
            f"http://{address}/mcp", sessions={"max": room, "max_per_principal": room},
            interaction={"max_parked": room, "max_parked_per_principal": room}, log={"level": "info"},
            limits={"max_connections": 1000},
        )
        async with Remora(text) as remora:
            # What it takes once is not counted, and these sessions are closed again: none of theirs is used later.
            await park_and_answer(remora, AT_ONCE)
            memory, asking, answering = await park_and_answer(remora, COUNT)
        await server.stop()
    tell(
        f"{COUNT} calls parked at once: {memory:.0f} bytes of resident memory each; asked in {asking:.1f} s, "
        f"all answered in {answering:.1f} s")
    assert memory < LIMIT


@pytest.mark.timeout(600)
async def test_many_clients_that_are_asked_twice() -> None:
    """Each answer reaches the call that asked for it, and each call its client."""
    numbers = iter(range(CALLS))
    failures: list[str] = []

    async def one(address: str, client: int) -> None:
        async with Client(address) as it:
            for number in numbers:
                message = call("ask", {"times": 2, "n": number}, id=number, clientCapabilities=ELICITING)
                answer = await it.send(message, timeout=60, Authorization=f"Bearer {client}")
                for turn in range(2):
                    ((key, _),) = answer.result["inputRequests"].items()
                    said = {"action": "accept", "content": {"name": f"{number}.{turn}"}}
                    state = answer.result["requestState"]
                    again = {**message["params"], "requestState": state, "inputResponses": {key: said}}
                    answer = await it.send(
                        {**message, "params": again}, timeout=60, Authorization=f"Bearer {client}")
                if answer.text != f"Hello, {number}.0 and {number}.1":
                    failures.append(repr(answer))

    async with await demo() as server:
        address = (await server.event("listening"))["address"]
        text = configuration(
            f"http://{address}/mcp", sessions={"max": CLIENTS + 10}, limits={"max_connections": CLIENTS + 10},
            log={"level": "info"})
        async with Remora(text) as remora:
            start = time.monotonic()
            await asyncio.gather(*(one(remora.address, client) for client in range(CLIENTS)))
            took = time.monotonic() - start
        await server.stop()
    assert failures == []
    tell(f"{CLIENTS} clients, {CALLS} calls that asked twice: 0 failures, in {took:.1f} s")


@pytest.mark.timeout(900)
@pytest.mark.parametrize("threads", [1, 4])
async def test_calls_that_are_abandoned_are_in_nobodys_way(threads: int) -> None:
    """Neither in that of others, nor in that of the same caller."""

    async def go_on(address: str, name: str | None, times: list[float]) -> None:
        options = {"Authorization": f"Bearer {name}"} if name else {}
        async with Client(address) as client:
            while not done.is_set():
                for message in (request("server/discover"), call("echo", {"text": "hi"})):
                    start = time.monotonic()
                    answer = await client.send(message, timeout=60, **options)
                    times.append(time.monotonic() - start)
                    assert answer.status == 200 and "result" in answer.json, answer
                await asyncio.sleep(0.005)

    async def abandon(client: Client, number: int) -> None:
        asked = await client.send(call("ask", {"n": number}, id=number, clientCapabilities=ELICITING), timeout=60)
        assert list(asked.result["inputRequests"]) == ["elicitation-1"], asked

    def slowest(times: list[float]) -> str:
        times = sorted(times)
        return f"median {times[len(times) // 2] * 1e3:.1f} ms, p99 {times[len(times) * 99 // 100] * 1e3:.1f} ms of {len(times)}"

    done = asyncio.Event()
    async with await demo() as server:
        address = (await server.event("listening"))["address"]
        text = configuration(f"http://{address}/mcp", threads=threads, log={"level": "info"})
        async with Remora(text) as remora:
            same: list[float] = []
            other: list[float] = []
            tasks = [asyncio.create_task(go_on(remora.address, *each)) for each in ((None, same), ("other", other))]
            # What it takes once is not counted.
            await each(remora.address, 200, abandon)
            before = remora.resident()
            await each(remora.address, ABANDONED, abandon)
            left = remora.resident() - before
            done.set()
            for task in tasks:
                await task
        await server.stop()
    tell(
        f"{ABANDONED} calls abandoned, {threads} threads: {left >> 10} KiB are left; meanwhile the same caller was answered in "
        f"{slowest(same)}, another in {slowest(other)}")
    assert left < KEPT
